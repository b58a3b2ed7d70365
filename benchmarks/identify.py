"""Accuracy of identified constants, and coverage of their intervals, over many recordings of known constants:
`python -m benchmarks.identify`.

Recordings are simulated and rendered in randomly drawn light and colours, from seeds that neither training nor
calibration uses. Each is explained on its own; the run's learned context is read from the same recordings to compare.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from benchmarks import command
from benchmarks.beside_sysid import by_sysid
from benchmarks.constant_figures import all_trusted, of_constant
from worldmodel.envs import Episode
from worldmodel.identifying import (
    Calibration,
    Explained,
    RecordedMotion,
    Simulator,
    alarms_of,
    check,
    encode,
    explain,
    kept_calibration,
    known_at,
    open_simulator,
    open_worlds,
    rendered_windows,
)
from worldmodel.measures import wilson_interval
from worldmodel.models import WorldModel, set_cpu_threads
from worldmodel.runs import Run, this_machine, versions
from worldmodel.settings import Count, IdentifyConfig, NonNegativeInt, Nuisance, Settings, TrainConfig
from worldmodel.system import UserError, write_json

Disturbance = Literal["none", "scaled", "shifted", "late", "dropped", "weak"]
EXPLAINED_BY: dict[Disturbance, Nuisance] = {
    "scaled": "camera",
    "shifted": "camera",
    "late": "delay",
    "weak": "actuators",
}
TEST_STREAM = 1_000
"""Seeds of the recordings, away from those of calibration."""
_FAR_OFF = 3.0
"""A fit is wrong where a constant is off by more than this many half-widths of its interval."""


@dataclass(frozen=True)
class IdentifyBench(Settings):
    """Accuracy, coverage and cost of `worldmodel identify`, over many recordings of known constants."""

    run: str = ""
    """A run whose world has constants."""
    constants: tuple[str, ...] = ()
    """Constants to identify; empty: those that training drew."""
    factors: dict[str, Any] = field(default_factory=dict)
    """Further factors by MJCF name, as `worldmodel identify` takes them."""
    free: tuple[Nuisance, ...] = ()
    """Nuisances to fit as well: camera, delay, actuators."""
    recordings: Count = 500
    """How many recordings."""
    steps: Count = 40
    """Control steps of a recording."""
    checked: NonNegativeInt = 60
    """Recordings of which the next 15 steps are predicted as well."""
    calibration_recordings: Count = 200
    """Simulated recordings behind error model and width of intervals."""
    disturbances: tuple[Disturbance, ...] = ("none",)
    """Faults of the recordings, measured one after another. scaled: positions are read 3 % too large. shifted: 5 mm
    off. late: frames one control step late. dropped: a frame missing in the middle. weak: actuators at 90 % of their
    strength."""
    sysid: bool = False
    """Also explain the readings of recordings without a fault by `mujoco.sysid`."""
    freed: bool = False
    """Also fit the nuisance that explains each fault: camera, delay or actuators."""
    seed: NonNegativeInt = 0
    """Seed of recordings and calibration."""
    out: str | None = None
    """Also write the figures there, as JSON."""


@dataclass(frozen=True)
class Outcome:
    """What was found of one recording; coordinates are standardised."""

    true: np.ndarray
    """(P,)."""
    found: np.ndarray
    """(P,)."""
    width: np.ndarray
    """Half the 95 % interval, (P,)."""
    alarms: list[str]
    """Reasons not to trust it."""
    misfit: float
    """s^2."""
    seconds: float
    """CPU time of the fit."""
    least: np.ndarray | None
    """Cramér-Rao bound, with the prior, on the variances of an unbiased reader of the same readings, (P,); None where
    the recording is disturbed."""


@dataclass(frozen=True)
class Bench:
    """Model, simulator and calibration, which all recordings of a measurement share."""

    settings: IdentifyConfig
    trained: TrainConfig
    model: WorldModel
    simulator: Simulator
    calibration: Calibration

    def read(self, frames: np.ndarray) -> np.ndarray:
        """Readings (n, N) of frames (n, S, S, 3)."""
        return self.calibration.readout(encode(self.model, frames))


def open_bench(settings: IdentifyConfig, num_steps: int) -> Bench:
    """A run's model and simulator, calibrated for recordings of `num_steps` control steps."""
    run = Run(settings.run)
    trained, model = run.config, run.model()
    set_cpu_threads(model.config.encoder)
    simulator = open_simulator(open_worlds(trained, settings), trained, num_steps)
    calibration = kept_calibration(run, simulator, model, settings, num_steps)
    return Bench(settings, trained, model, simulator, calibration)


