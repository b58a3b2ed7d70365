"""Kill every verb at random instants, and compare what it leaves (`python -m benchmarks.speed what=faults`).

Each run is started, killed (SIGKILL; its workers end with it) after a random time, started again, and so on until it
ends by itself. What it leaves is then compared with what an undisturbed run leaves: data sets and pages to the byte; of
a training the weights to the byte, and optimiser, generator and logged losses number by number; of an evaluation every
figure but its times.
"""

import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from tqdm import tqdm

from benchmarks.provenance import with_provenance
from benchmarks.settings import BenchConfig
from benchmarks.trust.comparing import same_files, same_training
from benchmarks.trust.subjects import ShortShards, Subjects, collecting, make_subjects, training
from worldmodel.data import convert, merge, record, recording_of
from worldmodel.evaluation import control, probe
from worldmodel.learning import train
from worldmodel.reporting import report
from worldmodel.runs import Run
from worldmodel.settings import ControlConfig, PlanConfig, ProbeConfig, ReportConfig
from worldmodel.system import UserError, read_json, write_json

# times a run may be killed in a row before it is left alone, lest it never ends
MOST_KILLS = 12

# what runs a verb in a folder of its own, and what compares two such folders
_Kind = tuple[Callable[[Path], None], Callable[[Path, Path], list[str]]]


@dataclass
class _Tally:
    """What happened to one kind of run."""

    kills: int = 0
    """Kills so far."""
    runs: int = 0
    """Runs that were killed, up to MOST_KILLS times each, and then ended well."""
    undisturbed_s: float = 0.0
    """Seconds of an undisturbed run."""
    differing: list[str] = field(default_factory=list)
    """Differences from the undisturbed run."""


def faults(config: BenchConfig) -> dict[str, Any]:
    """Kill each kind of run equally often; returns figures of what was lost.

    With `out`, they are written there after every run that was killed, and an interrupted command continues from there.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        subjects = make_subjects(root / "subjects")  # a run and a data set, to evaluate and to copy
        kinds = _kinds(subjects)
        tallies = _tallies_so_far(kinds, config.out)
        share = config.repeats // len(kinds)
        with tqdm(total=share * len(kinds), initial=_totals(tallies)["kills"], unit="kill") as bar:
            while (name := min(kinds, key=lambda kind: tallies[kind].kills)) and tallies[name].kills < share:
                bar.set_description(name)
                bar.update(_torment(root / name, kinds[name], tallies[name], share, config.seed))
                if config.out:
                    write_json(Path(config.out), with_provenance(_totals(tallies)))
    return _totals(tallies)


def _tallies_so_far(names: Iterable[str], out: str | None) -> dict[str, _Tally]:
    """The tallies that an earlier command left at `out`."""
    found = read_json(Path(out)) if out and Path(out).exists() else {}
    return {name: msgspec.convert(found.get(name, {}), _Tally) for name in names}


def _totals(tallies: dict[str, _Tally]) -> dict[str, Any]:
    total = {"kills": sum(tally.kills for tally in tallies.values())}
    total["lost"] = sum(len(tally.differing) for tally in tallies.values())
    return total | {name: asdict(tally) for name, tally in tallies.items()}


def _torment(root: Path, kind: _Kind, tally: _Tally, most: int, seed: int) -> int:
    """Kill one run repeatedly, up to `most` kills of its kind, and compare what it leaves; returns its kills."""
    run, compare = kind
    reference = root / "undisturbed"
    if not reference.exists():
        _undisturbed(root, kind, tally)
    rng = np.random.default_rng([seed, tally.kills, tally.runs])
    victim, kills = root / f"killed-{tally.runs}", 0
    while True:
        spared = kills == min(MOST_KILLS, most - tally.kills)
        patience = None if spared else rng.uniform(0.02, 1.0) * tally.undisturbed_s
        if _run_for(run, victim, patience):
            break
        kills += 1
    tally.kills += kills
    tally.runs += 1
    tally.differing += [f"{victim.name}: {what}" for what in compare(reference, victim)]
    shutil.rmtree(victim)
    return kills


def _undisturbed(root: Path, kind: _Kind, tally: _Tally) -> None:
    """Make an undisturbed run to compare with, and check that a second one leaves the same."""
    run, compare = kind
    reference, again = root / "undisturbed", root / "again"
    for directory in (reference, again):  # the second time, what both need has been made
        start = time.monotonic()
        if not _run_for(run, directory, None):
            raise UserError(f"a {root.name} run that nothing disturbed failed; try it alone")
        tally.undisturbed_s = round(time.monotonic() - start, 2)
    tally.differing += [f"undisturbed: {what}" for what in compare(reference, again)]


def _run_for(run: Callable[[Path], None], directory: Path, seconds: float | None) -> bool:
    """Run in a process of its own, killed after `seconds`; whether it ended by itself without an error.

    Workers of a collection end with it, in the middle of whatever they do, and may overlap with those of the next.
    """
    context = multiprocessing.get_context("forkserver")
    # imports once, not at every start; workers of a collection start from there, too
    context.set_forkserver_preload(["benchmarks.faults", "tensorboard.summary.writer.record_writer"])
    process = context.Process(target=_quietly, args=(run, directory))
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
    process.join()
    return process.exitcode == 0


def _quietly(run: Callable[[Path], None], directory: Path) -> None:
    torch.set_num_threads(1)
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(null, stream)
    run(directory)


# ---------------------------------------------------------------------------------------------------------------------
# what is run and compared


def _kinds(subjects: Subjects) -> dict[str, _Kind]:
    """Name of a verb -> what runs it in a folder of its own, and what compares two such folders."""
    return {
        "collect": (_collect, same_files),
        "train": (_train, same_training),
        "merge": (partial(_merge, subjects.data), same_files),
        "convert": (partial(_convert, subjects.data), same_files),
        "control": (partial(_evaluate, subjects, _control), _same_results),
        "probe": (partial(_evaluate, subjects, _probe), _same_results),
        "report": (partial(_report, subjects.run), same_files),
    }


def _collect(directory: Path) -> None:
    config = collecting(directory / "data")
    record(config.directory, ShortShards(**vars(recording_of(config))), config.episodes, config.workers)


def _train(directory: Path) -> None:
    """A training of all stages, on a data set that is collected first."""
    train(training(directory.parent, directory.name), checkpoint_every_s=0.02)


def _merge(data: Path, directory: Path) -> None:
    copies = [data.with_name(f"{data.name}-{number}") for number in range(6)]
    for copy in copies:
        if not copy.exists():
            shutil.copytree(data, copy.with_suffix(".partial"), dirs_exist_ok=True)
            copy.with_suffix(".partial").rename(copy)
    merge(copies, directory / "whole")


def _convert(data: Path, directory: Path) -> None:
    """To another toolkit's file, and back."""
    convert(data, directory / "foreign.h5")
    convert(directory / "foreign.h5", directory / "back")


