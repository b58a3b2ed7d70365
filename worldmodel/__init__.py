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
    from worldmodel import envs as envs
    from worldmodel import planners as planners
    from worldmodel.compare import compare as compare
    from worldmodel.data import CollectResult as CollectResult
    from worldmodel.data import DataSet as DataSet
    from worldmodel.data import collect as collect
    from worldmodel.design import DesignResult as DesignResult
    from worldmodel.design import design as design
    from worldmodel.evaluation import control as control
    from worldmodel.evaluation import positions as positions
    from worldmodel.evaluation import probe as probe
    from worldmodel.evaluation import surprise as surprise
    from worldmodel.learning import train as train
    from worldmodel.models import WorldModel as WorldModel
    from worldmodel.report import report as report
    from worldmodel.runs import Run as Run
    from worldmodel.settings import CollectConfig as CollectConfig
    from worldmodel.settings import recipe as recipe
    from worldmodel.system.errors import UserError as UserError

# name -> room that has it; rooms are imported when a name is first asked for, so that `import worldmodel` is quick
_ROOM_OF = {
    **dict.fromkeys(("collect", "CollectResult", "DataSet"), "data"),
    **dict.fromkeys(("train",), "learning"),
    **dict.fromkeys(("control", "positions", "probe", "surprise"), "evaluation"),
    **dict.fromkeys(("design", "DesignResult"), "design"),
    **dict.fromkeys(("compare", "CompareResult"), "compare"),
    **dict.fromkeys(("report",), "report"),
    **dict.fromkeys(("Run", "TrainResult", "ControlResult", "ProbeResult", "SurpriseResult"), "runs"),
    **dict.fromkeys(("WorldModel",), "models"),
    **dict.fromkeys(
        (
            "CollectConfig",
            "CompareConfig",
            "ControlConfig",
            "DesignConfig",
            "PositionsConfig",
            "ProbeConfig",
            "ReportConfig",
            "SurpriseConfig",
            "TrainConfig",
            "recipe",
        ),
        "settings",
    ),
    "UserError": "system.errors",
}

__all__ = ["envs", "planners", *_ROOM_OF]


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
