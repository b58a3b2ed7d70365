"""Typed settings of everything the toolkit does: frozen dataclasses that check themselves, and the recipes of worlds.

Needs neither torch, MuJoCo nor Hydra, so that `--help` is quick and a notebook can compose settings in Python:

    config = recipe("push_t")
    config = dataclasses.replace(config, seed=1)
"""

from worldmodel.settings.architecture import (
    ContextConfig,
    DecoderConfig,
    EncoderConfig,
    EncoderName,
    HeadsConfig,
    PredictorConfig,
    RewardConfig,
    TransformerConfig,
    ViTConfig,
)
from worldmodel.settings.arguments import configure
from worldmodel.settings.base import (
    Count,
    NonNegativeInt,
    OpenFraction,
    Settings,
    changed,
    field_docs,
    no_effect_on_weights,
)
from worldmodel.settings.calibrating import IdentifyConfig, Nuisance
from worldmodel.settings.choosing import VALUES, Choosable, options_of
from worldmodel.settings.collection import MOST_STEPS, RECORDED, CollectConfig, EnvConfig, KinematicConfig
from worldmodel.settings.control import ChangeConfig, ControlConfig, PlanConfig
from worldmodel.settings.convert import with_options
from worldmodel.settings.distillation import DistillationConfig, SeenLook
from worldmodel.settings.evaluation import (
    SHELL_SD,
    CompareConfig,
    DesignConfig,
    ImagineConfig,
    PositionsConfig,
    ProbeConfig,
    SurpriseConfig,
)
from worldmodel.settings.housekeeping import DataConfig, DemoConfig, ReportConfig, RunsConfig, WorldsConfig, ZooConfig
from worldmodel.settings.method import (
    CONTEXT_METHODS,
    METHODS,
    ContextMethod,
    ContextTraining,
    InfoNCEConfig,
    JEPAConfig,
    LeWMConfig,
    MethodConfig,
    MethodName,
    OptimConfig,
    PredictorOptim,
    ReconstructionConfig,
    StepsConfig,
    VICRegConfig,
    WhiteningConfig,
)
from worldmodel.settings.recipes import recipe
from worldmodel.settings.robust import RobustConfig
from worldmodel.settings.stored import differing, read_run_config, without_gone, write_run_config
from worldmodel.settings.training import (
    HEADS,
    HEADS_TRAINING,
    REWARD,
    TrackerName,
    TrainConfig,
    in_round,
)
from worldmodel.settings.viewing import ViewConfig

__all__ = [
    "CONTEXT_METHODS",
    "HEADS",
    "HEADS_TRAINING",
    "METHODS",
    "MOST_STEPS",
    "RECORDED",
    "REWARD",
    "SHELL_SD",
    "VALUES",
    "ChangeConfig",
    "Choosable",
    "CollectConfig",
    "CompareConfig",
    "ContextConfig",
    "ContextMethod",
    "ContextTraining",
    "ControlConfig",
    "Count",
    "DataConfig",
    "DecoderConfig",
    "DemoConfig",
    "DesignConfig",
    "DistillationConfig",
    "EncoderConfig",
    "EncoderName",
    "EnvConfig",
    "HeadsConfig",
    "IdentifyConfig",
    "ImagineConfig",
    "InfoNCEConfig",
    "JEPAConfig",
    "KinematicConfig",
    "LeWMConfig",
    "MethodConfig",
    "MethodName",
    "NonNegativeInt",
    "Nuisance",
    "OpenFraction",
    "OptimConfig",
    "PlanConfig",
    "PositionsConfig",
    "PredictorConfig",
    "PredictorOptim",
    "ProbeConfig",
    "ReconstructionConfig",
    "ReportConfig",
    "RewardConfig",
    "RobustConfig",
    "RunsConfig",
    "SeenLook",
    "Settings",
    "StepsConfig",
    "SurpriseConfig",
    "TrackerName",
    "TrainConfig",
    "TransformerConfig",
    "VICRegConfig",
    "ViTConfig",
    "ViewConfig",
    "WhiteningConfig",
    "WorldsConfig",
    "ZooConfig",
    "changed",
    "configure",
    "differing",
    "field_docs",
    "in_round",
    "no_effect_on_weights",
    "options_of",
    "read_run_config",
    "recipe",
    "with_options",
    "without_gone",
    "write_run_config",
]
