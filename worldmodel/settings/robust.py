"""`robust`: under which looks a run is to be judged."""

from dataclasses import dataclass, field
from typing import Literal

from worldmodel.settings.base import Count, NonNegativeInt, Positive, Settings
from worldmodel.settings.training import Device
from worldmodel.system.errors import UserError

Level = Literal["easy", "medium", "hard"]
Motion = Literal["static", "dynamic"]


def usual_looks() -> dict[str, list[float]]:
    """What a camera on a robot meets, at the strengths at which encoders trained without it fail."""
    return {
        "texture": [0.15, 0.6],
        "cloud": [0.6],
        "video": [0.15, 0.5],
        "tint": [0.6],
        "robot_colour": [1.0],
        "light": [0.38],
        "patch": [10],
        "distractor": [5],
        "camera_tilt": [2],
        "camera_shift": [2.7],
        "camera_roll": [5],
        "camera_zoom": [3],
        "noise": [25],
        "blur": [2],
        "speckle": [0.05],
        "compression": [80],
    }


@dataclass(frozen=True)
class RobustConfig(Settings):
    """Drive a run's robot to goal images in worlds that look different, and read the state from their frames.

    The goal is photographed in the same shifted world as the episode begins; what moves, then moves on. Nothing is
    trained, and nothing of the physics changes.
    """

    run: str = ""
    """A run directory, or a pattern like "runs/reacher-s?" for several training seeds, which then do the same tasks."""
    looks: dict[str, list[float]] = field(default_factory=usual_looks)
    """Kind of look -> strengths to try, such as {texture: [0.15, 0.6], camera_tilt: [2]}; {}: none. docs/LOOKS.md lists
    the kinds and the units of their strengths."""
    levels: list[Level] = field(default_factory=list)
    """Also the Distracting Control Suite's backgrounds, cameras and colours (arXiv:2101.02722), each alone and all
    together, at these of its levels: easy, medium, hard."""
    motions: list[Motion] = field(default_factory=lambda: ["static", "dynamic"])
    """The suite's settings: static keeps what is drawn for the episode, dynamic moves it on at each control step."""
    pictures: str | None = None
    """Folder of PNG, JPEG or WebP pictures, of MP4 videos, and of folders of pictures, each of which is a video: for
    the look `pictures`, and the suite's backgrounds."""
    instances: Count = 5
    """Draws of each look, among which tasks and frames are divided; as many draws as tasks draw it anew for each task,
    as the Distracting Control Suite does."""
    tasks: Count = 50
    """Tasks for each look, the same for all."""
    frames: Count = 300
    """Frames from which the state is read, by a linear map that was fitted on clean frames of other episodes."""
    windows: Count = 100
    """Windows, each of an episode of its own, from which a run reads the constants that it knows of."""
    protocol: Literal["lewm", "strict"] = "lewm"
    """When a goal counts as reached, as in `control`."""
    goal_steps: Count | None = None
    """Control steps from start to goal; null: as far as in `control`, by the run's `goal_s` or the protocol."""
    budget_steps: Count | None = None
    """Control steps to get there; null takes twice as many."""
    goal_tolerance: dict[str, Positive] | None = None
    """State variable -> how near counts as reached, as in `control`."""
    trust_world: bool = False
    """Allow the Python file that the run names as its world to be executed."""
    seed: NonNegativeInt = 0
    """Seed of tasks, instances and planning."""
    device: Device = "auto"
    """auto takes CUDA where there is a GPU."""
    out: str | None = None
    """Also write the result of all runs together there, as JSON."""
    overwrite: bool = False
    """Replace the file at `out` even where this command has not written it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.levels and not self.motions:
            raise UserError("motions is empty; name static, dynamic or both")
        if self.instances > min(self.tasks, self.frames):
            raise UserError(
                f"instances must be <= tasks={self.tasks} and <= frames={self.frames}, which are divided among them; "
                f"got {self.instances}"
            )
