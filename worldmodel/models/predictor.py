"""The default latent dynamics predictor: from K latents and past actions to H latents in one pass.

`recurrent.py` and `transformer.py` have the other kinds. Letters as in `planners/interfaces.py`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from worldmodel.models.layers import InferenceLinear, LinearLayer, PlainLinear
from worldmodel.settings import PredictorConfig
from worldmodel.system.errors import UserError

DIFFERENCE_GAIN = 4.0
"""Latents of neighbouring steps differ little; this brings their differences to the size of the latents."""


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
        if not self.out.weight.is_meta:  # where shapes alone are asked for, masks would take seconds
            self._set_masks()

    def _set_masks(self) -> None:
        horizon, hidden = self.config.horizon, self.config.hidden
        # a unit of group g may see actions up to step g, so only outputs from step g on may see it: a quarter of the
        # units serve every step (group 0), the others are shared evenly by all steps, in their order
        group = ((torch.arange(hidden) - hidden // 4).clamp_min(0) * horizon) // (hidden - hidden // 4)
        step = torch.arange(horizon)
        self.register_buffer("causal_in", _mask(step.repeat_interleave(self.action_dim), group), persistent=False)
        if len(self.middle):
            self.register_buffer("causal_mid", _mask(group, group), persistent=False)
        self.register_buffer("causal_out", _mask(group, step.repeat_interleave(self.latent_dim)), persistent=False)

    def num_units(self, steps: int) -> int:
        """Number of hidden units, the first of a layer, that the latents of the first `steps` steps may depend on."""
        shared = self.config.hidden // 4
        return shared + math.ceil(steps * (self.config.hidden - shared) / self.config.horizon)

    def planning_state(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Latents (B, K, D), oldest first, and the actions (B, K-1, A) between them -> (B, D'), z_t in front."""
        return planning_state(latents, actions, self.config.history)

    def forward(self, state: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """The latent after each of H' <= H actions, in one pass: (B, D'), (B, N, H', A), (B, C) -> (B, N, H', D).

        Raises:
            UserError: the actions are of another world, or the context is missing.
        """
        return self.fold()(state, actions, context)

    def rollout(self, state: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """As `forward`, for any number of actions: passes of H steps are chained, each on the predictions of the last.

        Raises:
            UserError: as `forward`, or H is too short for the history of the next pass.
        """
        return self.fold().rollout(state, actions, context)

    def for_planning(self, dtype: torch.dtype | None) -> "FoldedPredictor":
        """The same function for many rollouts; matrix products in `dtype`, None as the weights are."""
        return self.fold(dtype, InferenceLinear)

    def fold(self, dtype: torch.dtype | None = None, layer_of: type[LinearLayer] = PlainLinear) -> "FoldedPredictor":
        """The same function with the causal masks multiplied into the weights, for many calls with these weights.

        Args:
            dtype: type of the matrix products; None takes that of the weights. Predicted changes are added to latents
                in the dtype of the latents.
            layer_of: makes a layer from its weight and bias, and whether GELU follows.
        """
        state, context = self.from_state.weight.to(dtype).split([self.state_dim, self.context_dim], 1)
        return FoldedPredictor(
            self,
            layer_of,
            from_state=layer_of(state, self.from_state.bias.to(dtype)),
            from_context=layer_of(context) if self.context_dim else None,
            from_actions=layer_of((self.from_actions.weight * self.causal_in).to(dtype), gelu=True),
            hidden=[
                layer_of((layer.weight * self.causal_mid).to(dtype), layer.bias.to(dtype), gelu=True)
                for layer in self.middle
                if isinstance(layer, nn.Linear)
            ],
            out=layer_of((self.out.weight * self.causal_out).to(dtype), self.out.bias.to(dtype)),
        )


@dataclass(frozen=True)
class FoldedPredictor:
    """A `Predictor` ready to be called, see `Predictor.fold`."""

    predictor: Predictor
    """The predictor whose weights these are."""
    layer_of: type[LinearLayer]
    """Makes a layer from its weight and bias, and whether GELU follows."""
    from_state: LinearLayer
    """Part of the first layer that reads the planning state, D' inputs, with its bias."""
    from_context: LinearLayer | None
    """Part that reads the context, C inputs; None where there is none."""
    from_actions: LinearLayer
    """Part that reads the actions, H A inputs, masked; the outputs of the other parts are added to its own."""
    hidden: list[LinearLayer]
    """Hidden layers, masked."""
    out: LinearLayer
    """The last layer, masked, to the changes of H latents."""
    shorter: dict[int, "FoldedPredictor"] = field(default_factory=dict)
    """H' -> the part that computes the first H' steps alone, made when first needed."""

    def __call__(self, state: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """As `Predictor.forward`."""
        check_inputs(self.predictor, actions, context)
        return self._up_to(actions.shape[2])._predict(state[:, None], actions, context)

    def rollout(self, state: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """As `Predictor.rollout`."""
        horizon = self.predictor.config.horizon
        latents = self(state, actions[:, :, :horizon], context)
        while latents.shape[2] < actions.shape[2]:
            done = latents.shape[2]
            state_n = self._advance(latents, actions[:, :, :done])
            next_actions = actions[:, :, done : done + horizon]
            more = self._up_to(next_actions.shape[2])._predict(state_n, next_actions, context)
            latents = torch.cat([latents, more], 2)
        return latents

    def _up_to(self, steps: int) -> "FoldedPredictor":
        """The part that predicts so many steps, without the hidden units, the last of a layer, of later steps."""
        if steps == self.predictor.config.horizon:
            return self
        if steps not in self.shorter:
            size, units = steps * self.predictor.latent_dim, self.predictor.num_units(steps)
            with torch.inference_mode(False):  # it outlives the plan that needs it first, and may be differentiated
                self.shorter[steps] = replace(
                    self,
                    from_state=self._part(self.from_state, units),
                    from_context=self.from_context and self._part(self.from_context, units),
                    from_actions=self._part(self.from_actions, units, steps * self.predictor.action_dim),
                    hidden=[self._part(layer, units, units) for layer in self.hidden],
                    out=self._part(self.out, size, units),
                )
        return self.shorter[steps]

    def _part(self, layer: LinearLayer, units: int, inputs: int | None = None) -> LinearLayer:
        bias = None if layer.bias is None else layer.bias[:units]
        return self.layer_of(layer.weight[:units, :inputs].contiguous(), bias, layer.gelu)

    def _predict(self, state: Tensor, actions: Tensor, context: Tensor | None) -> Tensor:
        """One pass from planning states (B, N, D'), or from one for all candidates (B, 1, D') -> (B, N, H', D)."""
        x = self.from_actions(self._cast(actions.flatten(2)), self._offset(state, context))
        for layer in self.hidden:
            x = layer(x)
        change = self.out(x).unflatten(-1, (actions.shape[2], self.predictor.latent_dim))
        return state[:, :, None, : self.predictor.latent_dim] + change

    def _offset(self, state: Tensor, context: Tensor | None) -> Tensor:
        """The first layer's output for planning state and context, without actions: (B, N or 1, hidden)."""
        offset = self.from_state(self._cast(state))
        if self.from_context is None:
            return offset
        assert context is not None  # checked
        return offset + self.from_context(self._cast(context))[:, None]

    def _cast(self, x: Tensor) -> Tensor:
        return x.to(self.from_actions.weight.dtype)

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
    """The sizes of a predictor's inputs."""

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
    differences = (torch.stack(earlier, 1) - now[:, None]) * DIFFERENCE_GAIN
    return torch.cat([now, differences.flatten(1), actions.flatten(1)], -1)


def _mask(seen: Tensor, by: Tensor) -> Tensor:
    """float (by, seen): 1 where a unit of group `by` may see a unit of group `seen`."""
    return (seen[None, :] <= by[:, None]).float()
