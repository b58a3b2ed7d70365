"""Train world models on MuJoCo pixels, prove what their latents are, plan in them, and read physical constants out.

    import worldmodel as wm

    config = wm.recipe("reacher")                   # settings that work well for this world
    wm.train(config)                                # collects first; runs/reacher
    driven = wm.control(wm.ControlConfig(run="runs/reacher"))
    wm.report(wm.ReportConfig(run="runs/reacher"))  # one HTML page

Every function takes a typed configuration, returns a typed result and leaves files that the next one reads. `envs` and
`planners` stand on their own: worlds without learning, planners for any model.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

# The repository's top-level folders `envs`, `planners` and `configs` belong to this package: a wheel holds them here, a
# clone links to them from here. Where the links are missing (some archives; Windows without the right to make them),
# the folder beside this one is searched as well.
_HERE = Path(__file__).parent
if not (_HERE / "envs").is_dir():
    __path__.append(str(_HERE.parent))

if TYPE_CHECKING:
    from worldmodel import envs, planners
    from worldmodel.choosing import choose
    from worldmodel.comparing import CompareResult, compare
    from worldmodel.data import CollectResult, DataSet, collect
    from worldmodel.designing import DesignResult, WorldsResult, design, worlds
    from worldmodel.evaluation import PositionsResult, control, imagine, positions, probe, robust, surprise
    from worldmodel.identifying import identify
    from worldmodel.improving import train
    from worldmodel.models import WorldModel
    from worldmodel.reporting import report
    from worldmodel.runs import (
        ChoiceResult,
        ControlResult,
        IdentifyResult,
        ImagineResult,
        ProbeResult,
        RobustResult,
        Run,
        SurpriseResult,
        TrainResult,
    )
    from worldmodel.runs.zoo import zoo
    from worldmodel.settings import (
        CollectConfig,
        CompareConfig,
        ControlConfig,
        DesignConfig,
        IdentifyConfig,
        ImagineConfig,
        PositionsConfig,
        ProbeConfig,
        ReportConfig,
        RobustConfig,
        SurpriseConfig,
        TrainConfig,
        ViewConfig,
        WorldsConfig,
        recipe,
    )
    from worldmodel.system.errors import UserError
    from worldmodel.viewing import ViewResult, view

__all__ = [
    "ChoiceResult",
    "CollectConfig",
    "CollectResult",
    "CompareConfig",
    "CompareResult",
    "ControlConfig",
    "ControlResult",
    "DataSet",
    "DesignConfig",
    "DesignResult",
    "IdentifyConfig",
    "IdentifyResult",
    "ImagineConfig",
    "ImagineResult",
    "PositionsConfig",
    "PositionsResult",
    "ProbeConfig",
    "ProbeResult",
    "ReportConfig",
    "RobustConfig",
    "RobustResult",
    "Run",
    "SurpriseConfig",
    "SurpriseResult",
    "TrainConfig",
    "TrainResult",
    "UserError",
    "ViewConfig",
    "ViewResult",
    "WorldModel",
    "WorldsConfig",
    "WorldsResult",
    "choose",
    "collect",
    "compare",
    "control",
    "design",
    "envs",
    "identify",
    "imagine",
    "planners",
    "positions",
    "probe",
    "recipe",
    "report",
    "robust",
    "surprise",
    "train",
    "view",
    "worlds",
    "zoo",
]

_NAMES = {
    "choosing": ("choose",),
    "comparing": ("CompareResult", "compare"),
    "data": ("CollectResult", "DataSet", "collect"),
    "designing": ("DesignResult", "WorldsResult", "design", "worlds"),
    "evaluation": ("PositionsResult", "control", "imagine", "positions", "probe", "robust", "surprise"),
    "identifying": ("identify",),
    "improving": ("train",),
    "models": ("WorldModel",),
    "reporting": ("report",),
    "runs": (
        "ChoiceResult",
        "ControlResult",
        "IdentifyResult",
        "ImagineResult",
        "ProbeResult",
        "RobustResult",
        "Run",
        "SurpriseResult",
        "TrainResult",
    ),
    "runs.zoo": ("zoo",),
    "settings": (
        "CollectConfig",
        "CompareConfig",
        "ControlConfig",
        "DesignConfig",
        "IdentifyConfig",
        "ImagineConfig",
        "PositionsConfig",
        "ProbeConfig",
        "ReportConfig",
        "RobustConfig",
        "SurpriseConfig",
        "TrainConfig",
        "ViewConfig",
        "WorldsConfig",
        "recipe",
    ),
    "system.errors": ("UserError",),
    "viewing": ("ViewResult", "view"),
}
_ROOM_OF = {name: room for room, names in _NAMES.items() for name in names}
"""Name -> room that has it: a room is imported when one of its names is first asked for, so that `import worldmodel` is
quick."""


def __getattr__(name: str) -> Any:
    if name in ("envs", "planners"):
        return importlib.import_module(f"worldmodel.{name}")
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'worldmodel' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(f"worldmodel.{_ROOM_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