def about(bench: Bench) -> dict[str, Any]:
    """The fields of a result file that are not figures."""
    simulator, calibration = bench.simulator, bench.calibration
    return {
        "stretch": dict(zip(simulator.constants, calibration.stretch.tolist(), strict=True)),
        "misfit_limit": calibration.misfit_limit,
        "readout_rmse": dict(zip(simulator.observation.names, calibration.readout_rmse.tolist(), strict=True)),
        "versions": versions(),
        "hardware": dataclasses.asdict(this_machine()),
    }


def measure(config: IdentifyBench) -> dict[str, Any]:
    """The figures, ready for JSON."""
    settings = IdentifyConfig(
        run=config.run,
        constants=list(config.constants),
        factors=config.factors,
        free=list(config.free),
        calibration_recordings=config.calibration_recordings,
        seed=config.seed,
    )
    bench = open_bench(settings, config.steps)
    simulator, predictor = bench.simulator, bench.model.predictor
    ahead = predictor.config.horizon if predictor else 15
    episodes = rendered_windows(simulator, config.recordings, config.steps + ahead, TEST_STREAM + config.seed)
    return {
        "run": bench.trained.run_name,
        "world": simulator.world.name,
        "settings": dataclasses.asdict(config),
        "cells": [
            _cell(bench, config, episodes, kind, free, ahead)
            for kind in config.disturbances
            for free in _free(config, kind)
        ],
        **about(bench),
    }


def _free(config: IdentifyBench, disturbance: Disturbance) -> list[list[Nuisance]]:
    """Nuisances that are free for recordings with one fault: those of the settings, then also what explains it."""
    given, cause = list(config.free), EXPLAINED_BY.get(disturbance)
    return [given, [*given, cause]] if config.freed and cause and cause not in given else [given]


def _cell(
    bench: Bench,
    config: IdentifyBench,
    episodes: list[Episode],
    disturbance: Disturbance,
    free: list[Nuisance],
    ahead: int,
) -> dict[str, Any]:
    """The figures of recordings with one fault, fitted with these nuisances free."""
    simulator, model, settings = bench.simulator, bench.model, dataclasses.replace(bench.settings, free=free)
    misread = _misread(bench.calibration, simulator, disturbance)
    outcomes, alone, explained, refused = [], [], [], []
    recordings = recordings_of(simulator, episodes, config.steps, disturbance)
    for recording in tqdm(recordings, desc=disturbance, unit="recording", mininterval=10):
        short = dataclasses.replace(
            recording, frames=recording.frames[: config.steps + 1], actions=recording.actions[: config.steps]
        )
        try:
            one = explain(simulator, misread, model, settings, [short])
        except UserError as error:  # nothing moves in it
            refused.append(str(error))
            continue
        outcomes.append(_outcome(one, model))
        alone.append(one)
        if disturbance == "none" and len(explained) < config.checked:
            explained.append(explain(simulator, misread, model, settings, [recording]))
    if not outcomes:
        raise UserError(f"every recording is refused: {refused[0]}")
    learned = sysid = None
    if disturbance == "none":
        true = np.stack([outcome.true for outcome in outcomes])
        learned = _learned(simulator, alone, true)
        sysid = _sysid(simulator, alone, true) if config.sysid else None
    return {
        "disturbance": disturbance,
        "free": free,
        "refused": len(refused),
        **_scores(simulator, outcomes),
        "foreseen_rms": _foreseen(explained, model, ahead) if explained else None,
        "learned": learned,
        "sysid": sysid,
    }


