"""The three axes of the Distracting Control Suite (Stone et al. 2021, arXiv:2101.02722), still and in motion.

Ranges, speeds and rules are those of the authors' code: google-research/distracting_control, the files suite_utils.py,
background.py, camera.py and color.py. One step is one control step of the world, as there. docs/LOOKS.md says what
differs.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Literal, TypeVar

import mujoco
import numpy as np

from worldmodel.envs.looks.backgrounds import behind
from worldmodel.envs.looks.colours import rotation_about
from worldmodel.envs.looks.look import Aimer, CameraLook, FrameLook, Look, ModelLook, Painter, Pose, View, Writer
from worldmodel.envs.looks.patterns import film

Level = Literal["easy", "medium", "hard"]
Axis = Literal["backgrounds", "cameras", "colours", "all"]
Motion = Literal["static", "dynamic"]

SCALES: dict[Level, float] = {"easy": 0.1, "medium": 0.2, "hard": 0.3}
"""Level -> beta, the scale of cameras and colours."""
NUM_FILMS: dict[Level, int] = {"easy": 4, "medium": 8, "hard": 60}
"""Level -> how many films there are, of which each instance shows one."""
GROUND_KEPT = {"cartpole": 0.3, "finger": 0.3, "ball_in_cup": 0.3, "walker": 1.0, "cheetah": 1.0}
"""World -> opacity of the ground in front of the film; 0 for the reacher and, here, for worlds not in the suite."""

_OVERHEAD = 0.1  # radians from the vertical within which a camera looks straight down
_FILMS_SEED = 4_001


@dataclass(frozen=True)
class SuiteBackground(FrameLook):
    """The suite's backgrounds: a video behind the robot, or one picture of it."""

    moving: bool = False
    """Whether the video runs, one picture a control step, forwards and backwards."""
    ground_kept: float = 0.0
    """Opacity of the ground, where the frame shows any."""
    films: Sequence[np.ndarray] = field(default=(), compare=False)
    """Films uint8 (T, S, S, 3), of the size of the frames; none computes them."""
    num_films: int = NUM_FILMS["hard"]
    """Number of films to choose from, the first ones."""

    unit: ClassVar[str] = "the share of the video in what is seen"
    highest: ClassVar[float] = 1.0
    needs_robot: ClassVar[bool] = True

    def painter(self, rng: np.random.Generator, size: int) -> Painter:
        number = int(rng.integers(min(self.num_films, len(self.films) or self.num_films)))
        shown = self.films[number] if self.films else film(np.random.default_rng((_FILMS_SEED, number)), size)
        if shown.shape[1:] != (size, size, 3):
            raise ValueError(f"films must be uint8 (T, {size}, {size}, 3), got shape {shown.shape}")
        first, way, num = int(rng.integers(len(shown))), int(rng.choice([-1, 1])), len(shown)

        def paint(frame: np.ndarray, robot: np.ndarray, step: int) -> np.ndarray:
            place = (first + way * step) % (2 * num) if self.moving else first
            picture = shown[place if place < num else 2 * num - 1 - place].astype(np.float32)
            ground = frame.max(-1, keepdims=True) > 0  # nothing else is behind the scene in fast rendering
            return behind(frame, robot, picture, self.strength * (1 - self.ground_kept * ground))

        return paint


@dataclass(frozen=True)
class SuiteCamera(CameraLook):
    """The suite's cameras: a place on a sphere around the world's origin, and a roll.

    Both angles of the sphere and the roll differ by up to 90 beta degrees, the radius by -50 beta to +150 beta per
    cent; cameras that do not look straight down stay above the ground and in front of the scene. A camera that follows
    has its sphere around the agent. In motion, velocities do a random walk: at most .4 beta quarters of the radius a
    step along, and 3.6 beta degrees in roll.
    """

    moving: bool = False
    """Whether the camera moves on at each control step."""

    unit: ClassVar[str] = "the suite's scale beta"
    highest: ClassVar[float] = 1.0

    def aimer(self, rng: np.random.Generator) -> Aimer:
        seed = int(rng.integers(2**31))
        courses: dict[bytes, _Course[_Place]] = {}

        def aim(view: View, step: int) -> Pose:
            centre = view.agent if view.follows else np.zeros(3)
            start = np.array(_to_sphere(view.position - centre))
            overhead = abs(start[2]) < _OVERHEAD
            key = start.round(6).tobytes()  # one that follows is at the same place up to rounding
            if key not in courses:
                courses[key] = _Course(self._places(start, overhead, np.random.default_rng(seed)))
            place = courses[key].at(step if self.moving else 0)
            position = centre + _from_sphere(place.sphere)
            target = view.position - np.linalg.norm(view.position - view.agent) * view.rotation[:, 2]
            before, after = (_looking(one - target, overhead) for one in (view.position, position))
            return position, after @ before.T @ view.rotation @ rotation_about(np.array([0.0, 0, 1]), place.roll)

        return aim

    def _places(self, start: np.ndarray, overhead: bool, rng: np.random.Generator) -> "Iterator[_Place]":
        """Where the camera is, step by step, from its radius, azimuth and polar angle in the world as it is."""
        most, quarter, pace = self.strength * math.pi / 2, start[0] / 4, self.strength * self.moving
        low = np.array([start[0] * (1 - 0.5 * self.strength), start[1] - most, start[2] - most])
        high = np.array([start[0] * (1 + 1.5 * self.strength), start[1] + most, start[2] + most])
        if not overhead:
            front = np.array([[-math.pi, 0], [0, math.pi / 2]])  # a camera that is elsewhere stays on its side of it
            low[1:] = np.maximum(low[1:], np.minimum(front[0], start[1:]))
            high[1:] = np.minimum(high[1:], np.maximum(front[1], start[1:]))
        sphere, roll = rng.uniform(low, high), rng.uniform(-most, most)
        velocity, fastest, fastest_roll = rng.standard_normal(3), 0.4 * pace * quarter, math.pi / 50 * pace
        velocity *= rng.uniform(0, 0.4 * pace) / np.linalg.norm(velocity)
        turning = rng.uniform(-fastest_roll, fastest_roll)
        while True:
            velocity += 0.1 * pace * quarter * rng.standard_normal(3)
            turning += math.pi / 300 * pace * rng.standard_normal()
            velocity *= min(1.0, fastest / max(float(np.linalg.norm(velocity)), 1e-12))
            before = _from_sphere(sphere)
            sphere = np.clip(_to_sphere(before + velocity), low, high)
            velocity = _from_sphere(sphere) - before
            rolled = float(np.clip(roll + np.clip(turning, -fastest_roll, fastest_roll), -most, most))
            turning, roll = rolled - roll, rolled
            yield _Place(sphere, roll)


