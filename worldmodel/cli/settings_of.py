"""From a command line to the settings of a verb."""

import dataclasses
import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from worldmodel.cli.overrides import values
from worldmodel.settings import ControlConfig, TrainConfig, ViewConfig, read_run_config
from worldmodel.settings.arguments import configure
from worldmodel.settings.convert import plain


def settings_of(cls: type[Any], options: Sequence[str], suffix: str = "") -> Any:
    """The checked settings; `suffix` is added to the name of a run that is trained.

    Raises:
        UserError: an unknown option, a wrong type or a value out of range.
    """
    chosen = values(options, cls)
    config = configure(cls, chosen, _base(cls, chosen))
    if suffix and isinstance(config, TrainConfig):
        config = dataclasses.replace(config, name=f"{config.run_name}-{suffix}")
    return config


def _base(cls: type[Any], chosen: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is set before the options: for `control` and `view`, how the run itself plans; options change it."""
    if cls not in (ControlConfig, ViewConfig):
        return None
    from worldmodel.runs.zoo import find_run

    run = find_run(str(chosen.get("run", "")))
    first = next((path for path in sorted(glob.glob(run)) if (Path(path) / "config.yaml").exists()), None)
    return None if first is None else {"plan": plain(read_run_config(Path(first)).plan)}