# ---------------------------------------------------------------------------------------------------------------------
# recordings and their faults


def recordings_of(
    simulator: Simulator, episodes: list[Episode], steps: int, disturbance: Disturbance = "none"
) -> list[RecordedMotion]:
    """Episodes as recordings with their true values; the disturbance is in their first `steps` steps."""
    names, found = list(simulator.world.factors), []
    for number, episode in enumerate(episodes):
        frames, actions, middle = episode.frames, episode.actions, steps // 2
        if disturbance == "late":
            frames, actions = frames[:-1], actions[1:]
        elif disturbance == "dropped":
            frames, actions = np.delete(frames, middle, 0), actions[:-1]
        elif disturbance == "weak":
            actions = actions / np.float32(0.9)
        values = dict(zip(names, episode.factors[-1].astype(float).tolist(), strict=True))
        states = episode.states.astype(np.float64) if disturbance == "none" else None
        found.append(RecordedMotion(str(number), frames, actions, states, values))
    return found


def _misread(calibration: Calibration, simulator: Simulator, disturbance: Disturbance) -> Calibration:
    """The calibration with a biased readout, as of a camera that is not where the simulator has it."""
    readout, slides = (
        calibration.readout,
        np.array([not name.startswith(("cos ", "sin ")) for name in simulator.observation.names]),
    )
    if disturbance == "scaled":
        factor = np.where(slides, 1.03, 1.0)
        readout = dataclasses.replace(
            readout,
            weights=factor[:, None] * readout.weights,
            offset=factor * readout.offset,
            rest=readout.rest and readout.rest.scaled(factor),
        )
    elif disturbance == "shifted":
        readout = dataclasses.replace(readout, offset=readout.offset + np.where(slides, 0.005, 0.0))
    return dataclasses.replace(calibration, readout=readout)


def _outcome(explained: Explained, model: WorldModel) -> Outcome:
    recording, num = explained.recordings[0], len(explained.simulator.constants)
    true = explained.simulator.coordinates(recording.factors or {})
    width = 1.96 * explained.deviations[:num]
    alarms, _ = alarms_of(explained, model)
    found, misfit = explained.coordinates(0), explained.solution.misfit
    return Outcome(true, found, width, alarms, misfit, explained.seconds, _least(explained, true))


def _least(explained: Explained, true: np.ndarray) -> np.ndarray | None:
    """Cramér-Rao variances of the constants, (P,)."""
    track, states = explained.tracks[0], explained.recordings[0].states
    if states is None:
        return None
    start = dataclasses.replace(track.start, state=states[0])
    qpos = states[: track.num_steps + 1, : explained.simulator.world.scene.model.nq]
    known = dataclasses.replace(track, numbers=track.observation.numbers(qpos), start=start)
    return np.diag(known_at(known, explained.calibration.errors, true))


# ---------------------------------------------------------------------------------------------------------------------
# figures


def _scores(simulator: Simulator, outcomes: list[Outcome]) -> dict[str, Any]:
    """R2, error, coverage and width of every constant; how many fits were wrong, and how many of these had alarms."""
    true, found, width = (np.stack([getattr(o, name) for o in outcomes]) for name in ("true", "found", "width"))
    told = np.array([bool(o.alarms) for o in outcomes])
    wrong = (np.abs(found - true) > _FAR_OFF * width).any(1)
    least = np.array([o.least for o in outcomes if o.least is not None])
    constants = {}
    for index, name in enumerate(simulator.constants):
        columns = true[:, index], found[:, index], width[:, index]
        constants[name] = of_constant(simulator, name, *columns, np.flatnonzero(~told))
        if len(least):
            constants[name]["bound_r2"] = float(1 - least[:, index].mean() / true[:, index].var())
    return {
        "constants": constants,
        "fits": {
            "recordings": len(outcomes),
            "told": int(told.sum()),
            "wrong": int(wrong.sum()),
            "wrong_and_told": int((wrong & told).sum()),
            "false_alarms": float((told & ~wrong).mean()),
            "cpu_seconds": float(np.mean([o.seconds for o in outcomes])),
            "median_misfit": float(np.median([o.misfit for o in outcomes])),
            "alarms": sorted({alarm[:60] for o in outcomes for alarm in o.alarms})[:5],
        },
    }


