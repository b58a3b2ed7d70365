"""What one model imagines of held-out windows: latents, and the state that they show."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worldmodel.data.frames import DiskFrames, Frames
from worldmodel.data.store import DataSet
from worldmodel.evaluation.imagination.held_out_windows import held_out_windows
from worldmodel.learning.dynamics import encode_rows
from worldmodel.learning.imagining import imagine_futures
from worldmodel.learning.sources import spread_rows
from worldmodel.learning.state_units import FITTED_ROWS, UnitReader, fit_reader
from worldmodel.models import WorldModel
from worldmodel.system.errors import UserError


@dataclass(frozen=True)
class Forecasts:
    """n windows of K frames that were seen and H that were imagined, open loop."""

    rows: np.ndarray
    """Row of the data set of every frame, int64 (n, K+H)."""
    latents: Tensor
    """Latents seen and imagined, float32 (n, K+H, D)."""
    seen: Tensor
    """Latents of all these frames themselves, float32 (n, K+H, D)."""
    episode: np.ndarray
    """Number of the episode that each window is of, int (n,)."""


class Forecaster:
    """One model on one data set, and a reader of its latents in degrees and millimetres.

    units: state variable -> "rad" or "m", as far as the world tells them.
    """

    def __init__(self, model: WorldModel, data: DataSet, steps: int | None, units: dict[str, str]) -> None:
        assert model.predictor is not None
        self.model, self.data = model, data
        self.num_seen, stride = model.num_context_frames, model.predictor.config.stride
        self.horizon = steps or model.predictor.config.horizon
        self.ahead = np.arange(stride, self.horizon + 1, stride)
        """Control steps ahead at which the model says something, int (h,)."""
        self._at = self.num_seen - 1 + self.ahead
        self._frames: Frames = DiskFrames(data, model.config.encoder.input_size, model.device)
        self.reader: UnitReader | None = None
        """None where the data hold no state."""
        if data.state_names:
            fitted = spread_rows(data.split("train"), FITTED_ROWS)
            self.reader = fit_reader(encode_rows(model.encoder, self._frames, fitted), fitted, data, units)

    def forecasts(self, most: int, split: str = "test") -> Forecasts:
        """Forecasts of at most `most` windows of a split.

        Raises:
            UserError: no episode of the split is long enough.
        """
        length = self.num_seen + self.horizon
        windows = held_out_windows(self.model, self.data, self._frames, length, most, split)
        rows = windows.start[:, None] + torch.arange(length)
        latents = imagine_futures(self.model, windows.table, windows.start, self.horizon, windows.context)
        return Forecasts(windows.rows[rows.numpy()], latents, windows.table.latents[rows], windows.episode)

    def validation_forecasts(self, most: int) -> Forecasts | None:
        """Forecasts of validation episodes; None where none is long enough."""
        try:
            return self.forecasts(most, "validation")
        except UserError:
            return None

    def imagined(self, of: Forecasts) -> Tensor:
        """Latents imagined at the steps ahead, (n, h, D)."""
        return of.latents[:, self._at]

    def seen(self, of: Forecasts) -> Tensor:
        """Latents of the last frame before, and of the true frames at the steps ahead, (n, 1+h, D)."""
        return of.seen[:, [self.num_seen - 1, *self._at]]

    def truth(self, of: Forecasts) -> dict[str, np.ndarray]:
        """State variable -> its true values at the steps ahead, float64 (n, h); none where the data hold no state."""
        states, names, rows = self.data.states, self.data.state_names, of.rows[:, self._at]
        variables = self.reader.units if self.reader else {}
        return {name: states[rows, names.index(name)].astype(np.float64) for name in variables}

    def signed_errors(self, of: Forecasts) -> dict[str, np.ndarray]:
        """State variable -> imagined minus true value (n, h), in its unit."""
        if self.reader is None:
            return {}
        read, truth = self.reader.read(self.imagined(of)), self.truth(of)
        return {name: self.reader.errors(name, read[name], truth[name]) for name in truth}
