"""Names of folders, and settings whose keys another room knows: planners and policies."""

import dataclasses
import re
import typing
from collections.abc import Mapping
from typing import Any

from worldmodel.settings.base import check_value
from worldmodel.system.errors import UserError


def check_name(key: str, name: str) -> None:
    """UserError unless a name is that of one folder: neither a path nor hidden."""
    if not re.fullmatch(r"[\w=][\w.=,+-]{0,199}", name):
        raise UserError(f"{key} is one folder's name (letters, digits, and . = , + - _ inside), got {name!r}")


def check_parameters(group: str, chosen: Mapping[str, Any], classes: Mapping[str, type[Any]]) -> None:
    """UserError unless numbers stand where a planner or policy takes them; its own checks see to names and bounds."""
    cls = classes.get(chosen.get("name", ""))
    hints = typing.get_type_hints(cls) if cls and dataclasses.is_dataclass(cls) else {}
    for name, value in chosen.items():
        if hints.get(name) in (int, float):
            check_value(f"{group}.{name}", value, hints[name])
