"""The world model: frame encoder, latent dynamics, context encoder, goal heads, decoder, reward head; and its files."""

import copy
import dataclasses
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from worldmodel.models.both_encoders import BothEncoders
from worldmodel.models.context_encoder import ContextEncoder
from worldmodel.models.decoder import Decoder
from worldmodel.models.encoders import Encoder
from worldmodel.models.heads import GoalHeads
from worldmodel.models.kinds import AnyPredictor, make_predictor
from worldmodel.models.reward_head import RewardHead
from worldmodel.models.weights import WEIGHTS, read_weights, tensor_shapes, write_weights
from worldmodel.models.without_memory import without_memory
from worldmodel.settings import (
    ContextConfig,
    DecoderConfig,
    EncoderConfig,
    EncoderName,
    HeadsConfig,
    PredictorConfig,
    RewardConfig,
)
from worldmodel.settings.base import flatten
from worldmodel.settings.convert import plain, structure
from worldmodel.settings.stored import upgraded_encoder, upgraded_predictor
from worldmodel.system.digest import with_checksum, without_checksum
from worldmodel.system.errors import CheckpointError, UserError
from worldmodel.system.files import read_json, write_json

SCHEMA_VERSION = 2
_DECODED_AT_ONCE = 256
DESCRIPTION = "model.json"
LARGEST_NUMBER = 100_000  # of units, latents, steps in a description from an untrusted source