def _foreseen(explained: list[Explained], model: WorldModel, ahead: int) -> dict[str, dict[str, list[float]]]:
    """Joint -> simulator -> RMS error at every step ahead, over recordings."""
    squares: dict[str, dict[str, list[np.ndarray]]] = {}
    for one in explained:
        found, _ = check(one, model, ahead)
        for joint, of in found.rms.items():
            for name, errors in of.items():
                squares.setdefault(joint, {}).setdefault(name, []).append(np.square(errors))
    return {
        joint: {name: np.sqrt(np.mean(values, 0)).tolist() for name, values in of.items()}
        for joint, of in squares.items()
    }


# ---------------------------------------------------------------------------------------------------------------------
# the learned context and mujoco.sysid on the same recordings


def _learned(simulator: Simulator, explained: list[Explained], true: np.ndarray) -> dict[str, Any] | None:
    """Figures of the constants read from the run's context; None where it has none."""
    reader = explained[0].calibration.context_reader
    read = [one.learned[0] for one in explained if one.learned[0] is not None]
    if reader is None or len(read) < len(explained):
        return None
    found = np.stack(read)
    return {"constants": all_trusted(simulator, true, found, np.broadcast_to(reader.width, found.shape))}


def _sysid(simulator: Simulator, explained: list[Explained], true: np.ndarray) -> dict[str, Any]:
    """Figures of `mujoco.sysid` on the same readings."""
    found = [
        by_sysid(one.tracks[0], one.layout.bounds, one.calibration.errors.simple.std)
        for one in tqdm(explained, desc="mujoco.sysid", unit="recording", mininterval=10)
    ]
    read, width = np.stack([one.found for one in found]), np.stack([one.width for one in found])
    return {
        "constants": all_trusted(simulator, true, read, width),
        "cpu_seconds": float(np.mean([one.seconds for one in found])),
    }


def report(config: IdentifyBench) -> str:
    """Measure, write the figures, and return a line for each."""
    found = measure(config)
    if config.out:
        write_json(Path(config.out), found)
    lines = [f"{found['world']}, {config.recordings} recordings of {config.steps} steps"]
    for of in found["cells"]:
        lines.append(f"  {of['disturbance']}, free {of['free']}: {of['fits']}")
        beside = {name: (of[name] or {}).get("constants", {}) for name in ("learned", "sysid")}
        readers = {"replay": of["constants"], **beside}
        for reader, constants in readers.items():
            lines += [f"    {reader} {name}: {_line(scores)}" for name, scores in constants.items()]
    return "\n".join(lines)


def _line(of: dict[str, Any]) -> str:
    error = "" if of["median_relative_error"] is None else f", median error {of['median_relative_error']:.1%}"
    low, high = wilson_interval(of["covered"], of["trusted"]) if of["trusted"] else (0.0, 1.0)
    covered = f"{of['covered']} of {of['trusted']} intervals [{low:.3f}, {high:.3f}]"
    bound = f" (bound {of['bound_r2']:.4f})" if "bound_r2" in of else ""
    return f"R2 {of['r2']:.4f}{bound}{error}, {covered}, half width {of['median_width_sd']:.3f}"


if __name__ == "__main__":
    raise SystemExit(command.run(IdentifyBench, report))
