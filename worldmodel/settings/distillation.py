"""How the robust encoder learns: which looks its views have."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from worldmodel.settings.base import Count, Settings
from worldmodel.settings.method import StepsConfig
from worldmodel.system.errors import UserError

SeenLook = Literal[
    "background", "tint", "robot_colour", "patch", "distractor", "bar", "camera", "blur", "speckle", "noise"
]


@dataclass(frozen=True)
class DistillationConfig(Settings):
    """The robust encoder: it learns to give the encoder's latents of clean frames from frames under other looks."""

    kinds: list[SeenLook] = field(default_factory=lambda: list(get_args(SeenLook)))
    """Kinds of look that its training frames are given; leave one out to measure robustness to a kind never seen."""
    frames: Count = 20_000
    """Most training frames to learn from."""
    optim: StepsConfig = field(default_factory=lambda: StepsConfig(2000))
    """How long it learns; at most 40 passes over the training frames."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kinds:
            raise UserError(f"distillation.kinds is empty; name some of {', '.join(get_args(SeenLook))}")
