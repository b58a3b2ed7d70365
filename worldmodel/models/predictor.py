"""The latent dynamics predictor's settings, and the default: from K latents and past actions to H latents in one pass.

`recurrent.py` and `transformer.py` have the other kinds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from worldmodel.settings import PredictorConfig
from worldmodel.system.errors import UserError


class Predictor(nn.Module):
    """z_{t+1} … z_{t+H} from z_t, earlier latents, past and future actions, and physical constants where known.

    All H latents leave one MLP, trained with the sum of their errors: the multi-step rollout loss, without compounding
    errors and without H sequential passes. It is causal by construction: the first layer sees the actions through a
    block lower-triangular mask and its units are grouped by step, so the latent after action h does not depend on
    later actions.
    """

    causal_in: Tensor
    causal_mid: Tensor
    causal_out: Tensor

    def __init__(self, config: PredictorConfig, latent_dim: int, action_dim: int, context_dim: int = 0) -> None:
        super().__init__()
        self.config = config
        self.latent_dim, self.action_dim, self.context_dim = latent_dim, action_dim, context_dim
        horizon, hidden = config.horizon, config.hidden
        self.state_dim = latent_dim * len(config.history) + action_dim * (config.num_context_frames - 1)
        self.from_state = nn.Linear(self.state_dim + context_dim, hidden)
        self.from_actions = nn.Linear(horizon * action_dim, hidden, bias=False)
        self.middle = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(config.depth - 1))
        self.out = nn.Linear(hidden, horizon * latent_dim)
        # a unit of group g may see actions up to step g, so only outputs from step g on may see it: a quarter of the
        # units serve every step (group 0), the others are shared evenly by all steps
        group = ((torch.arange(hidden) - hidden // 4).clamp_min(0) * horizon) // (hidden - hidden // 4)
        step = torch.arange(horizon)
        self.register_buffer("causal_in", _mask(step.repeat_interleave(action_dim), group), persistent=False)
        self.register_buffer("causal_mid", _mask(group, group), persistent=False)
        self.register_buffer("causal_out", _mask(group, step.repeat_interleave(latent_dim)), persistent=False)

    def planning_state(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Latents (B, K, D) oldest first and the actions (B, K-1, A) between them -> (B, D'), z_t in front."""
        return planning_state(latents, actions, self.config.history)

    def forward(self, state: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, D'), (B, N, H', A) with H' <= horizon, (B, C) -> latents (B, N, H', D) after each action."""
        return self.fold(self._one_block)(state, actions, context)

    def rollout(self, state: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """As `forward`, for any number of steps: passes of `horizon` steps are chained on their own predictions."""
        return self.fold(self._one_block).rollout(state, actions, context)

    def for_planning(self, dtype: torch.dtype | None) -> "FoldedPredictor":
        """These weights ready for rollouts without gradients, with matrix products in `dtype` (None: as they are)."""
        on_cpu = self.from_state.weight.device.type == "cpu"
        return self.fold(128 if on_cpu else self._one_block, dtype)

    @property
    def _one_block(self) -> int:
        """The width of blocks that splits no layer: what masks forbid is not worth a GPU's launches."""
        return max(self.config.hidden, self.out.out_features)

    def fold(self, block_width: int, dtype: torch.dtype | None = None) -> "FoldedPredictor":
        """The same function with the causal masks multiplied into the weights, for many calls with these weights.

        Where units are sorted by group, a block of `block_width` of them reads a prefix of the layer below; what the
        mask forbids is then not computed at all. dtype: of the matrix products, None as the weights are; predicted
        changes are added to latents in the latents' own.
        """
        state, context = self.from_state.weight.to(dtype).split([self.state_dim, self.context_dim], 1)
        actions = (self.from_actions.weight * self.causal_in).to(dtype)
        layers = [(layer, self.causal_mid) for layer in self.middle] + [(self.out, self.causal_out)]
        *hidden, out = [
            _Blocks.of((layer.weight * mask).to(dtype), layer.bias.to(dtype), mask, block_width)
            for layer, mask in layers
            if isinstance(layer, nn.Linear)
        ]
        return FoldedPredictor(self, state, context, self.from_state.bias.to(dtype), actions, hidden, out)


@dataclass(frozen=True)
class _Blocks:
    """A linear layer in row blocks: (weight (rows, inputs read), bias (rows,)) each."""

    parts: list[tuple[Tensor, Tensor]]

    @staticmethod
    def of(weight: Tensor, bias: Tensor, mask: Tensor, width: int) -> "_Blocks":
        """Rows in blocks of `width`, each with the inputs up to the last that `mask` lets any of its rows read."""
        if width >= len(weight):
            return _Blocks([(weight, bias)])
        parts = []
        for rows, row_bias, seen in zip(weight.split(width), bias.split(width), mask.split(width), strict=True):
            num_read = int(seen.amax(0).nonzero().amax()) + 1
            parts.append((rows[:, :num_read].contiguous(), row_bias))
        return _Blocks(parts)

    def __call__(self, x: Tensor) -> Tensor:
        outputs = [nn.functional.linear(x[..., : rows.shape[1]], rows, bias) for rows, bias in self.parts]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)


