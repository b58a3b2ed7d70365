"""`train`: everything that makes a world model, in one tree of settings."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from worldmodel.settings.architecture import ContextConfig, EncoderConfig, HeadsConfig, PredictorConfig
from worldmodel.settings.base import Count, NonNegativeInt, Positive, Settings, changed, no_effect_on_weights
from worldmodel.settings.collection import CollectConfig, EnvConfig
from worldmodel.settings.control import PlanConfig
from worldmodel.settings.distillation import DistillationConfig
from worldmodel.settings.method import ContextTraining, MethodConfig, OptimConfig, PredictorOptim, StepsConfig
from worldmodel.settings.names import check_name
from worldmodel.system.errors import UserError

Device = Literal["auto", "cpu", "cuda"]
TrackerName = Literal["tensorboard", "trackio", "wandb"]


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
    decoder_training: StepsConfig = field(default_factory=StepsConfig)
    """How long the decoder learns. Of few frames, training ends after 40 passes over them."""
    robust: bool = False
    """Also learn a robust encoder, which gives the same latents where the world looks different; the run sees by it
    where it costs nothing on frames as they are. It can be added to a finished run."""
    distillation: DistillationConfig | None = None
    """How the robust encoder learns; null takes its defaults."""
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
    """Where curves, figures and videos of the run are shown, also those of `control`. tensorboard: files in the run's
    folder. trackio, wandb: these packages, which show them beside other runs."""

    def __post_init__(self) -> None:
        if self.plan is None:
            object.__setattr__(self, "plan", PlanConfig())
        super().__post_init__()
        if self.name is not None:
            check_name("name", self.name)
        if self.strategy == "fsdp" and self.predictor_training.optimizer == "muon":
            raise UserError("strategy=fsdp shards matrices and optimizer=muon moves whole ones; use strategy=ddp")

    @property
    def env(self) -> EnvConfig:
        """The world of the episodes."""
        return self.collection.env

    @property
    def poses(self) -> CollectConfig:
        """What trains the encoder: the atlas, or else the episodes."""
        return self.atlas or self.collection

    @property
    def run_name(self) -> str:
        """What the run is called."""
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
    def distillation_or_default(self) -> DistillationConfig:
        """The robust encoder's training."""
        return self.distillation or DistillationConfig()

    def stage_settings(self) -> dict[str, dict[str, Any]]:
        """Stage -> what its weights depend on, as far as it is not at its default; stages in their order.

        A stage whose own settings and those of all stages before it are as they were keeps its weights.
        """
        values = changed(self)
        stages: dict[str, dict[str, Any]] = {
            stage: {} for stage in ("encoder", "context", "predictor", "heads", "decoder", "looks")
        }
        lewm = self.method.name == "lewm"  # whose encoder stage trains the predictor as well
        for path, value in values.items():
            group = path.split(".")[0]
            stage = {
                "context": "context",
                "context_training": "context",
                "predictor": "encoder" if lewm else "predictor",
                "predictor_training": "encoder" if lewm else "predictor",
                "goal_heads": "heads",
                "decoder": "decoder",
                "decoder_training": "decoder",
                "robust": "looks",
                "distillation": "looks",
            }.get(group, "encoder")
            stages[stage][path] = value
        return stages


HEADS = HeadsConfig()
HEADS_TRAINING = OptimConfig(steps=3000, batch_size=512, lr=2e-3)
