"""What every measured figure stands beside: the versions and the machine that it was measured with."""

from dataclasses import asdict
from typing import Any

from worldmodel.runs import this_machine, versions


def with_provenance(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures, the versions of what they may depend on, and this machine."""
    return figures | {"versions": versions(), "hardware": asdict(this_machine())}