@dataclass(frozen=True)
class ModelConfig:
    """The architecture, complete: `model.json` holds exactly this."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """The frame encoder; its `latent_dim` is a number here."""
    action_dim: int = 0
    """Numbers of an action; 0: a world without actions."""
    predictor: PredictorConfig | None = None
    """The latent dynamics; None where there are no actions."""
    context: ContextConfig | None = None
    """The context encoder, its `dim` a number; None where no physical constant varies."""
    heads: HeadsConfig | None = None
    """Goal heads; None where none were trained."""
    decoder: DecoderConfig | None = None
    """The decoder; None where none was trained."""
    robust: EncoderConfig | None = None
    """The robust encoder; None where none was trained."""
    reward: RewardConfig | None = None
    """The reward head; None where none was trained."""
    sees_by: EncoderName = "encoder"
    """Which encoder embeds frames."""
    agreement: float | None = None
    """Mean squared difference of two encoders' latents from which on the first is not believed; None with a single
    encoder."""

    def __post_init__(self) -> None:
        if self.robust is not None and self.robust.num_latents != self.encoder.num_latents:
            raise UserError(
                f"a robust encoder makes as many latents as the encoder, {self.encoder.num_latents}, got "
                f"{self.robust.num_latents}"
            )


class WorldModel(nn.Module):
    """Frame encoder, latent dynamics, context encoder, goal heads, decoder, reward head, as far as `config` has them.

    Satisfies `worldmodel.planners.interfaces.LatentDynamics`; letters as there.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        latent_dim, action_dim = config.encoder.num_latents, config.action_dim
        self.encoder = Encoder(config.encoder)
        self.context_encoder = ContextEncoder(config.context, latent_dim, action_dim) if config.context else None
        context_dim = config.context.num_values if config.context and config.predictor else 0
        sizes = (latent_dim, action_dim, context_dim)
        self.predictor = make_predictor(config.predictor, *sizes) if config.predictor else None
        self.heads = None
        if self.predictor is not None and config.predictor is not None and config.heads is not None:
            state_dim, horizon = self.predictor.state_dim, config.predictor.horizon
            self.heads = GoalHeads(config.heads, latent_dim, state_dim, action_dim, horizon)
        self.decoder = None
        if config.decoder is not None:
            with torch.random.fork_rng(devices=[]):  # random draws that follow are the same with and without a decoder
                self.decoder = Decoder(config.decoder, latent_dim)
        self.robust_encoder = None
        if config.robust is not None:
            with torch.random.fork_rng(devices=[]):
                self.robust_encoder = Encoder(config.robust)
        self.reward_head = None
        if config.reward is not None and config.predictor is not None:
            with torch.random.fork_rng(devices=[]):
                self.reward_head = RewardHead(config.reward, latent_dim, action_dim, config.predictor.history)

    @property
    def latent_dim(self) -> int:
        """D, the numbers of a latent."""
        return self.config.encoder.num_latents

    @property
    def action_dim(self) -> int:
        """A, the numbers of an action; 0 in a world without actions."""
        return self.config.action_dim

    @property
    def num_context_frames(self) -> int:
        """K, the latents that `encode` takes."""
        return self._dynamics.config.num_context_frames

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.encoder.mean.device

    @property
    def eye(self) -> Encoder | BothEncoders:
        """The encoder that embeds frames, chosen by `config.sees_by`."""
        if self.robust_encoder is None or self.config.sees_by == "encoder":
            return self.encoder
        if self.config.sees_by == "robust" or self.config.agreement is None:
            return self.robust_encoder
        return BothEncoders(self.encoder, self.robust_encoder, self.config.agreement, self.decoder)

    def seeing_by(self, name: EncoderName) -> "WorldModel":
        """The same model, with the same weights, embedding frames by the encoder of this name.

        Raises:
            UserError: it has no robust encoder.
        """
        if name != "encoder" and self.robust_encoder is None:
            raise UserError(
                "this run has no robust encoder; train it with robust=true, which adds one to a finished run"
            )
        if name == "both" and self.config.agreement is None:
            raise UserError("a run of an earlier version does not know when its encoders agree; use encoder=robust")
        seeing = copy.copy(self)
        seeing.config = dataclasses.replace(self.config, sees_by=name)
        return seeing

    @torch.no_grad()
    def embed(self, frames: Tensor, reference: Tensor | None = None) -> Tensor:
        """Frames uint8 (…, 3, S, S), seen or wanted -> latents float32 (…, D).

        reference: another frame of the same episode for each, or its static background, uint8 (…, 3, S, S). It shows a
        robust encoder what moves; other encoders do not use it.
        """
        return self.eye(frames, reference)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents float32 (…, D) -> frames uint8 (…, S, S, 3), of the size that the world renders.

        A frame is the mean of those that share the latent: what the latent does not determine is blurred.

        Raises:
            CheckpointError: the model has no decoder.
            UserError: latents of another dtype or width.
        """
        if self.decoder is None:
            raise CheckpointError(
                "this model has no decoder; give the `worldmodel train` command of its run again, which adds one"
            )
        if not latents.is_floating_point() or not latents.ndim or latents.shape[-1] != self.latent_dim:
            raise UserError(
                f"latents must be floating-point (…, {self.latent_dim}), got "
                f"{str(latents.dtype).removeprefix('torch.')} {tuple(latents.shape)}"
            )
        lead, flat = latents.shape[:-1], latents.reshape(-1, self.latent_dim).to(self.device, torch.float32)
        frames = torch.cat([self.decoder.decode(part) for part in flat.split(_DECODED_AT_ONCE)])
        return frames.view(*lead, *frames.shape[1:])

    def encode(self, latents: Tensor, actions: Tensor) -> Tensor:
        """The planning state: latents (B, K, D), oldest first, and the actions (B, K-1, A) between them -> (B, D').

        Raises:
            CheckpointError: the model has no dynamics.
        """
        return self._dynamics.planning_state(latents, actions)

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """The latent after action h: (B, D'), (B, N, H, A), (B, C) -> (B, N, H, D).

        Raises:
            CheckpointError: the model has no dynamics.
            UserError: the actions are of another world, or the context is missing.
        """
        return self._dynamics.rollout(z0, actions, context)

    @property
    def _dynamics(self) -> AnyPredictor:
        if self.predictor is None:
            raise CheckpointError(
                "this model has no dynamics predictor (its world has no actions); train on one that has: env=reacher"
            )
        return self.predictor

    def save(self, directory: Path) -> None:
        """Write `model.safetensors` and `model.json`."""
        write_weights(directory / WEIGHTS, self.state_dict())
        description = {"schema": SCHEMA_VERSION, "torch": torch.__version__, "model": plain(self.config)}
        write_json(directory / DESCRIPTION, with_checksum(description))

    @staticmethod
    def load(directory: Path | str, device: torch.device | str = "cpu") -> "WorldModel":
        """Open the model of a run directory, in evaluation mode. Executes nothing that the directory holds.

        Raises:
            CheckpointError: the files are missing, damaged, foreign or of another schema or architecture.
        """
        directory = Path(directory)
        config, path = read_model_config(directory), directory / WEIGHTS
        _check_shapes(config, path)
        model = WorldModel(config)
        model.load_state_dict(read_weights(path))
        return model.to(device).eval()


def _check_shapes(config: ModelConfig, path: Path) -> None:
    """CheckpointError where the file does not hold this architecture's tensors; before either takes any memory."""
    found = list(flatten(config))
    most = max(abs(number) for _, value in found for number in _integers(value))
    if most > LARGEST_NUMBER:
        raise CheckpointError(
            f"model.json beside {path} asks for {most} of something, at most {LARGEST_NUMBER} are made"
        )
    shapes = tensor_shapes(path)
    # every layer has a tensor, so that more layers than tensors need not even be tried
    layers = [
        value if name.endswith("depth") else len(value) if isinstance(value, list) else 0 for name, value in found
    ]
    expected: dict[str, list[int]] = {}
    if max(layers) <= len(shapes):
        expected = _shapes(config, path)
    if expected != shapes:
        raise CheckpointError(
            f"the weights {path} belong to another architecture than model.json beside them; train the run again"
        )


def _shapes(config: ModelConfig, path: Path) -> dict[str, list[int]]:
    """Name -> shape of the tensors of an architecture; CheckpointError where its parts do not fit together."""
    try:
        with without_memory():
            return {name: list(tensor.shape) for name, tensor in WorldModel(config).state_dict().items()}
    except Exception as error:  # whatever torch says of sizes that nobody chose
        raise CheckpointError(
            f"model.json beside {path} describes no model that can be made ({error}); train the run again"
        ) from error


def _integers(value: object) -> Iterator[int]:
    """The whole numbers in a setting."""
    for item in value if isinstance(value, list) else [value]:
        yield item if isinstance(item, int) else 0


def read_model_config(directory: Path) -> ModelConfig:
    """The architecture that a run directory describes; CheckpointError where it describes none."""
    path = directory / DESCRIPTION
    if not os.path.lexists(path):
        raise CheckpointError(f"no model at {directory} (no model.json); train one with: worldmodel train env=NAME")
    try:
        content = read_json(path)
        schema, fields = content["schema"], content["model"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is not a model description ({error}); train the run again") from error
    if schema not in (1, SCHEMA_VERSION):
        raise CheckpointError(
            f"{path} has schema {schema}, this version reads 1 and {SCHEMA_VERSION}; train the run again"
        )
    try:
        without_checksum(content)
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}; restore it, or train the run again") from error
    try:
        return structure(_upgraded(fields) if schema == 1 else fields, ModelConfig)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise CheckpointError(f"{path} describes an unknown architecture ({error}); train the run again") from error


def _upgraded(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The description that version 0.1 wrote."""
    predictor = fields.get("predictor")
    return {
        **fields,
        "encoder": upgraded_encoder(fields["encoder"]),
        "predictor": upgraded_predictor(predictor) if predictor else None,
    }
