"""Learning physical constants: a context encoder is trained on windows of frozen latents and actions."""

import copy
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from worldmodel.data.store import EpisodeIndex
from worldmodel.data.table import LatentTable
from worldmodel.learning.loop import Stage, fit_quietly
from worldmodel.learning.losses import alignment, decorrelation, infonce, sigreg, variance_hinge
from worldmodel.models.context_encoder import ContextEncoder
from worldmodel.models.layers import mlp
from worldmodel.settings import ContextTraining
from worldmodel.system.distributed import in_parallel
from worldmodel.system.errors import UserError

NUM_SLICES, SIGREG_WEIGHT = 16, 0.005
"""Directions on which SIGReg projects contexts, and its weight lambda."""
LARGEST_TABLE = 200_000_000
"""Most numbers in a table of features: 0.8 GB."""


class Windows:
    """Moments of any window of any episode, from cumulative sums over all rows of a data set."""

    def __init__(self, encoder: ContextEncoder, table: LatentTable) -> None:
        self.num_steps, self._margin = encoder.config.window, encoder.margin
        with torch.no_grad():
            features = encoder.step_features(table.latents, table.actions[:-1]).double()
        self._sums = torch.cat([torch.zeros_like(features[:1]), features.cumsum(0)])

    def of_length(self, num_steps: int) -> "Windows":
        """Windows of another length, from the same sums."""
        found = copy.copy(self)
        found.num_steps = num_steps
        return found

    @property
    def device(self) -> torch.device:
        """Where the moments are."""
        return self._sums.device

    def moments(self, start: Tensor) -> Tensor:
        """Mean step features float32 (n, F) of windows of `num_steps` actions that begin at rows `start` int64 (n,)."""
        count = self.num_steps + 1 - 2 * self._margin
        return ((self._sums[start + count] - self._sums[start]) / count).float()

    def moments_of(self, start: Tensor, steps: Tensor) -> Tensor:
        """The same of windows of `steps` actions, int64 (n,), which may differ."""
        count = steps + 1 - 2 * self._margin
        return ((self._sums[start + count] - self._sums[start]) / count[:, None].to(self._sums.device)).float()


def fit_context_scale(encoder: ContextEncoder, table: LatentTable, episodes: EpisodeIndex) -> None:
    """Set the units of the encoder's inputs from training episodes, each up to the length of the shortest."""
    rows = torch.from_numpy(np.stack([np.arange(o, o + episodes.length.min()) for o in episodes.offset]))
    encoder.fit_scale(table.latents[rows], table.actions[rows[:, :-1]])


