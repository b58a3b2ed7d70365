"""One reader and one changed file: outcome and cost."""

import os
import resource
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

from benchmarks.trust.fuzzing.readers import READERS
from worldmodel.system import UserError, forget_peak, peak_resident_bytes, resident_bytes

LONGEST_LINE = 1100
MOST_S, MOST_MB = 5.0, 1000.0
"""CPU-seconds and 10^6 bytes that a file may cost."""
Outcome = Literal["read", "refused", "failed"]


@dataclass(frozen=True)
class Attempt:
    """Outcome and cost of reading one changed file."""

    outcome: Outcome
    told: str
    """What the user reads, or how the reader failed."""
    cpu_s: float
    """CPU-seconds, those of child processes too."""
    megabytes: float
    """Growth of memory at its largest, 10^6 bytes; an upper bound: memory that an earlier file took counts too."""


class Attempts:
    """A folder of valid files in which one is changed again and again, and read."""

    def __init__(self, valid: Path, scratch: Path, name: str) -> None:
        """valid: folder that `make_valid` wrote, copied to `scratch`. name: name of the reader."""
        self._folder, self._valid, self._reader = scratch, valid, READERS[name]
        shutil.copytree(valid, scratch, dirs_exist_ok=True)
        self.file = scratch / self._reader.file
        self._content = self.file.read_bytes()
        self._reader.read(scratch)  # valid content must be read; this also loads libraries, which are loaded once
        self._clean()
        self._before = resident_bytes()

    def changed(self, rng: Random) -> bytes:
        """The valid content with changes."""
        return self._reader.changed(rng, self._content)

    def of(self, content: bytes) -> Attempt:
        """Let the reader read this content."""
        self.file.write_bytes(content)
        start, outcome, told = _cpu_s(), "read", ""
        try:
            with warnings.catch_warnings(action="ignore"):
                self._reader.read(self._folder)
        except UserError as error:
            outcome, told = "refused", str(error).replace(str(self._folder), "…")
            if "\n" in told or len(told) > LONGEST_LINE or not told.replace("\t", "").isprintable():
                outcome, told = "failed", f"not one plain line: {told[:300]!r}"
        except Exception as error:
            outcome, told = "failed", f"{type(error).__name__}: {error} ({_place(error)})"[:300]
        cpu_s, megabytes = _cpu_s() - start, (peak_resident_bytes() - self._before) / 1e6
        self._clean()
        if megabytes > 100:
            forget_peak()
        if outcome != "failed" and (cpu_s > MOST_S or megabytes > MOST_MB):
            outcome, told = "failed", f"{cpu_s:.1f} s, {megabytes:.0f} MB: {told}"
        return Attempt(outcome, told, round(cpu_s, 4), round(megabytes, 1))

    def _clean(self) -> None:
        """Remove what reading has written."""
        if (self._folder / "converted").exists():
            shutil.rmtree(self._folder / "converted")


def _place(error: BaseException) -> str:
    """Where in this package an error came from."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if "worldmodel" in file.parts and "site-packages" not in file.parts:
            place = f"{file.name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _cpu_s() -> float:
    usage = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in usage)


def work_at(valid: Path, scratch: Path, name: str, seed: int, numbers: range, sender: object) -> None:
    """Try the inputs of these numbers, and send (number, attempt) for each."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(null, stream)  # libraries complain there by themselves
    attempts = Attempts(valid, scratch, name)
    forget_peak()
    sender.send(None)  # type: ignore[attr-defined]  # ready
    for number in numbers:
        attempt = attempts.of(attempts.changed(random_of(seed, name, number)))
        sender.send((number, attempt))  # type: ignore[attr-defined]


def random_of(seed: int, name: str, number: int) -> Random:
    """The generator of one input."""
    return Random(f"{seed} {name} {number}")
