"""One recording as the fit sees it: the readings of its frames, and the readings that a simulation predicts.

Letters: n simulations, T steps, N numbers, P constants, M nuisances, V' free coordinates of the start, L = P + M + V'.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from worldmodel.identifying.observation import Observation, Start
from worldmodel.identifying.replay import Replay
from worldmodel.settings import Nuisance

GAIN_SD, ACTUATOR_SD, DELAY_SD = 0.03, 0.1, 1.0
"""Prior standard deviations: of the camera's scale and the actuators' strength, as shares; of the delay, in steps."""
OFFSET_SD_M, OFFSET_SD_RAD = 0.01, 0.02
"""Prior standard deviations of the offset of a slide, in metres, and of a hinge, in radians."""


@dataclass(frozen=True)
class Nuisances:
    """Other differences between a recording and its simulation, each with a prior N(0, 1) in the units above."""

    camera: bool
    """The scale of slides, and an offset of every observed joint."""
    delay: bool
    """Frames later than the positions they show, in control steps."""
    actuators: bool
    """The strength of all actuators."""
    joints: tuple[str, ...]
    """Observed joints."""
    turns: tuple[bool, ...]
    """Which of them are angles."""

    @staticmethod
    def of(free: Sequence[Nuisance], observation: Observation, angles: np.ndarray) -> "Nuisances":
        """Those that the settings name; `angles` bool (J,) says which observed joints are angles."""
        turns = tuple(bool(angle) for angle in angles)
        return Nuisances("camera" in free, "delay" in free, "actuators" in free, observation.joints, turns)

    @property
    def units(self) -> dict[str, tuple[str, float]]:
        """Name of each -> its unit, and the size of 1 in it; in the order of the parameters."""
        found: dict[str, tuple[str, float]] = {}
        if self.camera:
            if not all(self.turns):
                found["camera_gain"] = ("1", GAIN_SD)
            for name, turn in zip(self.joints, self.turns, strict=True):
                found[f"offset_{name}"] = ("rad", OFFSET_SD_RAD) if turn else ("m", OFFSET_SD_M)
        if self.delay:
            found["delay"] = ("steps", DELAY_SD)
        if self.actuators:
            found["actuator_gain"] = ("1", ACTUATOR_SD)
        return found


@dataclass(frozen=True)
class Track:
    """A recording's readings and actions, and the simulator that is to reproduce them."""

    name: str
    """Name of the recording."""
    numbers: np.ndarray
    """Readings float64 (T+1, N)."""
    actions: np.ndarray
    """float32 (T, A)."""
    start: Start
    """The state before the first action."""
    observation: Observation
    """The numbers that are read from frames."""
    replay: Replay
    """The simulator."""
    nuisances: Nuisances
    """The nuisances that are fitted."""

    @property
    def num_steps(self) -> int:
        """T."""
        return len(self.actions)

    def first(self, steps: int) -> "Track":
        """Its first steps."""
        return replace(self, numbers=self.numbers[: steps + 1], actions=self.actions[:steps])

    def pieces(self, steps: int) -> list["Track"]:
        """Consecutive pieces of about `steps` steps, each with a start of its own."""
        edges = np.linspace(0, self.num_steps, max(1, round(self.num_steps / steps)) + 1).astype(int)
        found = []
        for low, high in pairwise(edges):
            numbers = self.numbers[low : high + 1]
            start = self.start.of(self.observation, numbers, self.replay.world.control_dt_s)
            found.append(replace(self, numbers=numbers, actions=self.actions[low:high], start=start))
        return found

    def split(self, parameters: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
        """Parameters (n, L) as constants (n, P), nuisances in their units {name: (n,)}, and starts (n, X)."""
        num_constants, units = len(self.replay.constants), self.nuisances.units
        constants, free, moved = np.split(parameters, np.cumsum([num_constants, len(units)]), 1)
        nuisances = {name: size * free[:, k] for k, (name, (_, size)) in enumerate(units.items())}
        states = np.tile(self.start.state, (len(parameters), 1))
        states[:, self.start.columns] += moved * self.start.spread
        return constants, nuisances, states

    def states(self, parameters: np.ndarray) -> np.ndarray:
        """qpos (n, T+1, nq) at the moments that the frames show; NaN in frames from before the first action."""
        constants, nuisances, states = self.split(parameters)
        gain = 1 + nuisances.get("actuator_gain", np.zeros(len(states)))
        fine = self.replay.positions(constants, states, gain[:, None, None] * self.actions)
        if not self.nuisances.delay:
            return fine[:, :: self.replay.substeps]
        return _delayed(fine, nuisances["delay"], self.replay.substeps)

    def predict(self, parameters: np.ndarray) -> np.ndarray:
        """Predicted readings (n, T+1, N); for frames from before the first action, the readings themselves."""
        _, nuisances, _ = self.split(parameters)
        shown = self.states(parameters)
        if self.nuisances.camera:
            for name, turn, column in zip(
                self.nuisances.joints, self.nuisances.turns, self.observation.columns, strict=True
            ):
                if not turn:
                    shown[..., column] *= 1 + nuisances["camera_gain"][:, None]
                shown[..., column] += nuisances[f"offset_{name}"][:, None]
        numbers = self.observation.numbers(shown)
        return np.where(np.isnan(numbers), self.numbers, numbers) if self.nuisances.delay else numbers


def _delayed(fine: np.ndarray, delay: np.ndarray, substeps: int) -> np.ndarray:
    """Positions (n, T+1, q) a delay (n,) of steps before each control step, of positions (n, T*s+1, q) at every physics
    step: NaN before the first, and on at the last velocity after the end."""
    last = fine.shape[1] - 1
    wanted = np.arange(0, last + 1, substeps) - substeps * delay[:, None]
    low = np.clip(np.floor(wanted).astype(int), 0, last - 1)
    share = (wanted - low)[..., None]
    rows = np.arange(len(fine))[:, None]
    found = (1 - share) * fine[rows, low] + share * fine[rows, low + 1]
    return np.where(wanted[..., None] < 0, np.nan, found)
