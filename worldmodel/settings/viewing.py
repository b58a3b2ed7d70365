"""`view`: a live view in the browser."""

from dataclasses import dataclass
from typing import Annotated

import msgspec

from worldmodel.settings.base import Count, NonNegativeInt, Positive, Settings
from worldmodel.settings.control import PlanConfig
from worldmodel.settings.training import Device
from worldmodel.system.errors import UserError

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


@dataclass(frozen=True)
class ViewConfig(Settings):
    """Watch a model drive its world, and change what it meets: a page at 127.0.0.1, which no other machine can reach.

    A run trained in a simulator is shown live. A run trained on recordings plays them, with the model's prediction
    beside what was recorded; so does any run with `data`. A data set alone is played as it is.
    """

    run: str = ""
    """A run directory, or zoo/reacher; empty: only a data set."""
    data: str | None = None
    """A data set to play; null: live, where the run has a simulator, and else the data set that it was trained on."""
    plan: PlanConfig | None = None
    """How to plan at first; null takes what the run keeps. It can be changed on the page."""
    port: Port = 8008
    """Port at which the page is served; 0 takes any that is free."""
    open: bool = True
    """Open the page in a browser, where there is a display."""
    serve: bool = True
    """Serve a page; without one, `steps` control steps are made and recorded."""
    steps: Count | None = None
    """Control steps after which the view ends; null: when it is stopped (Ctrl-C)."""
    steps_per_s: Positive = 25.0
    """Control steps a second at most; it can be changed on the page."""
    save: str | None = None
    """At the end, write the last two minutes there as one HTML file that needs no server."""
    trust_world: bool = False
    """Allow the Python file that the run names as its world to be executed."""
    seed: NonNegativeInt = 0
    """Seed of starts, goals and planning."""
    device: Device = "cpu"
    """cuda pays for models of LeWM's size; for others one plan at a time is as quick on a CPU."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.serve and (self.steps is None or self.save is None):
            raise UserError("serve=false only records: add steps=200 and save=view.html, or leave out serve=false")
