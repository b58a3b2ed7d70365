"""Whether a run's model fits the world, or the recording, that it is to be used with; before anything is computed."""

from worldmodel.data.frames import check_frame_size
from worldmodel.envs import MujocoWorld
from worldmodel.models import WorldModel
from worldmodel.system.errors import UserError


def check_fits(model: WorldModel, world: MujocoWorld) -> None:
    """UserError where the model cannot drive this world."""
    if model.predictor is None:
        raise UserError(
            "this run has no dynamics predictor (its world has no actions); control needs one, e.g. env=reacher"
        )
    check_actions(model, world.scene.action_dim, world.name)
    check_frames(model, world.image_size, world.name)


def check_actions(model: WorldModel, action_dim: int, source: str) -> None:
    """UserError where the model's actions are not those of `source`."""
    if model.action_dim != action_dim:
        raise UserError(
            f"the model's actions have {model.action_dim} numbers, those of {source} {action_dim}; use the world, or "
            "a recording of the world, that the model was trained on"
        )


def check_frames(model: WorldModel, image_size: int, source: str) -> None:
    """UserError where the model cannot see frames of `source`, or decodes frames of another size."""
    for encoder in (model.encoder, model.robust_encoder):
        if encoder is not None:
            check_frame_size(image_size, encoder.config.input_size)
    decoded = model.config.decoder
    if decoded is not None and decoded.image_size != image_size:
        raise UserError(
            f"the model decodes frames of {decoded.image_size} x {decoded.image_size} pixels, those of {source} have "
            f"{image_size} x {image_size}; use a world, or a recording, with frames of that size, or train a run on "
            "these"
        )
