"""`worldmodel identify`: from recordings to constants with intervals, and a simulator that has them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import yaml

from worldmodel.designing import chosen_policy
from worldmodel.evaluation.trust import warn_if_edited
from worldmodel.figures import drawing
from worldmodel.identifying.alarms import alarms_of
from worldmodel.identifying.calibrated_mjcf import write_calibrated
from worldmodel.identifying.calibration_file import kept_calibration
from worldmodel.identifying.drawing import draw
from worldmodel.identifying.explained import Explained
from worldmodel.identifying.explaining import explain
from worldmodel.identifying.held_out import check, held_out_steps
from worldmodel.identifying.next_excitation import next_excitation
from worldmodel.identifying.posterior import combinations, constants_found, correlations, nuisances_found
from worldmodel.identifying.recordings import open_recording
from worldmodel.identifying.rendered import open_simulator, open_worlds
from worldmodel.identifying.rounds import run_rounds, true_constants
from worldmodel.models import WorldModel
from worldmodel.models.encoders import set_cpu_threads
from worldmodel.runs import ConstantEstimate, FitQuality, IdentifyResult, RecordingUsed, Run, check_out, write_record
from worldmodel.runs.array_files import write_arrays
from worldmodel.runs.identify_result import FOLDER, RoundResult
from worldmodel.settings import IdentifyConfig
from worldmodel.system.devices import pick_device, torch_kept
from worldmodel.system.errors import UserError
from worldmodel.system.files import inner_folder, write_text


@torch_kept()
def identify(config: IdentifyConfig) -> IdentifyResult:
    """Find the constants of recordings; recorded in the run, with a calibrated model file and figures.

    Raises:
        UserError: there is no such run, recording or constant; or a recording does not fit the world, or nothing moves
            in it.
    """
    check_out(config.out, IdentifyResult, config.overwrite)
    run = Run(config.run)
    with run.directory.locked():
        _check_files_only(inner_folder(run.path / FOLDER))
        trained, model = run.config, run.model(pick_device(config.device))
        set_cpu_threads(model.config.encoder)
        worlds = open_worlds(trained, config)
        if config.mjcf is None:
            warn_if_edited(run, worlds.drawing)
        size = trained.env.image_size
        recordings = [open_recording(name, worlds.nominal, size) for name in config.recordings]
        num_steps = int(np.median([len(recording.actions) for recording in recordings]))
        simulator = open_simulator(worlds, trained, num_steps)
        if config.rounds:  # before minutes are spent
            true_constants(recordings[0], simulator.constants)
        calibration = kept_calibration(run, simulator, model, config, num_steps)
        explained = explain(simulator, calibration, model, config, recordings)
        rounds: list[RoundResult] = []
        if config.rounds:
            explained, rounds = run_rounds(explained, model, config, chosen_policy(trained.collection))
        result = replace(_judged(run, explained, model, config), rounds=rounds)
        run.directory.record(result)
    if config.out:
        write_record(Path(config.out), result)
    return result


def _check_files_only(folder: Path) -> None:
    """UserError, before minutes are spent, where a folder stands in a folder of files, one of which it may hinder."""
    for path in folder.iterdir():
        if path.is_dir():
            raise UserError(f"{path} is a folder, and identify writes files there; remove it")


def _judged(run: Run, explained: Explained, model: WorldModel, config: IdentifyConfig) -> IdentifyResult:
    """Estimates, alarms and held-out predictions of a fit; writes files and figures."""
    folder, given = run.path, chosen_policy(run.config.collection)
    solution, calibration, simulator = explained.solution, explained.calibration, explained.simulator
    alarms, unfamiliar = alarms_of(explained, model)
    constants = constants_found(explained, not alarms)
    steps = held_out_steps(config.check_steps, explained.tracks)
    checked, predicted = check(explained, model, steps) if steps else (None, [])
    coming = None
    if config.search and not alarms:
        coming = next_excitation(explained, given, config.search, config.seed, folder, f"{FOLDER}/next_policy.yaml")
    mjcf, problem = _write_models(folder, explained)
    names = simulator.observation.names
    result = IdentifyResult(
        world=simulator.world.name,
        recordings=[RecordingUsed(track.name, track.num_steps) for track in explained.tracks],
        constants=constants,
        correlations=correlations(explained),
        combinations=combinations(explained, not alarms),
        nuisances=nuisances_found(explained, not alarms),
        fit=FitQuality(
            misfit=solution.misfit,
            misfit_limit=calibration.misfit_limit,
            unfamiliar=unfamiliar,
            iterations=solution.iterations,
            converged=solution.converged,
            readout_rmse=dict(zip(names, calibration.readout_rmse.tolist(), strict=True)),
        ),
        alarms=alarms,
        check=checked,
        next=coming,
        mjcf=mjcf,
        mjcf_problem=problem,
        factors=_write_factors(folder, constants),
        readings=[_write_readings(folder, explained, number) for number in range(len(explained.tracks))],
        calibration_recordings=config.calibration_recordings,
        seed=config.seed,
        cpu_seconds=explained.seconds,
    )
    with drawing("the figures of identify"):
        draw(run.directory.figures, explained, result, predicted)
    return result


def _write_models(folder: Path, explained: Explained) -> tuple[list[str], str | None]:
    """Calibrated model files, relative to the run's folder; or none, and why."""
    simulator, written = explained.simulator, []
    numbers = range(len(explained.tracks)) if explained.own else (0,)
    for number in numbers:
        path = Path(FOLDER) / (f"calibrated-{number}.xml" if explained.own else "calibrated.xml")
        model = simulator.replay.model_with(explained.coordinates(number))
        try:
            write_calibrated(folder / path, simulator.replay.world.scene.spec(), model)
        except ValueError as error:
            return [], str(error)
        written.append(str(path))
    return written, None


def _write_factors(folder: Path, constants: Sequence[ConstantEstimate]) -> str:
    """Write the constants as YAML; the file, relative to the run's folder."""
    content = [msgspec.to_builtins(constant) for constant in constants]
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    path = Path(FOLDER) / "constants.yaml"
    write_text(folder / path, text)
    return str(path)


def _write_readings(folder: Path, explained: Explained, number: int) -> str:
    """Write times, controls in the model's units and positions of a recording; the file, relative to the run."""
    track, scene = explained.tracks[number], explained.simulator.world.scene
    controls = scene.ctrl_centre + scene.ctrl_half_range * track.actions.astype(np.float64)
    _, _, starts = track.split(explained.solution.x[None, explained.layout.places[number]])
    arrays = {
        "times": explained.simulator.world.control_dt_s * np.arange(track.num_steps + 1),
        "controls": np.concatenate([controls, controls[-1:]]),
        "positions": track.observation.positions(track.numbers),
        "joints": np.array(track.observation.joints),
        "start": starts[0],
    }
    path = Path(FOLDER) / f"readings-{number}.npz"
    write_arrays(folder / path, arrays)
    return str(path)