def context_stage(
    encoder: ContextEncoder,
    windows: Windows,
    episodes: EpisodeIndex,
    training: ContextTraining,
    constants: Tensor | None = None,
) -> Stage:
    """The stage that trains `encoder` on pairs of windows, one from each half of an episode.

    Args:
        encoder: the context encoder.
        windows: moments of windows under it.
        episodes: training episodes.
        training: method and optimiser.
        constants: true constants of every half, float (E, 2, P), which method "supervised" regresses on.
    """
    low, room = half_windows(episodes, windows.num_steps)
    objective = _Objective(encoder, training)
    known = _FeatureTable(encoder, windows, low, room)

    def loss(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        num = training.optim.batch_size
        episode = torch.randint(len(episodes), (num,), generator=generator)
        shift = (torch.rand(2, num, generator=generator) * room[:, episode]).long()
        rows = (low[:, episode] + shift).flatten()
        moments = windows.moments(rows) if objective.motion is not None else None
        views = in_parallel(encoder, lambda rows: encoder.from_features(known(rows)), rows).view(2, num, -1)
        truth = None if constants is None else constants[episode].transpose(0, 1)
        return objective(views, moments, truth, generator)

    return Stage("context", objective, loss, training.optim)


def learn_contexts(
    encoder: ContextEncoder,
    table: LatentTable,
    episodes: EpisodeIndex,
    constants: np.ndarray,
    training: ContextTraining,
    seed: int,
) -> None:
    """Train a fresh context encoder outside of any run, and leave it in evaluation mode.

    Args:
        encoder: the context encoder.
        table: latents and actions.
        episodes: training episodes.
        constants: true constants of every half (E, 2, P); see `context_stage`.
        training: method and optimiser.
        seed: seed of the windows and slices drawn.
    """
    fit_context_scale(encoder, table, episodes)
    known = torch.from_numpy(constants).float().to(table.latents.device)
    fit_quietly(context_stage(encoder, Windows(encoder, table), episodes, training, known), seed)
    encoder.eval()


class _FeatureTable:
    """Features of all windows of half episodes, computed once where they fit into memory: in every training step they
    would take half of its time."""

    def __init__(self, encoder: ContextEncoder, windows: Windows, low: Tensor, room: Tensor) -> None:
        """low, room: int64 (2, E), first row and number of starts in every half episode."""
        self._encoder, self._windows = encoder, windows
        self._features: Tensor | None = None
        starts = torch.cat(
            [torch.arange(int(a), int(a + n)) for a, n in zip(low.flatten(), room.flatten(), strict=True)]
        )
        width = self._of(starts[:1]).shape[-1]
        if len(starts) * width <= LARGEST_TABLE:
            self._place = torch.zeros(int(starts.max()) + 1, dtype=torch.long)
            self._place[starts] = torch.arange(len(starts))
            self._features = torch.cat([self._of(part) for part in starts.split(4096)])

    @torch.no_grad()
    def _of(self, rows: Tensor) -> Tensor:
        return self._encoder.features(self._windows.moments(rows))

    def __call__(self, rows: Tensor) -> Tensor:
        """Features (n, F') of the windows that begin at rows (n,)."""
        return self._of(rows) if self._features is None else self._features[self._place[rows]]


class _Objective(nn.Module):
    """Loss of contexts of two windows from each of B episodes."""

    def __init__(self, encoder: ContextEncoder, training: ContextTraining) -> None:
        super().__init__()
        self.encoder, self.method = encoder, training.method
        self.motion = MotionHead(encoder) if training.method == "prediction" else None

    def forward(
        self, views: Tensor, moments: Tensor | None, truth: Tensor | None, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Contexts -> named scalars.

        Args:
            views: contexts (2, B, C).
            moments: moments of their windows (2 B, F); None where no motion is predicted.
            truth: constants (2, B, P) for method "supervised".
            generator: of SIGReg's slices.
        """
        values = self._compare(views, truth, generator)
        if self.motion is not None and moments is not None:
            swapped = moments.unflatten(0, (2, -1)).flip(0).flatten(0, 1)
            values["prediction"] = self.motion(views.flatten(0, 1), swapped)
            values["loss"] = values["loss"] + values["prediction"]
        return {**values, "latents": views.flatten(0, 1)}

    def _compare(self, views: Tensor, truth: Tensor | None, generator: torch.Generator) -> dict[str, Tensor]:
        match self.method:
            case "lejepa":
                align = alignment(views)
                gaussian = sigreg(views.flatten(0, 1), NUM_SLICES, generator)
                loss = (1 - SIGREG_WEIGHT) * align + SIGREG_WEIGHT * gaussian
                return {"loss": loss, "alignment": align, "sigreg": gaussian}
            case "infonce":
                return {"loss": infonce(views[0], views[1])}
            case "vicreg":
                invariance = (views[0] - views[1]).square().mean()
                variance = torch.stack([variance_hinge(view) for view in views]).mean()
                correlation = torch.stack([decorrelation(view) for view in views]).mean()
                return {"loss": 25 * invariance + 25 * variance + correlation, "invariance": invariance}
            case "supervised":
                assert truth is not None
                return {"loss": (views[..., : truth.shape[-1]] - truth).square().mean()}
        return {"loss": views.new_zeros(())}  # method "prediction": only the motion head's loss, added by the caller


class MotionHead(nn.Module):
    """Predicts the motion in one window from the context of another window with the same constants.

    An MLP maps contexts to the coefficients of the equation of motion at every stride. How much of another window's
    motion these leave unexplained follows from that window's moments alone.
    """

    def __init__(self, encoder: ContextEncoder) -> None:
        super().__init__()
        self._grams = encoder.grams
        self._shape = len(encoder.config.strides), encoder.num_inputs, encoder.num_outputs
        self.head = mlp(encoder.config.num_values, [encoder.config.hidden], math.prod(self._shape))

    def forward(self, contexts: Tensor, moments: Tensor) -> Tensor:
        """Share of the outputs' power that contexts (n, C) leave unexplained in windows of moments (n, F): scalar."""
        coefficients = self.head(contexts).unflatten(-1, self._shape)
        unexplained = []
        for k, gram in enumerate(self._grams(moments)):
            b, inputs = coefficients[:, k], self._shape[1]
            quadratic = (b * (gram[:, :inputs, :inputs] @ b)).sum((1, 2))
            cross = (b * gram[:, :inputs, inputs:]).sum((1, 2))
            power = gram[:, inputs:, inputs:].diagonal(dim1=1, dim2=2).sum(1)
            unexplained.append((quadratic - 2 * cross + power).mean() / power.mean())
        return torch.stack(unexplained).mean()


def half_windows(episodes: EpisodeIndex, num_steps: int) -> tuple[Tensor, Tensor]:
    """First row, and number of possible starts, of windows in each half of every episode: int64 (2, E), (2, E).

    Raises:
        UserError: the windows do not fit, or no episode is long enough for them.
    """
    if not len(episodes):
        raise UserError(
            f"two windows of {num_steps} steps do not fit into any episode; set context.window to less than half of "
            "episode_steps"
        )
    halves = episodes.halves()
    low = torch.from_numpy(np.stack([half.offset for half in halves]))
    room = torch.from_numpy(np.stack([half.length - num_steps for half in halves]))
    if int(room.min()) < 1:
        raise UserError(
            f"two windows of {num_steps} steps do not fit into episodes of {int(episodes.length.min()) - 1} steps; "
            "set context.window to less than half of episode_steps"
        )
    return low, room


class PastContexts:
    """What can be known of the constants at a moment: contexts of the steps before it, as a controller has them.

    A random window of the episode, as in `Contexts`, may show the frames that are then predicted.
    """

    def __init__(self, encoder: ContextEncoder, windows: Windows, stretches: EpisodeIndex, num_seen: int) -> None:
        """stretches: of rows with one motion and the same constants. num_seen: frames of a window that a model sees
        before it predicts the others."""
        self._encoder, self._windows, self._num_seen = encoder.eval(), windows, num_seen
        self._first = torch.from_numpy(np.sort(stretches.offset))

    @torch.no_grad()
    def __call__(self, start: Tensor) -> Tensor:
        """Contexts (n, C) of windows that begin at rows `start` int64 (n,), each from the steps that end at the last
        frame seen: as many as the encoder's window has, or as the stretch has so far; too few give the mean context."""
        last = start + self._num_seen - 1
        begin = self._first[torch.searchsorted(self._first, start, right=True) - 1]
        begin = torch.maximum(begin, last - self._windows.num_steps)
        knows = last - begin >= self._encoder.min_steps
        contexts = torch.zeros(len(start), self._encoder.config.num_values, device=self._windows.device)
        if knows.any():
            moments = self._windows.moments_of(begin[knows], (last - begin)[knows])
            contexts[knows.to(contexts.device)] = self._encoder.from_moments(moments)
        return contexts


class Contexts:
    """Contexts of half episodes, from random windows: for conditioning the predictor, and for probing constants."""

    def __init__(self, encoder: ContextEncoder, windows: Windows, episodes: EpisodeIndex, num_rows: int) -> None:
        low, room = half_windows(episodes, windows.num_steps)
        self._encoder, self._windows = encoder.eval(), windows
        self._low, self._room = low, room
        # which half episode a row belongs to; the middle frame is in the second half
        self._half = torch.zeros(num_rows, dtype=torch.long)
        for half, index in enumerate(episodes.halves()):
            for episode, (offset, length) in enumerate(zip(index.offset, index.length, strict=True)):
                self._half[offset : offset + length] = 2 * episode + half

    def of_rows(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Context (n, C) of a random window in the half episode that each row int64 (n,) belongs to."""
        half = self._half[rows]
        return self._sample(half // 2, half % 2, generator)

    def of_halves(self, num_windows: int, generator: torch.Generator) -> Tensor:
        """Contexts (E, 2, num_windows, C) of random windows of every half episode."""
        episodes = self._low.shape[1]
        grid = torch.cartesian_prod(torch.arange(episodes), torch.arange(2), torch.arange(num_windows))
        return self._sample(grid[:, 0], grid[:, 1], generator).view(episodes, 2, num_windows, -1)

    @torch.no_grad()
    def _sample(self, episode: Tensor, half: Tensor, generator: torch.Generator) -> Tensor:
        shift = (torch.rand(len(episode), generator=generator) * self._room[half, episode]).long()
        return self._encoder.from_moments(self._windows.moments(self._low[half, episode] + shift))


def linear_contexts(
    encoder: ContextEncoder, windows: Windows, episodes: EpisodeIndex, constants: np.ndarray
) -> Callable[[Tensor], Tensor]:
    """The least-squares map from true constants (n, P) to contexts (n, C), fitted on `episodes`.

    It gives the contexts of an encoder that makes no error. constants: true ones of every half, float (E, 2, P).
    """
    low, room = half_windows(episodes, windows.num_steps)
    with torch.no_grad():
        contexts = encoder.eval().from_moments(windows.moments((low + room // 2).T.flatten())).cpu().double()
    truth = torch.from_numpy(constants).double().flatten(0, 1)
    truth = torch.cat([truth, torch.ones_like(truth[:, :1])], 1)
    weights = torch.linalg.lstsq(truth, contexts).solution.float()
    return lambda known: known @ weights[:-1] + weights[-1]
