"""`identify`: the constants of a recording, and a simulator that has them."""

from dataclasses import dataclass, field
from typing import Any, Literal

from worldmodel.settings.base import NonNegativeInt, Settings
from worldmodel.settings.training import Device
from worldmodel.system.errors import UserError

Nuisance = Literal["camera", "delay", "actuators"]


@dataclass(frozen=True)
class IdentifyConfig(Settings):
    """Find the physical constants at work in recordings, with 95 % intervals, and write a simulator that has them.

    A run's encoder turns frames into latents; a readout, fitted on poses that the simulator renders, turns latents into
    positions; least squares through the simulator finds constants. Recordings of known constants, simulated under the
    run's policy, say how wrong readings and intervals are.
    """

    run: str = ""
    """A run directory: its encoder sees the frames, its world is the simulator."""
    recording: str | list[str] = ""
    """The recording to explain, or a list of several: an episode of a data set as data/NAME:17, or a video, clip.mp4,
    with the table of its actions beside it, clip.csv or clip.npz."""
    constants: list[str] = field(default_factory=list)
    """Factors of the world to find; empty: the physical ones that training drew, or else all physical ones."""
    factors: dict[str, Any] = field(default_factory=dict)
    """Further factors of the world by MJCF name, as in env.factors: {drag: {of: joint.hinge.damping, prior: 0.5}}."""
    own: list[str] = field(default_factory=list)
    """Constants that each recording has of its own; all others are common to all recordings."""
    free: list[Nuisance] = field(default_factory=list)
    """What else may differ between recording and simulator and is fitted too: camera (a scale and an offset of
    positions), delay (of frames), actuators (their strength)."""
    check_steps: NonNegativeInt | None = None
    """Control steps at the end that a first fit does not see and must predict; null: a quarter, at most 15; 0: no
    check."""
    poses: int = 20_000
    """Poses rendered to fit the readout from latents to positions; at least 200."""
    calibration_recordings: int = 128
    """Recordings of known constants simulated to fit the error model and the width of intervals; at least 8."""
    mjcf: str | None = None
    """A model file to simulate in place of the run's own world, with the same joints, actuators and camera; null: the
    run's world."""
    search: NonNegativeInt = 0
    """Excitations to try, in search of the one under which to record next; 0: no search."""
    rounds: NonNegativeInt = 0
    """Further recordings to simulate, to see how much they narrow the intervals: each under the best of 48 excitations
    (or `search` of them) at the estimate before it. Needs an episode of a data set, whose constants are known."""
    trust_world: bool = False
    """Allow the Python file that the run names as its world to be executed."""
    seed: NonNegativeInt = 0
    """Seed of poses and simulated recordings."""
    device: Device = "auto"
    """auto takes CUDA where there is a GPU."""
    out: str | None = None
    """Also write the result there, as JSON."""
    overwrite: bool = False
    """Replace the file at `out` even where this command has not written it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.poses < MIN_POSES:
            raise UserError(f"poses must be >= {MIN_POSES}, got {self.poses}")
        if self.calibration_recordings < MIN_CALIBRATION:
            raise UserError(f"calibration_recordings must be >= {MIN_CALIBRATION}, got {self.calibration_recordings}")
        if self.rounds and self.own:
            raise UserError("rounds= adds recordings of the same constants, so own= must be empty")

    @property
    def recordings(self) -> list[str]:
        """The recordings as a list.

        Raises:
            UserError: none was named, or one was named twice.
        """
        names = [self.recording] if isinstance(self.recording, str) else self.recording
        if not any(names):
            raise UserError(
                "which recording? add recording=data/NAME:0 (an episode of a data set) or a video, clip.mp4"
            )
        if len(set(names)) < len(names):
            raise UserError(f"recording names {max(names, key=names.count)!r} twice")
        return list(names)


MIN_POSES, MIN_CALIBRATION = 200, 8
"""Fewer poses do not determine the readout; fewer recordings do not show its errors."""
