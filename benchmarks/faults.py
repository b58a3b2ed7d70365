"""Kill every verb at random instants, and compare what it leaves (`python -m benchmarks.speed what=faults`).

Each run is started, killed (by SIGKILL or SIGTERM; its workers end with it) after a random time, started again, and so
on until it ends by itself. What it leaves is then compared with what an undisturbed run leaves: data sets and pages to
the byte; of a training the weights to the byte, and optimiser, generator and logged losses number by number; of an
evaluation and a study every figure but its times.
"""

import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from tqdm import tqdm

from benchmarks.provenance import with_provenance
from benchmarks.settings import BenchConfig
from benchmarks.trust.killed_verbs import KilledVerb, killed_verbs
from benchmarks.trust.subjects import make_subjects
from worldmodel.system import Terminated, UserError, read_json, sigterm_raises, write_json

# times a run may be killed in a row before it is left alone, lest it never ends
MOST_KILLS = 12
_TERMINATED = 128 + signal.SIGTERM
_KILLED = (-signal.SIGKILL, -signal.SIGTERM, _TERMINATED)


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
        kinds = killed_verbs(subjects)
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


def _torment(root: Path, kind: KilledVerb, tally: _Tally, most: int, seed: int) -> int:
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
        status = _run_for(run, victim, patience, gently=bool(rng.integers(2)))
        if status not in _KILLED:
            break
        kills += 1
    tally.kills += kills
    tally.runs += 1
    different = [f"failed with status {status}"] if status else compare(reference, victim)
    tally.differing += [f"{victim.name}: {what}" for what in different]
    shutil.rmtree(victim)
    return kills


def _undisturbed(root: Path, kind: KilledVerb, tally: _Tally) -> None:
    """Make an undisturbed run to compare with, and check that a second one leaves the same."""
    run, compare = kind
    reference, again = root / "undisturbed", root / "again"
    for directory in (reference, again):  # the second time, what both need has been made
        start = time.monotonic()
        if _run_for(run, directory, None) != 0:
            raise UserError(f"a {root.name} run that nothing disturbed failed; try it alone")
        tally.undisturbed_s = round(time.monotonic() - start, 2)
    tally.differing += [f"undisturbed: {what}" for what in compare(reference, again)]


def _run_for(run: Callable[[Path], None], directory: Path, seconds: float | None, gently: bool = False) -> int | None:
    """Run in a process of its own, killed after `seconds`; its exit status.

    Workers of a collection end with it, in the middle of whatever they do, and may overlap with those of the next.
    gently: by SIGTERM, at which a command clears away what it was writing, or finishes its step.
    """
    context = multiprocessing.get_context("forkserver")
    # imports once, not at every start; workers of a collection start from there, too
    context.set_forkserver_preload(["benchmarks.faults", "tensorboard.summary.writer.record_writer"])
    process = context.Process(target=_quietly, args=(run, directory))
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        (process.terminate if gently else process.kill)()
    process.join()
    return process.exitcode


def _quietly(run: Callable[[Path], None], directory: Path) -> None:
    torch.set_num_threads(1)
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(null, stream)
    try:
        with sigterm_raises():  # as the command line has it
            run(directory)
    except Terminated:
        os._exit(_TERMINATED)
