"""What a predictor imagines while it is trained: its error in degrees and millimetres, and pictures without a decoder.

The decoder is learned last, so that no other weight depends on it. Until then an imagined latent is shown by the
training frame whose latent is nearest to it: a real picture, never a blur, which is as wrong as the latent is.
"""

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from worldmodel import figures
from worldmodel.data.mapped import MappedFrames
from worldmodel.data.table import LatentTable
from worldmodel.learning.imagining import Futures, draw_futures, held_out_futures, held_out_starts
from worldmodel.learning.sources import Source, spread_rows
from worldmodel.learning.state_units import FITTED_ROWS, UnitReader, fit_reader
from worldmodel.models import WorldModel
from worldmodel.runs import RunDirectory, Tracker

_NUM_WINDOWS = 64
"""Held-out windows that errors are averaged over."""
_NUM_ERRORS = 20
"""About how many times during training the state is read."""
_PICTURED = (0.0, 0.25, 0.5, 1.0)
"""Shares of training after which a picture is drawn."""


class ImaginationWatch:
    """Looks at what a predictor imagines after some steps of its training. It changes nothing, and draws no random
    number that training uses.

    Args:
        model: has a predictor, which is being trained, and a trained encoder.
        source: the data set.
        table: its latents.
        run: gets `figures/imagination_in_training.png`.
        tracker: gets the picture too.
        num_steps: steps of the predictor's training.
    """

    def __init__(
        self,
        model: WorldModel,
        source: Source,
        table: LatentTable,
        run: RunDirectory,
        tracker: Tracker | None,
        num_steps: int,
    ) -> None:
        self._model, self._source, self._table, self._run, self._tracker = model, source, table, run, tracker
        self._errors_due = sorted({round((num_steps - 1) * share) for share in np.linspace(0, 1, _NUM_ERRORS)})
        self._pictures_due = sorted({round((num_steps - 1) * share) for share in _PICTURED})
        self._known = spread_rows(source.train, FITTED_ROWS)
        self._reader: UnitReader | None = None
        if source.data.state_names:
            self._reader = fit_reader(table.latents[self._known], self._known, source.data, {})
        self._pictures: dict[str, np.ndarray] = {}

    def __call__(self, step: int) -> dict[str, float]:
        """Mean error of every state variable at the predictor's horizon, where it is due at this step; also draws a
        picture where one is due."""
        if not self._errors_due or step < self._errors_due[0]:
            return {}
        assert self._model.predictor is not None
        self._errors_due = [due for due in self._errors_due if due > step]
        self._model.predictor.eval()
        rows, latents = held_out_futures(self._model, self._table, *self._windows)
        self._model.predictor.train()
        if self._pictures_due and step >= self._pictures_due[0]:
            self._pictures_due = [due for due in self._pictures_due if due > step]
            with figures.drawing("imagination_in_training.png"):
                self._draw(step, rows, latents)
        return self._errors(rows, latents)

    @cached_property
    def _windows(self) -> tuple[Tensor, Tensor | None]:
        """First rows of the windows, and their contexts, which no longer change."""
        return held_out_starts(self._model, self._source, self._table, _NUM_WINDOWS)

    def _errors(self, rows: np.ndarray, latents: Tensor) -> dict[str, float]:
        if self._reader is None:
            return {}
        states, names = self._source.data.states, self._source.data.state_names
        horizon = rows.shape[1] - self._model.num_context_frames
        read, found = self._reader.read(latents[:, -1:]), {}
        for name, unit in self._reader.units.items():
            truth = states[rows[:, -1:], names.index(name)].astype(np.float64)
            error = float(np.abs(self._reader.errors(name, read[name], truth)).mean())
            found[f"{name}_error_{horizon}_steps_ahead{f'_{unit}' if unit else ''}"] = error
        return found

    def _draw(self, step: int, rows: np.ndarray, latents: Tensor) -> None:
        """One future, as it was imagined after this step and the earlier ones that were drawn."""
        shown = len(rows) // 2
        distances = torch.cdist(latents[shown], self._table.latents[self._known])
        nearest = self._known[distances.argmin(1).cpu()].numpy()
        self._pictures[f"nearest recorded frame, step {step + 1}"] = MappedFrames(self._source.data).gather(nearest)
        pictures = {label: of[None] for label, of in self._pictures.items()}
        futures = Futures(rows[shown : shown + 1], pictures, self._model.num_context_frames)
        path = self._run.figures / "imagination_in_training.png"
        draw_futures(path, self._source.data, futures)
        if self._tracker:
            self._tracker.image(f"predictor/{path.stem}", path, step)
