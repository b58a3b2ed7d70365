"""Sizes of a study: those of the world's recipe, or a fraction of them for a first look."""

from dataclasses import dataclass

from worldmodel.settings import CompareConfig, TrainConfig


@dataclass(frozen=True)
class Scale:
    """Sizes of networks, trainings and evaluations of a study."""

    hidden: int
    """Units of a hidden layer of every encoder."""
    steps: int
    """Training steps of an encoder at the usual batch."""
    batch_size: int
    """Pairs in the usual batch."""
    predictor_hidden: int
    """Units of a hidden layer of the predictor that the planner uses."""
    predictor_steps: int
    """Training steps of that predictor."""
    tasks: int
    """Closed-loop tasks of each training."""
    tasks_under_looks: int
    """Closed-loop tasks under each look."""
    batch_sizes: tuple[int, ...] = (32, 1024)
    """Other batches, swept with as many pairs in all: steps in inverse proportion, learning rates by the root."""
    shares: tuple[float, ...] = (1 / 64, 1.0)
    """Sizes of the data sweep, as shares of the training episodes."""


QUICK = Scale(
    hidden=64, steps=300, batch_size=256, predictor_hidden=192, predictor_steps=400, tasks=40, tasks_under_looks=10
)


def scale_of(config: CompareConfig, training: TrainConfig) -> Scale:
    """The sizes of a study of one world; `training` is the world's recipe, with what the user changed in it."""
    if config.scale == "quick":
        return QUICK
    return Scale(
        hidden=training.encoder.hidden,
        steps=training.method.optim.steps,
        batch_size=training.method.optim.batch_size,
        predictor_hidden=training.predictor.hidden,
        predictor_steps=training.predictor_training.steps,
        tasks=100,
        tasks_under_looks=25,
    )
