"""`summary.json` of a run, and files with a single result: their content, and the one reader and writer of both."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import msgspec

from worldmodel.models.weights import WEIGHTS, weights_checksum
from worldmodel.runs.identify_result import IdentifyResult
from worldmodel.runs.imagine_result import ImagineResult
from worldmodel.runs.probe_result import ProbeResult
from worldmodel.runs.process_info import Hardware, command_line, this_machine, versions
from worldmodel.runs.results import ControlResult, SurpriseResult, TrainResult
from worldmodel.runs.robust_result import RobustResult
from worldmodel.runs.version1 import upgraded
from worldmodel.settings import without_gone
from worldmodel.system.digest import with_checksum, without_checksum
from worldmodel.system.errors import CheckpointError, ResultError, UserError
from worldmodel.system.files import check_place, check_regular, read_json, write_json

SCHEMA = 2
RunResult = TrainResult | ControlResult | ProbeResult | SurpriseResult | IdentifyResult | RobustResult | ImagineResult


class Result(Protocol):
    """A result dataclass."""

    kind: ClassVar[str]
    """The verb whose result it is."""


ResultT = TypeVar("ResultT", bound=Result)
FileT = TypeVar("FileT")


@dataclass(frozen=True)
class Summary:
    """What is known of a run: `summary.json` in its directory."""

    kind: ClassVar[str] = "run"
    name: str
    """Name of the run."""
    train: TrainResult
    """What `train` found."""
    control: ControlResult | None = None
    """What `control` found last; None where it was not run, as with the other verbs below."""
    probe: ProbeResult | None = None
    """What `probe` found."""
    surprise: SurpriseResult | None = None
    """What `surprise` found."""
    identify: IdentifyResult | None = None
    """What `identify` found last."""
    robust: RobustResult | None = None
    """What `robust` found."""
    imagine: ImagineResult | None = None
    """What `imagine` found."""
    earlier_control: dict[str, ControlResult] = field(default_factory=dict)
    """Protocol -> what `control` found under it, of the protocols before that of `control`."""
    commands: dict[str, str] = field(default_factory=dict)
    """Verb -> the command that was run last; for `earlier_control` under "control PROTOCOL"."""
    weights: dict[str, str] = field(default_factory=dict)
    """Verb -> checksum of the weights that its result is about; for `earlier_control` as in `commands`."""
    versions: dict[str, str] = field(default_factory=dict)
    """Package -> its version, when the last verb was run."""
    hardware: Hardware | None = None
    """The machine on which the last verb was run."""

    @property
    def results(self) -> dict[str, RunResult]:
        """Verb -> its result, for the verbs that were run."""
        found = (self.train, self.control, self.probe, self.surprise, self.identify, self.robust, self.imagine)
        return {result.kind: result for result in found if result is not None}

    @property
    def outdated(self) -> list[str]:
        """Results, named as in `commands`, that are about other weights than those of the last training."""
        now = self.weights.get(TrainResult.kind)
        return [verb for verb, used in self.weights.items() if now and used != now]


@dataclass(frozen=True)
class Record(Generic[ResultT]):
    """A result on its own, as `out=FILE` writes it."""

    result: ResultT
    """What was found."""
    command: str | None = None
    """The command that found it."""
    versions: dict[str, str] = field(default_factory=dict)
    """Package -> its version."""
    hardware: Hardware | None = None
    """The machine."""


def read_summary(path: Path) -> Summary:
    """The summary in a file, also one that version 0.1 wrote.

    Raises:
        ResultError: the file is missing, foreign, of another kind or of a version that cannot be read.
    """
    return _read(path, Summary.kind, Summary)


def add_to_summary(path: Path, result: RunResult) -> Summary:
    """Put a result into the summary at `path`, beside what stands there; `train` begins a summary.

    Raises:
        ResultError: what stands there cannot be read.
    """
    if os.path.lexists(path):
        before = read_summary(path)
        before = _with_earlier(before, result) if isinstance(result, ControlResult) else before
        summary = replace(before, **{result.kind: result})
    else:
        assert isinstance(result, TrainResult), f"{path} is made by train"
        summary = Summary(path.parent.name, result)
    commands = {**summary.commands, result.kind: command_line()}
    weights = _used(summary.weights, {result.kind: _checksum(path.parent)})
    summary = replace(summary, commands=commands, weights=weights, versions=versions(), hardware=this_machine())
    write_summary(path, summary)
    return summary


def _with_earlier(summary: Summary, new: ControlResult) -> Summary:
    """The summary with its control result among the earlier ones, if the new one is of another protocol."""
    earlier = {name: of for name, of in summary.earlier_control.items() if name != new.protocol.name}
    commands, weights, last = summary.commands, summary.weights, summary.control
    if last is not None and last.protocol.name != new.protocol.name:
        earlier[last.protocol.name] = replace(last, videos=[])  # the new films take the place of the old ones
        name = f"control {last.protocol.name}"
        commands = {**commands, name: commands.get("control", "")}
        weights = _used(weights, {name: weights.get("control")})
    return replace(summary, earlier_control=earlier, commands=commands, weights=weights)


def _used(weights: dict[str, str], of: dict[str, str | None]) -> dict[str, str]:
    """Checksums of weights by verb, with those of some verbs changed; None where they have none."""
    return {verb: used for verb, used in {**weights, **of}.items() if used is not None}


def _checksum(run: Path) -> str | None:
    """Checksum of a run's weights; None where none can be read."""
    try:
        return weights_checksum(run / WEIGHTS)
    except CheckpointError:
        return None