@dataclass(frozen=True)
class SuiteColours(ModelLook):
    """The suite's colours: each channel of each material differs by up to beta (of 1).

    So does each geom without a material. In motion, each does a random walk with steps of 3 beta per cent.
    """

    moving: bool = False
    """Whether colours change at each control step."""

    unit: ClassVar[str] = "the suite's scale beta"
    highest: ClassVar[float] = 1.0
    fields: ClassVar[tuple[str, ...]] = ("mat_rgba", "geom_rgba")

    def writer(self, rng: np.random.Generator) -> Writer:
        seed = int(rng.integers(2**31))
        courses: dict[bytes, _Course[np.ndarray]] = {}

        def write(model: mujoco.MjModel, step: int) -> None:
            plain = model.geom_matid < 0  # the colour of any other geom, once written, would hide its material
            usual = np.concatenate([model.mat_rgba[:, :3], model.geom_rgba[plain, :3]])
            key = usual.tobytes()
            if key not in courses:
                courses[key] = _Course(self._colours(usual, np.random.default_rng(seed)))
            shown = courses[key].at(step if self.moving else 0)
            model.mat_rgba[:, :3], model.geom_rgba[plain, :3] = shown[: model.nmat], shown[model.nmat :]

        return write

    def _colours(self, usual: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Colours (n, 3) step by step, around those of the world as it is."""
        low, high = (np.clip(usual + sign * self.strength, 0, 1) for sign in (-1, 1))
        colours = rng.uniform(low, high)
        while True:
            yield colours
            colours = np.clip(colours + 0.03 * self.strength * rng.standard_normal(colours.shape), low, high)


def suite_level(
    level: Level, motion: Motion = "static", world: str = "", films: Sequence[np.ndarray] = ()
) -> dict[Axis, list[Look]]:
    """Axis of the suite, and all of them together -> its looks.

    Args:
        level: how strong.
        motion: whether what is drawn stays for the episode, or moves on at each control step.
        world: its name, which says how much of the ground is kept.
        films: uint8 (T, S, S, 3) each, of the size of the frames; none computes them.
    """
    beta, moving, ground = SCALES[level], motion == "dynamic", GROUND_KEPT.get(world.partition("-")[0], 0.0)
    backgrounds = SuiteBackground(1.0, moving, ground, films, NUM_FILMS[level])
    cameras, colours = SuiteCamera(beta, moving), SuiteColours(beta, moving)
    together: list[Look] = [colours, cameras, backgrounds]
    return {"backgrounds": [backgrounds], "cameras": [cameras], "colours": [colours], "all": together}


@dataclass(frozen=True)
class _Place:
    """Where a camera is."""

    sphere: np.ndarray
    """Radius, azimuth and polar angle, (3,), in metres and radians."""
    roll: float
    """Roll about the viewing axis, in radians."""


_State = TypeVar("_State")


class _Course(Generic[_State]):
    """A random walk by control step; its past is kept, so that any step can be asked for again."""

    def __init__(self, states: Iterator[_State]) -> None:
        self._coming, self._past = states, list[_State]()

    def at(self, step: int) -> _State:
        while len(self._past) <= step:
            self._past.append(next(self._coming))
        return self._past[step]


def _to_sphere(place: np.ndarray) -> tuple[float, float, float]:
    """Radius, azimuth and polar angle of a place (3,)."""
    x, y, z = place.tolist()
    return math.sqrt(x * x + y * y + z * z), math.atan2(y, x), math.atan2(math.hypot(x, y), z)


def _from_sphere(sphere: np.ndarray) -> np.ndarray:
    """The place (3,) with this radius, azimuth and polar angle."""
    radius, azimuth, polar = sphere.tolist()
    sine = math.sin(polar)
    return radius * np.array([sine * math.cos(azimuth), sine * math.sin(azimuth), math.cos(polar)])


def _looking(away: np.ndarray, overhead: bool) -> np.ndarray:
    """The rotation (3, 3) of a camera that looks against a vector (3,).

    overhead: turned from straight down by the smallest rotation; otherwise with its upper edge level.
    """
    back = away / np.linalg.norm(away)
    if overhead:
        return rotation_between(np.array([0.0, 0, 1]), back)
    right = np.array([-back[1], back[0], 0.0])
    right = right / np.linalg.norm(right) if right.any() else np.array([1.0, 0, 0])
    return np.stack([right, np.cross(back, right), back], 1)


def rotation_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The smallest rotation (3, 3) that turns one unit vector (3,) into another."""
    axis = np.cross(first, second)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-9:
        return np.eye(3)
    return rotation_about(axis, float(np.arctan2(sine, first @ second)))
