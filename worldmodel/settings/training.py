"""`train`: everything that makes a world model, in one tree of settings."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from worldmodel.settings.architecture import (
    ContextConfig,
    EncoderConfig,
    HeadsConfig,
    PredictorConfig,
    RewardConfig,
)
from worldmodel.settings.base import (
    Count,
    NonNegativeInt,
    Positive,
    Settings,
    TrackerName,
    changed,
    no_effect_on_weights,
)
from worldmodel.settings.choosing import Choosable
from worldmodel.settings.collection import RECORDED, CollectConfig, EnvConfig
from worldmodel.settings.control import PlanConfig
from worldmodel.settings.distillation import DistillationConfig
from worldmodel.settings.method import ContextTraining, MethodConfig, OptimConfig, PredictorOptim, StepsConfig
from worldmodel.settings.names import check_name
from worldmodel.system.errors import UserError
from worldmodel.system.files import check_inside

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class TrainConfig(Settings):
    """A world model: an encoder, then latent dynamics and physical constants on its frozen latents."""

    collection: CollectConfig = field(default_factory=CollectConfig)
    """Episodes to learn from; collected first where the data set lacks some."""
    atlas: CollectConfig | None = None
    """Frames that train the encoder, where they are not those of `collection`: an atlas of poses for OU pairs."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """The frame encoder."""
    method: MethodConfig = field(default_factory=MethodConfig)
    """How the encoder learns."""
    predictor: PredictorConfig = field(default_factory=PredictorConfig)
    """The latent dynamics."""
    predictor_training: PredictorOptim = field(
        default_factory=lambda: PredictorOptim(steps=3000, batch_size=512, lr=2e-3)
    )
    """Optimiser of the latent dynamics."""
    context: ContextConfig | None = None
    """The context encoder, which is trained where physical constants vary; null takes its defaults."""
    context_training: ContextTraining | None = None
    """How the context encoder learns; null takes its defaults."""
    goal_heads: bool = False
    """Also learn an inverse dynamics, a temporal distance and metrics of the latent space, which plan.metric and
    plan.proposal need. They can be added to a finished run."""
    decoder: bool = True
    """Also learn to turn latents back into frames: last of all, so that nothing else depends on it. It can be added to
    a finished run."""
    decoder_training: StepsConfig | None = None
    """How long the decoder learns, at most 40 passes over its frames; null takes 1,500 steps."""
    reward_head: bool = True
    """Also learn the reward, where recordings hold one that differs: last of all, so that nothing else depends on it.
    protocol=reward and rounds plan by it. It can be added to a finished run."""
    robust: bool = False
    """Also learn a robust encoder, which gives the same latents where the world looks different: the run sees by it on
    frames on which the two encoders disagree. It can be added to a finished run."""
    distillation: DistillationConfig | None = None
    """How the robust encoder learns; null takes its defaults."""
    choose: tuple[Choosable, ...] = no_effect_on_weights(())
    """Settings that training first chooses by itself, in this order, by short training runs and without labels: any of
    lag, input_size, sigreg (its weight) and latent_dim. A setting that differs from the world's recipe, or is given on
    the command line, is kept; [] chooses nothing."""
    rounds: NonNegativeInt = 0
    """Rounds after the first training. In each, the model drives the robot, by reward or to recorded goal images, and
    training goes on with the new episodes: a fifth as many as were recorded at first. More can be added later. A world
    without a recipe of its own takes size=rounds, where an action is held for a twentieth of a second."""
    plan: PlanConfig = no_effect_on_weights(None)
    """How `control` plans with this model where it is not set otherwise."""
    goal_s: Positive | None = no_effect_on_weights(None)
    """Seconds from start to goal in the tasks of `control`, where it is not set otherwise; null takes its protocol's
    own number of control steps."""
    runs: str = no_effect_on_weights("runs")
    """Folder in which run directories are made."""
    name: str | None = no_effect_on_weights(None)
    """The run directory is runs/NAME; null takes the world's name."""
    seed: NonNegativeInt = 0
    """Seed of every random draw of training."""
    device: Device = "auto"
    """Where it computes; auto takes CUDA where there is a GPU."""
    threads: Count | None = no_effect_on_weights(None)
    """Threads of torch on a CPU; null takes one for an MLP (a second one gains a quarter on an idle machine and costs
    tenfold on a busy one), and every core for larger encoders."""
    devices: Count = no_effect_on_weights(1)
    """Processes on each machine that share every batch; the weights are those of one process. torchrun says
    itself how many there are and on how many machines, and SLURM's srun says the latter."""
    strategy: Literal["ddp", "fsdp"] = no_effect_on_weights("ddp")
    """How processes share the work. ddp: each holds the whole model. fsdp: optimiser states and gradients are split."""
    track: TrackerName = no_effect_on_weights("tensorboard")
    """Where curves, figures and videos of the run are shown. tensorboard: files in the run's folder. trackio, wandb:
    these packages, which show them beside other runs."""

    def __post_init__(self) -> None:
        if self.plan is None:
            object.__setattr__(self, "plan", PlanConfig())
        super().__post_init__()
        if self.name is not None:
            check_name("name", self.name)
        if self.rounds and self.devices > 1:
            raise UserError(f"rounds={self.rounds} are collected by one process; leave out devices")
        if self.rounds and self.collection.env.world == RECORDED:
            raise UserError(
                f"rounds={self.rounds} need a simulator, and the data of {self.env.label} are from elsewhere"
            )
        if self.rounds and self.collection.env.kinematic:
            raise UserError(f"rounds={self.rounds} need a world with actions, {self.env.label} has none")
        if self.choose and (self.atlas or self.collection.env.kinematic):
            raise UserError(
                f"choose={','.join(self.choose)} judges by what a world does under actions, and the encoder of "
                f"{self.env.label} learns from poses alone; leave out choose"
            )
        if self.strategy == "fsdp" and self.predictor_training.optimizer == "muon":
            raise UserError("strategy=fsdp shards matrices and optimizer=muon moves whole ones; use strategy=ddp")

    @property
    def env(self) -> EnvConfig:
        """The world of the episodes."""
        return self.collection.env

    @property
    def poses(self) -> CollectConfig:
        """The collection that trains the encoder: the atlas, or else the episodes."""
        return self.atlas or self.collection

    def round_directory(self, number: int) -> Path:
        """Where the data set of a round is, from 1 on; UserError where a link there leads out of the run."""
        return check_inside(self.run_directory / "rounds" / str(number), self.run_directory)

    @property
    def run_name(self) -> str:
        """Name of the run."""
        return self.name or self.env.label

    @property
    def run_directory(self) -> Path:
        """Where the run is."""
        return Path(self.runs) / self.run_name

    def at(self, data: str | None = None, runs: str | None = None, workers: int | None = None) -> "TrainConfig":
        """The same training with other folders of data sets and of runs, or another number of recording processes."""
        changes: dict[str, Any] = {} if data is None else {"data": data}
        if workers is not None:
            changes["workers"] = workers
        return replace(
            self,
            collection=replace(self.collection, **changes),
            atlas=replace(self.atlas, **changes) if self.atlas else None,
            runs=self.runs if runs is None else runs,
        )

    @property
    def context_or_default(self) -> ContextConfig:
        """The context encoder's settings."""
        return self.context or ContextConfig()

    @property
    def context_training_or_default(self) -> ContextTraining:
        """The context encoder's training."""
        return self.context_training or ContextTraining()

    @property
    def decoder_steps(self) -> int:
        """Training steps of the decoder."""
        return (self.decoder_training or StepsConfig()).steps

    @property
    def distillation_or_default(self) -> DistillationConfig:
        """The robust encoder's training."""
        return self.distillation or DistillationConfig()

    def stage_settings(self) -> dict[str, dict[str, Any]]:
        """Stage -> what its weights depend on, as far as it is not at its default; stages in their order.

        A stage whose own settings and those of all stages before it are as they were keeps its weights.
        """
        stages: dict[str, dict[str, Any]] = {stage: {} for stage in _FIRST_STAGES}
        for number in range(1, self.rounds + 1):
            stages |= {in_round(stage, number): {"round": number} for stage in ("encoder", "predictor")}
        stages |= {stage: {} for stage in _LAST_STAGES}
        if self.rounds:  # these learn anew on the latents of the last round
            stages |= {stage: {"rounds": self.rounds} for stage in _LAST_STAGES}
        lewm = self.method.name == "lewm"  # whose encoder stage trains the predictor as well
        for path, value in changed(self).items():
            stage = _STAGE_OF_SETTING.get(path.split(".")[0], "encoder")
            if path == "reward_head" and self.rounds:
                stage = in_round("encoder", 1)  # a first round without one drives elsewhere, and sees other things
            if path != "rounds":
                stages["encoder" if lewm and stage == "predictor" else stage][path] = value
        if self.robust:  # runs of earlier versions have one of another kind, which cannot be taken up
            stages["looks"]["robust_encoder.kind"] = ROBUST_KIND
        return stages


def in_round(stage: str, number: int) -> str:
    """Name of a stage's continuation in a round."""
    return f"{stage}-{number}"


_FIRST_STAGES = ("encoder", "context", "predictor")
_LAST_STAGES = ("heads", "decoder", "looks", "reward")
_STAGE_OF_SETTING = {
    "context": "context",
    "context_training": "context",
    "predictor": "predictor",
    "predictor_training": "predictor",
    "goal_heads": "heads",
    "decoder": "decoder",
    "decoder_training": "decoder",
    "reward_head": "reward",
    "robust": "looks",
    "distillation": "looks",
}
"""Part of the settings -> the stage whose weights depend on it; the others concern the encoder."""

ROBUST_KIND: Final = "paired"
"""Of robust encoders that are trained now."""

HEADS = HeadsConfig()
HEADS_TRAINING = OptimConfig(steps=3000, batch_size=512, lr=2e-3)
REWARD = RewardConfig()