def _evaluate(subjects: Subjects, verb: Callable[[Subjects, str], object], directory: Path) -> None:
    """A verb in a copy of the run."""
    if not (directory / "run").exists():
        shutil.copytree(subjects.run, directory / "copying")
        (directory / "copying").rename(directory / "run")
    verb(subjects, str(directory / "run"))


def _control(subjects: Subjects, run: str) -> None:
    plan = PlanConfig(planner={"name": "cem", "num_samples": 16, "num_elites": 4, "horizon": 4})
    control(ControlConfig(run, plan=plan, tasks=2, goal_steps=4, budget_steps=4, oracle=False, videos=2))


def _probe(subjects: Subjects, run: str) -> None:
    data = str(subjects.data.parent)
    probe(ProbeConfig(run, data=data, bootstrap=5, max_frames=100, controls=False, bound_trajectories=0))


def _report(run: Path, directory: Path) -> None:
    report(ReportConfig(str(run), out=str(directory / "page.html")))


def _same_results(reference: Path, victim: Path) -> list[str]:
    """What differs between two runs that were evaluated: figures but for times; files that are missing or left over."""
    one, other = (_figures(path / "run") for path in (reference, victim))
    differing = [verb for verb in {**one, **other} if one.get(verb) != other.get(verb)]
    names = [
        # TensorBoard names its files after the time and the process
        {str(path.relative_to(of)) for path in of.rglob("*") if not path.name.startswith("events.out.tfevents")}
        for of in (reference, victim)
    ]
    return differing + sorted(names[0] ^ names[1])


def _figures(run: Path) -> dict[str, Any]:
    """Verb -> what it found, without its times and its place."""
    found = {}
    for verb, result in Run(run).summary.results.items():
        values = asdict(result)
        for name in ("cpu_ms_per_decision", "runs", "seconds", "peak_memory_mb"):
            values.pop(name, None)
        found[verb] = values
    return found
