"""A trained world model ready for planning: the same function in fewer operations."""

import copy
import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from worldmodel.models.both_encoders import BothEncoders
from worldmodel.models.context_encoder import ContextEncoder
from worldmodel.models.encoders import Encoder
from worldmodel.models.heads import GoalHeads
from worldmodel.models.layers import for_inference
from worldmodel.models.reward_head import RewardHead
from worldmodel.models.world_model import WorldModel
from worldmodel.system.resident import require_memory

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Names of dtypes for a rollout's matrix products; latents are always float32."""


class PlanningModel:
    """A `WorldModel` for inference; satisfies `worldmodel.planners.interfaces.LatentDynamics`.

    BatchNorm is folded into the layer before it, causal masks into the weights, and what they forbid is skipped: the
    results are those of the model, to rounding. Later changes of the model's weights are not seen.
    """

    def __init__(self, model: WorldModel, dtype: torch.dtype | None = None) -> None:
        """dtype: type of the matrix products in rollouts; None keeps that of the weights.

        Raises:
            CheckpointError: the model has no predictor.
        """
        self.num_context_frames, self.action_dim = model.num_context_frames, model.action_dim
        self.latent_dim, self.device = model.latent_dim, model.device
        self.context_encoder: ContextEncoder | None = model.context_encoder
        self.heads: GoalHeads | None = model.heads
        self.reward_head: RewardHead | None = copy.deepcopy(model.reward_head)
        if self.reward_head is not None:
            for_inference(self.reward_head)
        self._encoder = fold_batch_norm(model.eye)
        self.uses_reference = self._encoder.config.kind == "paired"
        """Whether latents depend on the reference that `embed` is given."""
        assert model.predictor is not None  # num_context_frames has asked for it
        self._planning_state = model.predictor.planning_state
        with torch.no_grad():
            self._predictor = model.predictor.for_planning(dtype)

    @torch.no_grad()
    def embed(self, frames: Tensor, reference: Tensor | None = None) -> Tensor:
        """As `WorldModel.embed`."""
        return self._encoder(frames, reference)

    def encode(self, latents: Tensor, actions: Tensor) -> Tensor:
        """As `WorldModel.encode`."""
        return self._planning_state(latents, actions)

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """As `WorldModel.rollout`.

        Raises:
            UserError: as there, or the host has no memory for so many rollouts; a GPU says so itself.
        """
        if z0.device.type == "cpu":
            numbers = math.prod(actions.shape[:3]) * (self.latent_dim + self.action_dim)
            remedy = "lower planner.num_samples, planner.horizon or the number of tasks"
            require_memory(2 * z0.element_size() * numbers, "a plan", remedy)  # latents, and what makes them
        return self._predictor.rollout(z0, actions, context)


class WithReference:
    """A planning model that embeds frames with given references; satisfies `LatentDynamics`, as the model does."""

    def __init__(self, model: PlanningModel, reference: Tensor) -> None:
        """reference: uint8 (B, 3, S, S), see `WorldModel.embed`."""
        self._model, self._reference = model, reference
        self.num_context_frames, self.action_dim = model.num_context_frames, model.action_dim
        self.encode, self.rollout = model.encode, model.rollout

    def embed(self, frames: Tensor) -> Tensor:
        """As `PlanningModel.embed`, of frames uint8 (B, 3, S, S)."""
        return self._model.embed(frames, self._reference)


def fold_batch_norm(encoder: Encoder | BothEncoders) -> Encoder | BothEncoders:
    """A copy for inference with every BatchNorm that follows a linear or convolutional layer folded into it."""
    folded = copy.deepcopy(encoder).eval()
    for module in [*folded.modules()]:
        if isinstance(module, nn.Sequential):
            for (name, layer), (norm_name, norm) in pairwise([*module.named_children()]):
                if isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm1d):
                    setattr(module, name, fuse_linear_bn_eval(layer, norm))
                elif isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    setattr(module, name, fuse_conv_bn_eval(layer, norm))
                else:
                    continue
                setattr(module, norm_name, nn.Identity())
    for_inference(folded)
    return folded
