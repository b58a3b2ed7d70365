"""The files to be damaged: a small data set, and a small run with every kind of file."""

from dataclasses import dataclass
from pathlib import Path

from worldmodel.data import Recording
from worldmodel.learning import train
from worldmodel.settings import (
    CollectConfig,
    ContextConfig,
    ContextTraining,
    DistillationConfig,
    EncoderConfig,
    EnvConfig,
    MethodConfig,
    OptimConfig,
    PredictorConfig,
    PredictorOptim,
    StepsConfig,
    TrainConfig,
)


@dataclass(frozen=True)
class Subjects:
    """Valid files to begin with."""

    data: Path
    """A data set."""
    run: Path
    """A run that was trained on it."""


class ShortShards(Recording):
    """Shards of four episodes, so that there are several; a class, since worker processes must unpickle it."""

    @property
    def episodes_per_shard(self) -> int:
        """See `Recording.episodes_per_shard`."""
        return 4


def collecting(data: Path, episodes: int = 12, steps: int = 60) -> CollectConfig:
    """A data set of a puck of unknown mass and friction, 16 x 16 pixels."""
    env = EnvConfig(world="puck", image_size=16, randomize=["mass", "friction"])
    return CollectConfig(
        env, {"name": "uniform", "hold_steps": 2}, episodes, steps, drift_rho=0.8, data=str(data), workers=1
    )


def training(root: Path, name: str = "run", num_steps: int = 10) -> TrainConfig:
    """A training of every stage whose length can be set, each of so many steps."""
    optim = OptimConfig(steps=num_steps, batch_size=32)
    return TrainConfig(
        collecting(root / "data"),
        encoder=EncoderConfig(input_size=16, hidden=16, latent_dim=4),
        method=MethodConfig(lag=3, sigreg_start=0.02, sigreg_end=0.02, on_collapse="report", optim=optim),
        context=ContextConfig(window=9),
        context_training=ContextTraining(optim=optim),
        predictor=PredictorConfig(hidden=16, horizon=4, history=[0, 1]),
        predictor_training=PredictorOptim(optim.steps, optim.batch_size),
        decoder_training=StepsConfig(num_steps),
        robust=True,
        distillation=DistillationConfig(optim=StepsConfig(num_steps)),
        runs=str(root),
        name=name,
        device="cpu",
    )


def make_subjects(root: Path) -> Subjects:
    """Collect and train, in seconds."""
    config = training(root)
    train(config)
    return Subjects(config.collection.directory, root / "run")
