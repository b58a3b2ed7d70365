"""From a command line to the settings of a verb."""

import dataclasses
import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from worldmodel.cli.overrides import values
from worldmodel.settings import ControlConfig, PlanConfig, TrainConfig, ViewConfig, read_run_config
from worldmodel.settings.arguments import configure
from worldmodel.settings.convert import plain


def settings_of(cls: type[Any], options: Sequence[str], suffix: str = "") -> Any:
    """The checked settings; `suffix` is added to the name of a run that is trained.

    Raises:
        UserError: an unknown option, a wrong type or a value out of range.
    """
    chosen = values(options, cls)
    plan = kept_plan(cls, chosen)
    config = configure(cls, chosen, plan and {"plan": plain(plan)})
    if suffix and isinstance(config, TrainConfig):
        config = dataclasses.replace(config, name=f"{config.run_name}-{suffix}")
    return config


def kept_plan(cls: type[Any], chosen: Mapping[str, object]) -> PlanConfig | None:
    """How the run plans that `control` or `view` is asked to drive; None for other verbs, or without a run."""
    if cls not in (ControlConfig, ViewConfig) or not chosen.get("run"):
        return None
    from worldmodel.runs.zoo import find_run

    run = find_run(str(chosen["run"]))
    first = next((path for path in sorted(glob.glob(run)) if (Path(path) / "config.yaml").exists()), None)
    return None if first is None else read_run_config(Path(first)).plan
