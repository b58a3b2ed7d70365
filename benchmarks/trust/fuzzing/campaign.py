"""Thousands of changed files for each reader, read in a process of their own, which may die or hang."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from tqdm import tqdm

from benchmarks.provenance import with_provenance
from benchmarks.settings import TrustConfig
from benchmarks.trust.fuzzing.attempts import Attempt, random_of, work_at
from benchmarks.trust.fuzzing.readers import READERS
from benchmarks.trust.fuzzing.valid import make_valid
from worldmodel.system import UserError, read_json, write_json

PATIENCE_S = 300.0
"""Wall seconds without a result after which a reader counts as hanging; long, since busy machines are slow."""
_SAVE_EVERY_S = 20.0
_PAUSE_S = 0.03
"""Seconds between looks at the results: waking up for each of them would take longer than reading the files."""
_KEPT = 20


@dataclass
class Tally:
    """Outcomes of the inputs of one reader."""

    inputs: int = 0
    read: int = 0
    """Inputs read: changed where it does not matter, or into other valid content."""
    refused: int = 0
    """Inputs refused in one plain line."""
    failed: int = 0
    """Inputs that led to any other exception, a signal, a hang, or more time or memory than a file may cost."""
    failures: list[str] = field(default_factory=list)
    """Some of these: number of the input, and what happened."""
    most_cpu_s: float = 0.0
    """CPU-seconds of the most expensive input."""
    most_mb: float = 0.0
    """Largest growth of memory, 10^6 bytes."""
    seconds: float = 0.0
    """Wall seconds of all inputs."""

    def add(self, number: int, attempt: Attempt) -> None:
        self.inputs = number + 1
        self.read += attempt.outcome == "read"
        self.refused += attempt.outcome == "refused"
        self.failed += attempt.outcome == "failed"
        if attempt.outcome == "failed" and len(self.failures) < _KEPT:
            self.failures.append(f"{number}: {attempt.told}")
        self.most_cpu_s = max(self.most_cpu_s, attempt.cpu_s)
        self.most_mb = max(self.most_mb, attempt.megabytes)


def fuzz(config: TrustConfig, folder: Path) -> dict[str, Any]:
    """Change and read files until every reader has had its inputs, or its minutes; returns the outcomes.

    With `out`, the figures are written there every few seconds, and a command that was cut off goes on from them.
    """
    names = config.readers or tuple(READERS)
    if unknown := set(names) - set(READERS):
        raise UserError(f"no reader {', '.join(sorted(unknown))}; there are {', '.join(READERS)}")
    found = read_json(Path(config.out)) if config.out and Path(config.out).exists() else {}
    tallies = {name: msgspec.convert(of, Tally) for name, of in found.get("readers", {}).items() if name in READERS}
    make_valid(folder / "valid")

    def save() -> None:
        if config.out:
            write_json(Path(config.out), with_provenance(_figures(tallies)))

    for name in names:
        _run(name, tallies.setdefault(name, Tally()), folder, config, save)
        save()
    return _figures(tallies)


def _figures(tallies: dict[str, Tally]) -> dict[str, Any]:
    each = tallies.values()
    total = {"inputs": sum(of.inputs for of in each), "failed": sum(of.failed for of in each)}
    largest = {"most_cpu_s": max(of.most_cpu_s for of in each), "most_mb": max(of.most_mb for of in each)}
    return total | largest | {"readers": {name: asdict(of) for name, of in tallies.items()}}


def _run(name: str, tally: Tally, folder: Path, config: TrustConfig, save: Callable[[], None]) -> None:
    """Have one reader read its inputs, from where it was left."""
    with tqdm(total=config.inputs, initial=tally.inputs, desc=name, unit="file", mininterval=5) as bar:
        before_s, start, saved = tally.seconds, time.monotonic(), time.monotonic()
        while tally.inputs < config.inputs and (left_s := start + 60.0 * config.minutes - time.monotonic()) > 0:
            for number, attempt in _attempts(name, folder, config, range(tally.inputs, config.inputs), left_s):
                tally.add(number, attempt)
                bar.update(1)
                tally.seconds = round(before_s + time.monotonic() - start, 1)
                if attempt.outcome == "failed" and config.keep:
                    _keep(name, number, folder / "valid", config)
                if time.monotonic() - saved > _SAVE_EVERY_S:
                    save()
                    saved = time.monotonic()


def _attempts(
    name: str, folder: Path, config: TrustConfig, numbers: range, left_s: float
) -> Iterator[tuple[int, Attempt]]:
    """The attempts of one process, until it has ended, was killed, or the time is over."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.trust.fuzzing.attempts"])
    receiver, sender = context.Pipe(duplex=False)
    arguments = (folder / "valid", folder / "scratch", name, config.seed, numbers, sender)
    process = context.Process(target=work_at, args=arguments)
    process.start()
    sender.close()
    following = numbers.start
    try:
        receiver.recv()  # everything is imported, and the valid file was read
        until = time.monotonic() + left_s
        while following < numbers.stop and time.monotonic() < until:
            time.sleep(_PAUSE_S)
            if not receiver.poll(PATIENCE_S):
                yield following, Attempt("failed", f"hangs for {PATIENCE_S:.0f} s", PATIENCE_S, 0.0)
                return
            while receiver.poll():
                number, attempt = receiver.recv()
                following = number + 1
                yield number, attempt
    except EOFError:
        process.join()
        if following == numbers.stop:  # it has ended after the last one
            return
        yield following, Attempt("failed", f"the process died with {process.exitcode}", 0.0, 0.0)
    finally:
        process.kill()
        process.join()


def _keep(name: str, number: int, valid: Path, config: TrustConfig) -> None:
    """Write an input that failed to a folder, to look at it and to mend what failed."""
    folder, suffix = Path(config.keep), Path(READERS[name].file).suffix
    folder.mkdir(parents=True, exist_ok=True)
    content = READERS[name].changed(random_of(config.seed, name, number), (valid / READERS[name].file).read_bytes())
    (folder / f"{name.replace(' ', '-')}-{number}{suffix}").write_bytes(content)