@dataclass(frozen=True)
class FoldedPredictor:
    """A `Predictor` ready to be called, see `Predictor.fold`; the first layer is split by what its weights read."""

    predictor: Predictor
    state_weight: Tensor
    context_weight: Tensor
    bias: Tensor
    action_weight: Tensor
    hidden: list[_Blocks]
    out: _Blocks

    def __call__(self, state: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """As `Predictor.forward`."""
        return self._predict(state[:, None], actions, context)

    def rollout(self, state: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """As `Predictor.rollout`."""
        horizon = self.predictor.config.horizon
        latents = self._predict(state[:, None], actions[:, :, :horizon], context)
        while latents.shape[2] < actions.shape[2]:
            done = latents.shape[2]
            state_n = self._advance(latents, actions[:, :, :done])
            more = self._predict(state_n, actions[:, :, done : done + horizon], context)
            latents = torch.cat([latents, more], 2)
        return latents

    def _predict(self, state: Tensor, actions: Tensor, context: Tensor | None) -> Tensor:
        """One pass from states (B, N, D'), or (B, 1, D') for all candidates."""
        check_inputs(self.predictor, actions, context)
        steps, action_dim = actions.shape[2:]
        # actions beyond the given ones do not count: neither their columns nor the steps they lead to are computed
        driven = nn.functional.linear(self._cast(actions.flatten(2)), self.action_weight[:, : steps * action_dim])
        x = nn.functional.gelu(driven + self._offset(state, context))
        for layer in self.hidden:
            x = nn.functional.gelu(layer(x))
        size = steps * self.predictor.latent_dim
        change = self.out(x)[..., :size].unflatten(-1, (steps, self.predictor.latent_dim))
        return state[:, :, None, : self.predictor.latent_dim] + change

    def _offset(self, state: Tensor, context: Tensor | None) -> Tensor:
        """What the first layer has of state and context, (B, N or 1, hidden)."""
        offset = nn.functional.linear(self._cast(state), self.state_weight, self.bias)
        if not self.predictor.context_dim:
            return offset
        assert context is not None  # checked
        return offset + nn.functional.linear(self._cast(context), self.context_weight)[:, None]

    def _cast(self, x: Tensor) -> Tensor:
        return x.to(self.action_weight.dtype)

    def _advance(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Planning states (B, N, D') at the end of predicted latents (B, N, h, D), h >= K."""
        frames = self.predictor.config.num_context_frames
        if latents.shape[2] < frames:
            raise UserError(
                f"chained rollouts need predictor.horizon >= {frames} (the history), got {latents.shape[2]}"
            )
        between = actions[:, :, actions.shape[2] - frames + 1 :].flatten(0, 1)
        last = self.predictor.planning_state(latents[:, :, -frames:].flatten(0, 1), between)
        return last.unflatten(0, latents.shape[:2])


class Conditioned(Protocol):
    """What every predictor says of its inputs: numbers in an action, and in a context (0: it takes none)."""

    action_dim: int
    context_dim: int


def check_inputs(predictor: Conditioned, actions: Tensor, context: Tensor | None) -> None:
    """UserError where actions (B, N, H, A) are not of the predictor's world, or it needs constants and has none."""
    if actions.shape[-1] != predictor.action_dim:
        raise UserError(
            f"this model's actions have {predictor.action_dim} numbers, got actions (B, N, H, A) = "
            f"{tuple(actions.shape)}; use it in the world it was trained on"
        )
    if predictor.context_dim and context is None:
        raise UserError("this predictor is conditioned on physical constants; pass context=(B, C)")


def planning_state(latents: Tensor, actions: Tensor, history: Sequence[int]) -> Tensor:
    """Latents (B, K, D) oldest first and the actions (B, K-1, A) between them -> (B, D'): z_t, what `history` says of
    earlier latents as differences from it, and the actions."""
    now, *earlier = (latents[:, -1 - lag] for lag in history)
    if not earlier:
        return torch.cat([now, actions.flatten(1)], -1)
    differences = (torch.stack(earlier, 1) - now[:, None]) * _DIFFERENCE_GAIN
    return torch.cat([now, differences.flatten(1), actions.flatten(1)], -1)


# latents a step apart differ little; this brings differences to the size of the latents themselves
_DIFFERENCE_GAIN = 4.0


def _mask(seen: Tensor, by: Tensor) -> Tensor:
    """float (by, seen): 1 where a unit of group `by` may see a unit of group `seen`."""
    return (seen[None, :] <= by[:, None]).float()
