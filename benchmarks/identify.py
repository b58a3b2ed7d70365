"""Do identified constants and their intervals hold? `python -m benchmarks.identify`, on many recordings of known ones.

Recordings are simulated and rendered in light and colours drawn anew, from seeds that neither training nor calibration
has. Each is explained on its own; the run's learned context reads the same recordings beside it.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from benchmarks import command
from worldmodel.identifying import (
    Calibration,
    Explained,
    RecordedMotion,
    Simulator,
    alarms_of,
    calibrate,
    check,
    explain,
    open_simulator,
    open_worlds,
    rendered_windows,
)
from worldmodel.measures import wilson_interval
from worldmodel.models import WorldModel, set_cpu_threads
from worldmodel.runs import Run, this_machine, versions
from worldmodel.settings import Count, IdentifyConfig, NonNegativeInt, Nuisance, Settings
from worldmodel.system import write_json

Disturbance = Literal["none", "scaled", "shifted", "late", "dropped", "weak"]
_TEST_STREAM = 1_000
"""Seeds of the recordings, away from those of calibration."""
_FAR_OFF = 3.0
"""A fit has gone wrong where a constant is so many half-widths of its interval off."""


@dataclass(frozen=True)
class IdentifyBench(Settings):
    """Accuracy, coverage and cost of `worldmodel identify`, over many recordings of known constants."""

    run: str = ""
    """A run whose world has constants."""
    constants: tuple[str, ...] = ()
    """Constants that are sought; empty: those that training drew."""
    free: tuple[Nuisance, ...] = ()
    """What else is free."""
    recordings: Count = 500
    """How many recordings."""
    steps: Count = 40
    """Control steps of each."""
    checked: NonNegativeInt = 60
    """Recordings whose next 15 steps are foreseen, too."""
    calibration_recordings: Count = 200
    """Simulated recordings behind error model and width of intervals."""
    disturbance: Disturbance = "none"
    """What is wrong with the recordings. scaled: positions read 3 % too long. shifted: 5 mm off. late: frames a step
    late. dropped: a frame missing in the middle. weak: actuators that do 90 % of what they are told."""
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
    """Why it is not trusted."""
    misfit: float
    """s^2."""
    seconds: float
    """CPU time of the fit."""


def measure(config: IdentifyBench) -> dict[str, Any]:
    """The figures, ready for JSON."""
    run = Run(config.run)
    trained, model = run.config, run.model()
    set_cpu_threads(model.config.encoder)
    settings = IdentifyConfig(
        run=config.run,
        constants=list(config.constants),
        free=list(config.free),
        calibration_recordings=config.calibration_recordings,
        seed=config.seed,
    )
    simulator = open_simulator(open_worlds(trained, settings), trained, config.steps)
    calibration = calibrate(simulator, model, settings, config.steps)
    disturbed = _misread(calibration, simulator, config.disturbance)
    ahead = model.predictor.config.horizon if model.predictor else 15
    recordings = _recordings(simulator, config, ahead)
    outcomes, alone, explained = [], [], []
    for recording in tqdm(recordings, desc="identify", unit="recording", mininterval=10):
        short = dataclasses.replace(
            recording, frames=recording.frames[: config.steps + 1], actions=recording.actions[: config.steps]
        )
        one, seconds = explain(simulator, disturbed, model, settings, [short])
        outcomes.append(_outcome(one, model, seconds))
        alone.append(one)
        if len(explained) < config.checked:
            explained.append(explain(simulator, disturbed, model, settings, [recording])[0])
    found: dict[str, Any] = {
        "run": trained.run_name,
        "world": simulator.world.name,
        "settings": dataclasses.asdict(config),
        **_scores(simulator, outcomes),
        "stretch": dict(zip(simulator.constants, calibration.stretch.tolist(), strict=True)),
        "misfit_limit": calibration.misfit_limit,
        "readout_rmse": dict(zip(simulator.observation.names, calibration.readout_rmse.tolist(), strict=True)),
        "foreseen_rms": _foreseen(explained, model, ahead) if explained else None,
        "learned": _learned(simulator, alone, np.stack([outcome.true for outcome in outcomes])),
        "versions": versions(),
        "hardware": dataclasses.asdict(this_machine()),
    }
    return found


# ---------------------------------------------------------------------------------------------------------------------
# recordings, and what is wrong with them


def _recordings(simulator: Simulator, config: IdentifyBench, ahead: int) -> list[RecordedMotion]:
    """Recordings of `steps` and `ahead` more steps, with what is true of them."""
    episodes = rendered_windows(simulator, config.recordings, config.steps + ahead, _TEST_STREAM + config.seed)
    names, found = list(simulator.world.factors), []
    for number, episode in enumerate(episodes):
        frames, actions, middle = episode.frames, episode.actions, config.steps // 2
        if config.disturbance == "late":
            frames, actions = frames[:-1], actions[1:]
        elif config.disturbance == "dropped":
            frames, actions = np.delete(frames, middle, 0), actions[:-1]
        elif config.disturbance == "weak":
            actions = actions / np.float32(0.9)
        values = dict(zip(names, episode.factors[-1].astype(float).tolist(), strict=True))
        states = episode.states.astype(np.float64) if config.disturbance == "none" else None
        found.append(RecordedMotion(str(number), frames, actions, states, values))
    return found


def _misread(calibration: Calibration, simulator: Simulator, disturbance: Disturbance) -> Calibration:
    """The calibration with a readout that is off, as that of a camera which is not where the simulator has it."""
    readout, slides = (
        calibration.readout,
        np.array([not name.startswith(("cos ", "sin ")) for name in simulator.observation.names]),
    )
    if disturbance == "scaled":
        factor = np.where(slides, 1.03, 1.0)
        readout = dataclasses.replace(
            readout, weights=factor[:, None] * readout.weights, offset=factor * readout.offset
        )
    elif disturbance == "shifted":
        readout = dataclasses.replace(readout, offset=readout.offset + np.where(slides, 0.005, 0.0))
    return dataclasses.replace(calibration, readout=readout)


def _outcome(explained: Explained, model: WorldModel, seconds: float) -> Outcome:
    recording, num = explained.recordings[0], len(explained.simulator.constants)
    unfamiliar = explained.calibration.looks.unfamiliar(model, recording.frames)
    true = explained.simulator.coordinates(recording.factors or {})
    width = 1.96 * explained.deviations[:num]
    alarms = alarms_of(explained, unfamiliar)
    return Outcome(true, explained.coordinates(0), width, alarms, explained.solution.misfit, seconds)


# ---------------------------------------------------------------------------------------------------------------------
# figures


def _scores(simulator: Simulator, outcomes: list[Outcome]) -> dict[str, Any]:
    """R2, error, coverage and width of every constant; and which fits went wrong, and were told."""
    true, found, width = (np.stack([getattr(o, name) for o in outcomes]) for name in ("true", "found", "width"))
    told = np.array([bool(o.alarms) for o in outcomes])
    wrong = (np.abs(found - true) > _FAR_OFF * width).any(1)
    constants = {}
    for index, name in enumerate(simulator.constants):
        constants[name] = _of_constant(
            simulator, name, true[:, index], found[:, index], width[:, index], np.flatnonzero(~told)
        )
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


def _of_constant(
    simulator: Simulator, name: str, true: np.ndarray, found: np.ndarray, width: np.ndarray, trusted: np.ndarray
) -> dict[str, Any]:
    """Figures over all recordings; coverage over those without an alarm, which alone have intervals."""
    factor = simulator.world.factors[name]
    values = np.array([[factor.value(t) for t in pair] for pair in zip(true, found, strict=True)])
    result: dict[str, Any] = {
        "r2": float(1 - ((found - true) ** 2).sum() / ((true - true.mean()) ** 2).sum()),
        "median_relative_error": float(np.median(np.abs(values[:, 1] / values[:, 0] - 1)))
        if factor.transform == "log"
        else None,
        "bias_sd": float((found - true).mean()),
        "median_width_sd": float(np.median(width)),
    }
    covered = (np.abs(found - true) <= width)[trusted]
    result |= {"covered": int(covered.sum()), "trusted": len(covered)}
    thirds = np.array_split(trusted[np.argsort(true[trusted])], 3)
    result["coverage_by_third"] = [
        float((np.abs(found - true) <= width)[third].mean()) for third in thirds if len(third)
    ]
    return result


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
# the learned context on the same recordings


def _learned(simulator: Simulator, explained: list[Explained], true: np.ndarray) -> dict[str, Any] | None:
    """Figures of what the run's context reads; None where it has none."""
    reader = explained[0].calibration.context_reader
    read = [one.learned[0] for one in explained if one.learned[0] is not None]
    if reader is None or len(read) < len(explained):
        return None
    found, everything = np.stack(read), np.arange(len(read))
    return {
        "constants": {
            name: _of_constant(
                simulator, name, true[:, k], found[:, k], np.full(len(found), reader.width[k]), everything
            )
            for k, name in enumerate(simulator.constants)
        }
    }


def report(config: IdentifyBench) -> str:
    """Measure, write, and say the figures in a line each."""
    found = measure(config)
    if config.out:
        write_json(Path(config.out), found)
    what = f"{config.recordings} recordings of {config.steps} steps, disturbance {config.disturbance}"
    lines = [f"{found['world']}, {what}"]
    readers = {"replay": found["constants"], "learned": (found["learned"] or {}).get("constants", {})}
    for reader, constants in readers.items():
        for name, of in constants.items():
            error = "" if of["median_relative_error"] is None else f", median error {of['median_relative_error']:.1%}"
            low, high = wilson_interval(of["covered"], of["trusted"]) if of["trusted"] else (0.0, 1.0)
            covered = f"{of['covered']} of {of['trusted']} intervals [{low:.3f}, {high:.3f}]"
            lines.append(f"  {reader} {name}: R2 {of['r2']:.4f}{error}, {covered}, by third {of['coverage_by_third']}")
    lines.append(f"  fits: {found['fits']}")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(command.run(IdentifyBench, report))
