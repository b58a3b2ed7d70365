"""The default latent dynamics predictor: from K latents and past actions to H latents in one pass.

`recurrent.py` and `transformer.py` have the other kinds. Letters as in `planners/interfaces.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from worldmodel.settings import PredictorConfig
from worldmodel.system.errors import UserError


class Predictor(nn.Module):
    """Latents z_{t+1} … z_{t+H} from z_t, earlier latents, past and future actions, and a context where there is one.

    One MLP gives all H latents and is trained on the mean of their squared errors, the multi-step rollout loss. There
    are neither compounding errors nor H sequential passes. It is causal by construction: the first layer sees the
    actions through a block lower-triangular mask, and hidden units are grouped by step, so that the latent after action
    h does not depend on later actions.
    """

    causal_in: Tensor
    """Mask (hidden, H A) of the first layer's action weights, 0 or 1."""
    causal_mid: Tensor
    """Mask (hidden, hidden) of the hidden layers' weights."""
    causal_out: Tensor
    """Mask (H D, hidden) of the last layer's weights."""

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
        """Latents (B, K, D), oldest first, and the actions (B, K-1, A) between them -> (B, D'), z_t in front."""
        return planning_state(latents, actions, self.config.history)

    def forward(self, state: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """The latent after each of H' <= H actions, in one pass: (B, D'), (B, N, H', A), (B, C) -> (B, N, H', D).

        Raises:
            UserError: the actions are of another world, or the context is missing.
        """
        return self.fold(self._one_block)(state, actions, context)

    def rollout(self, state: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """As `forward`, for any number of actions: passes of H steps are chained, each on the predictions of the last.

        Raises:
            UserError: as `forward`, or H is too short for the history of the next pass.
        """
        return self.fold(self._one_block).rollout(state, actions, context)

    def for_planning(self, dtype: torch.dtype | None) -> "FoldedPredictor":
        """The same function for rollouts without gradients; matrix products in `dtype`, None as the weights are."""
        on_cpu = self.from_state.weight.device.type == "cpu"
        return self.fold(128 if on_cpu else self._one_block, dtype)

    @property
    def _one_block(self) -> int:
        """A block width that splits no layer: on a GPU, launches cost more than skipping what masks forbid saves."""
        return max(self.config.hidden, self.out.out_features)

    def fold(self, block_width: int, dtype: torch.dtype | None = None) -> "FoldedPredictor":
        """The same function with the causal masks multiplied into the weights, for many calls with these weights.

        Units are sorted by group, so that a block of them reads only a prefix of the layer below.

        Args:
            block_width: units of a block; what lies beyond its prefix is not computed.
            dtype: of the matrix products; None takes that of the weights. Predicted changes are added to latents in
                the dtype of the latents.
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
    """A linear layer in blocks of output units."""

    parts: list[tuple[Tensor, Tensor]]
    """Weight (units, inputs read) and bias (units,) of each block."""

    @staticmethod
    def of(weight: Tensor, bias: Tensor, mask: Tensor, width: int) -> "_Blocks":
        """Blocks of `width` units, each with the inputs up to the last that `mask` lets any of its units read."""
        if width >= len(weight):
            return _Blocks([(weight, bias)])
        parts = []
        for rows, row_bias, seen in zip(weight.split(width), bias.split(width), mask.split(width), strict=True):
            num_read = int(seen.amax(0).nonzero().amax()) + 1
            parts.append((rows[:, :num_read].contiguous(), row_bias))
        return _Blocks(parts)

    def __call__(self, x: Tensor) -> Tensor:
        """(…, inputs) -> (…, units)."""
        outputs = [nn.functional.linear(x[..., : rows.shape[1]], rows, bias) for rows, bias in self.parts]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)


@dataclass(frozen=True)
class FoldedPredictor:
    """A `Predictor` ready to be called, see `Predictor.fold`."""

    predictor: Predictor
    """Whose weights these are."""
    state_weight: Tensor
    """Part of the first layer that reads the planning state (hidden, D')."""
    context_weight: Tensor
    """Part that reads the context (hidden, C)."""
    bias: Tensor
    """Its bias (hidden,)."""
    action_weight: Tensor
    """Part that reads the actions (hidden, H A), masked."""
    hidden: list[_Blocks]
    """Hidden layers."""
    out: _Blocks
    """The last layer, to the changes of H latents."""

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
        """One pass from planning states (B, N, D'), or from one for all candidates (B, 1, D') -> (B, N, H', D)."""
        check_inputs(self.predictor, actions, context)
        steps, action_dim = actions.shape[2:]
        # of actions that are not given, neither the columns nor the steps that they lead to are computed
        driven = nn.functional.linear(self._cast(actions.flatten(2)), self.action_weight[:, : steps * action_dim])
        x = nn.functional.gelu(driven + self._offset(state, context))
        for layer in self.hidden:
            x = nn.functional.gelu(layer(x))
        size = steps * self.predictor.latent_dim
        change = self.out(x)[..., :size].unflatten(-1, (steps, self.predictor.latent_dim))
        return state[:, :, None, : self.predictor.latent_dim] + change

    def _offset(self, state: Tensor, context: Tensor | None) -> Tensor:
        """What the first layer makes of planning state and context: (B, N or 1, hidden)."""
        offset = nn.functional.linear(self._cast(state), self.state_weight, self.bias)
        if not self.predictor.context_dim:
            return offset
        assert context is not None  # checked
        return offset + nn.functional.linear(self._cast(context), self.context_weight)[:, None]

    def _cast(self, x: Tensor) -> Tensor:
        return x.to(self.action_weight.dtype)

    def _advance(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Planning states (B, N, D') after h predicted latents (B, N, h, D) and the actions (B, N, h, A), h >= K."""
        frames = self.predictor.config.num_context_frames
        if latents.shape[2] < frames:
            raise UserError(
                f"chained rollouts need predictor.horizon >= {frames} (the history), got {latents.shape[2]}"
            )
        between = actions[:, :, actions.shape[2] - frames + 1 :].flatten(0, 1)
        last = self.predictor.planning_state(latents[:, :, -frames:].flatten(0, 1), between)
        return last.unflatten(0, latents.shape[:2])


class Conditioned(Protocol):
    """What every predictor says of its inputs."""

    action_dim: int
    """A, the numbers of an action."""
    context_dim: int
    """C, the numbers of a context; 0 where it takes none."""


def check_inputs(predictor: Conditioned, actions: Tensor, context: Tensor | None) -> None:
    """UserError where actions (B, N, H, A) are of another world, or a context is needed and missing."""
    if actions.shape[-1] != predictor.action_dim:
        raise UserError(
            f"this model's actions have {predictor.action_dim} numbers, got actions (B, N, H, A) = "
            f"{tuple(actions.shape)}; use it in the world it was trained on"
        )
    if predictor.context_dim and context is None:
        raise UserError(
            "this predictor is conditioned on physical constants; pass context=(B, C): what model.context_encoder "
            "makes of the latents and actions seen so far, or zeros for mean constants"
        )


def planning_state(latents: Tensor, actions: Tensor, history: Sequence[int]) -> Tensor:
    """The input of a predictor: latents (B, K, D), oldest first, and the actions (B, K-1, A) between them -> (B, D').

    It holds z_t, the differences of earlier latents from it, `history` steps before, and the actions.
    """
    now, *earlier = (latents[:, -1 - lag] for lag in history)
    if not earlier:
        return torch.cat([now, actions.flatten(1)], -1)
    differences = (torch.stack(earlier, 1) - now[:, None]) * _DIFFERENCE_GAIN
    return torch.cat([now, differences.flatten(1), actions.flatten(1)], -1)


_DIFFERENCE_GAIN = 4.0
"""Latents of neighbouring steps differ little; this brings their differences to the size of the latents."""


def _mask(seen: Tensor, by: Tensor) -> Tensor:
    """float (by, seen): 1 where a unit of group `by` may see a unit of group `seen`."""
    return (seen[None, :] <= by[:, None]).float()
