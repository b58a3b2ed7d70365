"""Online adaptation: the predictor is corrected by its own errors while the episode runs.

Wear and payloads change what actions do: a weak, dead or reversed motor, a heavier link, a delay. So the predictor's
weights stay as they are, and its input actions are corrected: it is given those sent `delay` steps before, each number
times a gain. This amounts to a low-rank update of its first layer, with so few parameters that half a second of motion
determines them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from worldmodel.planners import LatentDynamics

DELAYS = (0, 1, 2, 3)
"""Control steps of delay that are told apart."""
_WINDOWS, _AHEAD = 16, 8
"""Number of latest moments that a correction is fitted on, and of control steps predicted from each."""
_FORGETTING = 0.9
"""Weight of an error over that of an error one control step later."""
_PRIOR_STD = 0.5
"""Standard deviation of the prior of a gain, whose mean is 1."""
_LARGEST_GAIN = 3.0
_FEWEST = 4
"""Latents that must have been predicted before a correction is used."""
_BETTER = 0.7
"""Share of the uncorrected error below which a correction is used."""
_STEP = 0.1
"""Step of the finite differences, in gains."""


@dataclass(frozen=True)
class Correction:
    """How actions arrive in n environments: scaled, and late."""

    gain: Tensor
    """(n, A)."""
    delay: Tensor
    """Control steps, int64 (n,)."""

    def __call__(self, sent: Tensor) -> Tensor:
        """Actions sent (n, N, max(DELAYS) + T, A) -> those that arrive in the last T control steps (n, N, T, A)."""
        steps = sent.shape[2] - DELAYS[-1]
        rows = DELAYS[-1] - self.delay[:, None] + torch.arange(steps, device=sent.device)
        index = rows[:, None, :, None].expand(-1, sent.shape[1], -1, sent.shape[3])
        return sent.gather(2, index) * self.gain[:, None, None]


class CorrectedDynamics:
    """A model that is told corrected actions; satisfies `worldmodel.planners.interfaces.LatentDynamics`."""

    def __init__(self, model: LatentDynamics, correction: Correction, sent: Tensor) -> None:
        """sent: the last actions, (n, max(DELAYS) + K - 1, A)."""
        self._model, self._correction, self._sent = model, correction, sent
        self.num_context_frames, self.action_dim = model.num_context_frames, model.action_dim

    def embed(self, frames: Tensor) -> Tensor:
        """As `LatentDynamics.embed`."""
        return self._model.embed(frames)

    def encode(self, latents: Tensor, actions: Tensor) -> Tensor:
        """As `LatentDynamics.encode`; the actions (n, K-1, A) count as they arrived."""
        return self._model.encode(latents, self._correction(self._sent[:, None])[:, 0])

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """As `LatentDynamics.rollout`, for actions that are sent from now on."""
        before = self._sent[:, None, self._sent.shape[1] - DELAYS[-1] :]
        sent = torch.cat([before.expand(-1, actions.shape[1], -1, -1), actions], 2)
        return self._model.rollout(z0, self._correction(sent), context)


@dataclass(frozen=True)
class _Windows:
    """The last w moments of n environments, and the latents and actions that followed."""

    latents: Tensor
    """Up to each moment, (n, w, K, D)."""
    sent: Tensor
    """Actions, (n, w, max(DELAYS) + K - 1 + m, A); 0 where there were none."""
    targets: Tensor
    """Latents after it, (n, w, m, D)."""
    weight: Tensor
    """Of the error at each target, (w, m); 0 where it has not been seen yet."""
    context: Tensor | None
    """(n, C)."""


class Adaptation:
    """Fits a correction for each delay, and uses the one that predicts best.

    At each control step, every correction takes a Gauss-Newton step on its errors up to `_AHEAD` steps ahead, with a
    prior. Each latent is predicted with every correction and with none before it is fitted: a correction is used while
    these errors are below 0.7 of those without correction.
    """

    def __init__(self, model: LatentDynamics, num: int, horizon: int, device: torch.device) -> None:
        """num: n; horizon: control steps that plans look ahead; device: of the latents."""
        self._model, self._ahead = model, min(_AHEAD, horizon)
        self.num_steps = _WINDOWS + model.num_context_frames - 1 + DELAYS[-1]
        """Control steps that `dynamics` looks back."""
        self._gains = torch.ones(num, len(DELAYS), model.action_dim, device=device)
        self._errors = torch.zeros(num, len(DELAYS) + 1, self._ahead, device=device)
        self._num_scored = 0

    def keep(self, which: Tensor) -> None:
        """Go on with some of the environments, int64 (n',)."""
        self._gains, self._errors = self._gains[which], self._errors[which]

    @torch.no_grad()
    def dynamics(
        self, latents: Sequence[Tensor], actions: Sequence[Tensor], context: Tensor | None
    ) -> CorrectedDynamics:
        """The model as it now is.

        Args:
            latents: of the frames so far, T+1 times (n, D); of a longer episode the last `num_steps` steps are enough.
            actions: those sent between them, T times (n, A).
            context: (n, C).
        """
        frames = self._model.num_context_frames
        if len(latents) > frames:
            self._learn(self._windows(latents, actions, context))
        num_sent = DELAYS[-1] + frames - 1
        none = torch.zeros(len(latents[0]), self._model.action_dim, device=latents[0].device)
        sent = torch.stack([*[none] * num_sent, *actions[-num_sent:]], 1)[:, -num_sent:]
        return CorrectedDynamics(self._model, self.correction(), sent)

    def correction(self) -> Correction:
        """For each environment, the correction that predicts best; gain 1 and delay 0 where none helps."""
        tried, usual = self._errors[:, :-1], self._errors[:, -1:]
        # a horizon that has no predictions yet counts as no better
        ratio = torch.where(usual > 0, tried / usual.clamp_min(1e-12), 1.0)
        score, best = ratio.mean(-1).min(1)
        helps = (score < _BETTER) & (self._num_scored >= _FEWEST)
        gains = self._gains.take_along_dim(best[:, None, None], 1)[:, 0]
        return Correction(torch.where(helps[:, None], gains, 1.0), torch.where(helps, best, 0))

    def _windows(self, latents: Sequence[Tensor], actions: Sequence[Tensor], context: Tensor | None) -> _Windows:
        frames, ahead, now = self._model.num_context_frames, self._ahead, len(actions)
        num = min(_WINDOWS, now - frames + 1)
        first = now - num  # the earliest moment
        seen = torch.stack([*latents[first - frames + 1 :]], 1)
        sent = torch.stack([*actions[max(0, first - frames + 1 - DELAYS[-1]) :]], 1)
        missing = num + frames - 1 + DELAYS[-1] - sent.shape[1]
        sent = pad(sent, (0, 0, missing, ahead)).unfold(1, DELAYS[-1] + frames - 1 + ahead, 1)[:, :num]
        targets = pad(seen[:, frames:], (0, 0, 0, ahead)).unfold(1, ahead, 1)[:, :num]
        # how long before now each target was seen
        age = (num - 1 - torch.arange(num)[:, None] - torch.arange(ahead)).to(seen.device)
        weight = torch.where(age >= 0, _FORGETTING ** age.clamp_min(0), 0.0)
        return _Windows(
            seen.unfold(1, frames, 1)[:, :num].transpose(2, 3),
            sent.transpose(2, 3),
            targets.transpose(2, 3),
            weight,
            context,
        )

    def _learn(self, windows: _Windows) -> None:
        num_fits, size = self._gains.shape[1:]
        steps = torch.cat([self._gains.new_zeros(1, size), _STEP * torch.eye(size, device=self._gains.device)])
        tried = (self._gains[:, :, None] + steps).flatten(1, 2)
        tried = torch.cat([tried, torch.ones_like(tried[:, :1])], 1)
        delays = [delay for delay in DELAYS for _ in steps] + [0]
        expected = self._expected(windows, tried, delays)
        of_fits, uncorrected = expected[:, :-1].unflatten(1, (num_fits, size + 1)), expected[:, -1:]
        base = of_fits[:, :, 0]
        residual = windows.targets[:, None] - base
        self._score(torch.cat([residual, windows.targets[:, None] - uncorrected], 1))
        slopes = (of_fits[:, :, 1:] - base[:, :, None]) / _STEP
        change = self._change(slopes, residual, windows.weight)
        self._gains = (self._gains + change).clamp(-_LARGEST_GAIN, _LARGEST_GAIN)

    def _score(self, residual: Tensor) -> None:
        """Add the errors (n, fits + 1, w, m, D) at the newest latent, which nothing has been fitted on."""
        newest = min(residual.shape[2], self._ahead)
        ahead = torch.arange(newest, device=residual.device)
        found = residual[:, :, residual.shape[2] - 1 - ahead, ahead].square().mean(-1)
        self._errors = _FORGETTING * self._errors + pad(found, (0, self._ahead - newest))
        self._num_scored += 1

    def _change(self, slopes: Tensor, residual: Tensor, weight: Tensor) -> Tensor:
        """A Gauss-Newton step (n, fits, A) from slopes (n, fits, A, w, m, D) and residuals (n, fits, w, m, D)."""
        noise = (residual.square().mean(-1) * weight).sum(2, keepdim=True) / weight.sum(0).clamp_min(1e-12)
        # errors at one latent from several moments are about the same error
        factor = (weight / (noise.clamp_min(1e-10) * self._ahead)).sqrt()[..., None]
        slopes, residual = (slopes * factor[:, :, None]).flatten(3), (residual * factor).flatten(2)
        precision = _PRIOR_STD**-2
        normal = slopes @ slopes.transpose(2, 3) + precision * torch.eye(slopes.shape[2], device=slopes.device)
        towards = (slopes @ residual[..., None])[..., 0] + precision * (1 - self._gains)
        return torch.linalg.solve(normal, towards)

    def _expected(self, windows: _Windows, tried: Tensor, delays: Sequence[int]) -> Tensor:
        """Latents (n, J, w, m, D) that follow under gains (n, J, A) and J delays."""
        steps = windows.sent.shape[2] - DELAYS[-1]
        arrived = torch.stack([windows.sent[:, :, DELAYS[-1] - delay :][:, :, :steps] for delay in delays], 1)
        arrived = (arrived * tried[:, :, None, None]).flatten(0, 2)
        shape = len(tried), len(delays), windows.sent.shape[1]
        past = self._model.num_context_frames - 1
        latents = windows.latents[:, None].expand(-1, len(delays), *windows.latents.shape[1:]).flatten(0, 2)
        context = windows.context
        if context is not None:
            context = context[:, None, None].expand(*shape, -1).flatten(0, 2)
        z0 = self._model.encode(latents, arrived[:, :past])
        return self._model.rollout(z0, arrived[:, None, past:], context)[:, 0].unflatten(0, shape)
