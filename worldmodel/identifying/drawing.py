"""The figures of an identification: constants and fit, what simulators predict, and frames side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from worldmodel.envs import MujocoWorld
from worldmodel.figures.identify_figures import (
    DrawnConstant,
    DrawnJoint,
    constants_and_fit,
    filmstrip,
    simulator_errors,
)
from worldmodel.identifying.explained import Explained
from worldmodel.identifying.held_out import HeldOutPrediction
from worldmodel.runs import IdentifyResult

_FRAMES = 6
"""Most frames of a filmstrip."""


def draw(folder: Path, explained: Explained, result: IdentifyResult, ends: Sequence[HeldOutPrediction]) -> None:
    """Write identify.png, identify_check.png and identify_film.png."""
    simulator, dt_s = explained.simulator, explained.simulator.world.control_dt_s
    units = dict(
        zip(simulator.observation.joints, ("rad" if angle else "m" for angle in simulator.angles), strict=True)
    )
    constants_and_fit(folder / "identify.png", _constants(explained, result), _joints(explained, units), dt_s)
    if result.check is None:
        return
    simulator_errors(folder / "identify_check.png", result.check.rms, units, dt_s)
    first, recording = ends[0], explained.recordings[0]
    num = len(first.reference)
    shown = np.unique(np.linspace(0, num - 1, min(_FRAMES, num)).round().astype(int))
    rows = {"recording": recording.frames[len(recording.frames) - num + shown]}
    rows |= {name: _frames(simulator.replay.world, first.qpos[name][shown]) for name in ("calibrated", "nominal")}
    both = (rows["recording"].astype(np.uint16) + rows["calibrated"]) // 2
    filmstrip(folder / "identify_film.png", {**rows, "overlaid": both.astype(np.uint8)}, (dt_s * (shown + 1)).tolist())


def _constants(explained: Explained, result: IdentifyResult) -> list[DrawnConstant]:
    drawn = []
    for found in result.constants:
        logarithmic = explained.simulator.world.factors[found.name].transform == "log"
        unit = found.nominal if logarithmic else 1.0
        label = found.name if found.recording is None else f"{found.name} of {Path(found.recording).name}"
        interval = None if found.interval is None else [end / unit for end in found.interval]
        prior = [end / unit for end in found.prior_interval]
        true = None if found.true is None else found.true / unit
        drawn.append(DrawnConstant(label.replace("_", " "), found.value / unit, interval, prior, true))
    return drawn


def _joints(explained: Explained, units: dict[str, str]) -> list[DrawnJoint]:
    track = explained.tracks[0]
    read = track.observation.positions(track.numbers)
    place = explained.layout.places[0]
    fitted = track.observation.positions(track.predict(explained.solution.x[None, place])[0])
    return [
        DrawnJoint(name, units[name], read[:, index], fitted[:, index])
        for index, name in enumerate(track.observation.joints)
    ]


def _frames(world: MujocoWorld, qpos: np.ndarray) -> np.ndarray:
    """Pictures of positions (n, nq), in the world's nominal light and colours."""
    rest = np.zeros(len(world.state_names) - qpos.shape[1])
    frames = []
    for row in qpos:
        world.set_state(np.concatenate([row, rest]))
        frames.append(world.frame())
    return np.stack(frames)