def write_summary(path: Path, summary: Summary) -> None:
    """Write a summary as JSON."""
    _write(path, Summary.kind, summary)


def read_record(path: Path, cls: type[ResultT]) -> Record[ResultT]:
    """A result of class `cls` in a file of its own, also one that version 0.1 wrote.

    Raises:
        ResultError: the file is missing, foreign, of another kind or of a version that cannot be read.
    """
    return _read(path, cls.kind, Record[cls])


def check_out(out: str | None, cls: type[Result], overwrite: bool) -> None:
    """UserError where a result of class `cls` would replace anything else, before minutes are spent.

    overwrite: any regular file may be replaced.
    """
    if out is None:
        return
    path = Path(out)
    check_place(path)
    if not os.path.lexists(path):
        return
    check_regular(path.resolve())
    if overwrite:
        return
    try:
        read_record(path.resolve(), cls)
    except ResultError as error:
        raise UserError(
            f"{out} exists and is no result of this kind; choose another out=, or add overwrite=true"
        ) from error


def write_record(path: Path, result: Result) -> None:
    """Write a result to a file of its own, with the command, versions and machine that made it."""
    _write(path, result.kind, Record(result, command_line(), versions(), this_machine()))


# ---------------------------------------------------------------------------------------------------------------------
# files


def _write(path: Path, kind: str, content: object) -> None:
    write_json(path, with_checksum({"schema": SCHEMA, "kind": kind, **msgspec.to_builtins(content, str_keys=True)}))


def _read(path: Path, kind: str, cls: type[FileT]) -> FileT:
    remedy = "run the command that wrote it again" if kind != Summary.kind else "delete it and train again"
    try:
        content = read_json(path)
    except FileNotFoundError as error:
        raise ResultError(f"{path} does not exist; a run holds one, which `worldmodel train` writes") from error
    except ValueError as error:
        raise ResultError(f"{path} is not JSON ({error}); {remedy}") from error
    try:
        content, _ = without_checksum(content)
    except ValueError as error:
        raise ResultError(f"{path} is damaged: {error}; {remedy}") from error
    schema, found = content.pop("schema", 1), content.pop("kind", kind)
    if schema not in (1, SCHEMA):
        raise ResultError(f"{path} has schema {schema!r}, this version reads 1 and {SCHEMA}; {remedy}")
    if found != kind:
        raise ResultError(f"{path} holds a result of kind {found!r}, expected {kind!r}; give another file")
    try:
        values = _without_gone(content if schema == SCHEMA else upgraded(kind, content))
        result = msgspec.convert(values, cls, str_keys=True)
        kept = msgspec.to_builtins(result, str_keys=True)
        for fault in _faults(values, kept):
            raise ValueError(fault)
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # msgspec's is a ValueError
        raise ResultError(f"{path}: {_in_words(error)}; {remedy}") from error
    return result


def _without_gone(values: dict[str, Any]) -> dict[str, Any]:
    """A copy without options of plans that went."""
    return {
        key: without_gone(value, "plan.") if key == "plan" and isinstance(value, dict)
        else _without_gone(value) if isinstance(value, dict) else value
        for key, value in values.items()
    }  # fmt: skip


def _faults(given: Any, kept: Any, place: str = "") -> Iterator[str]:
    """What a file holds that a result does not: unknown entries, and numbers that are not finite."""
    if isinstance(given, Mapping) and isinstance(kept, Mapping):
        for key, value in given.items():
            if key not in kept:
                yield f"{place}{key} is unknown"
            else:
                yield from _faults(value, kept[key], f"{place}{key}.")
    elif isinstance(given, list | tuple) and isinstance(kept, list | tuple):
        for index, (value, other) in enumerate(zip(given, kept, strict=True)):
            yield from _faults(value, other, f"{place}{index}.")
    elif isinstance(given, float) and not abs(given) < float("inf"):
        yield f"{place[:-1]} must be a number, got {given}"


def _in_words(error: Exception) -> str:
    """msgspec's message with the place in front: `control.seed must be a whole number or null, got text`."""
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    what, _, place = str(error).partition(" - at `$")
    place = place.rstrip("`").lstrip(".")
    if missing := re.match("Object missing required field `(.*)`", what):
        return f"{place}{'.' if place else ''}{missing[1]} is missing"
    if types := re.match("Expected `(.*)`(.*), got `?(.*?)`?$", what):
        return f"{place} must be {_type_in_words(types[1])}{types[2]}, got {_type_in_words(types[3])}"
    return f"{place}: {what}" if place else what


def _type_in_words(types: str) -> str:
    words = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false"}
    words |= {"object": "an object", "array": "a list"}
    return " or ".join(words.get(name, name) for name in types.split(" | "))
