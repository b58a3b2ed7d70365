"""`worldmodel runs`: list, compare, verify and remove runs."""

import glob
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from worldmodel.cli.terminal import achievement, table
from worldmodel.learning.verifying import verify_run
from worldmodel.measures.wording import digits
from worldmodel.runs import Run, RunDirectory
from worldmodel.settings import RunsConfig, differing, read_run_config
from worldmodel.system.errors import UserError

_REMOVED = ".removed-"
"""A run that is being removed has this before its name."""


def runs(config: RunsConfig) -> str:
    """Do what `config.what` says; returns the text to print."""
    if config.what == "remove":
        return _remove(config)
    paths = _paths(config)
    if config.what == "verify":
        return _verified(paths)
    return _compared(paths) if config.what == "compare" else _listed(paths)


def _paths(config: RunsConfig) -> list[Path]:
    """Folders with a run in them."""
    if config.run is None:
        begun = sorted(_below(Path(config.runs)))
    else:
        begun = [path for path in map(Path, sorted(glob.glob(config.run, recursive=True))) if _is_run(path)]
    wanted = begun if config.what in ("list", "remove") else [path for path in begun if _is_finished(path)]
    if not wanted:
        kind, place = "finished run" if begun else "run", config.run or f"{config.runs}/**"
        raise UserError(f"no {kind} at {place}; train one with: worldmodel train env=NAME")
    return wanted


def _below(folder: Path) -> Iterator[Path]:
    """Runs in a folder and in the folders within it; no link below it is followed, which may lead anywhere."""
    for place, folders, _ in os.walk(folder):
        if _is_run(Path(place)):
            yield Path(place)
            folders.clear()  # folders of a run are no runs


def _is_run(path: Path) -> bool:
    """Many a folder has a file config.yaml: that of an unfinished run is told by the lock that training leaves."""
    return (path / "config.yaml").is_file() and (_is_finished(path) or (path / ".lock").is_file())


def _is_finished(run: Path) -> bool:
    return (run / "summary.json").is_file()


def _listed(paths: Sequence[Path]) -> str:
    """One line a run."""
    rows = [("run", "world", "method", "seed", "state R2", "error / still", "steps off", "control")]
    return table([*rows, *map(_row, paths)])


def _row(path: Path) -> tuple[str, ...]:
    try:
        if not _is_finished(path):
            config = read_run_config(path)
            told = "not finished; its train command continues it"
            return (str(path), config.env.world, config.method.name, str(config.seed), "–", "–", "–", told)
        run = Run(path)
        trained, control = run.train, run.control
    except UserError as error:
        return (str(path), f"cannot be read: {error}")
    state = trained.identifiability.r2_h_to_z if trained.identifiability else None
    ratio = trained.prediction.farthest[1] if trained.prediction else None
    found = trained.prediction.steps_off if trained.prediction else None
    off = digits(found.mean if found else None, ".1f")
    driven = f"{achievement(control.latent)} {control.protocol.name}" if control else "–"
    driven += " (before the last training)" if control and "control" in run.summary.outdated else ""
    return (str(path), trained.env, trained.method, str(trained.seed), digits(state), digits(ratio), off, driven)


def _compared(paths: Sequence[Path]) -> str:
    """The runs side by side, and every setting in which they differ."""
    found = differing([Run(path).config for path in paths])
    rows = [("setting", *(path.name for path in paths)), *((name, *values) for name, values in found.items())]
    return f"{_listed(paths)}\n\n" + (table(rows) if found else "their settings are the same")


def _verified(paths: Sequence[Path]) -> str:
    """A line a run; UserError where one is damaged."""
    lines, damaged = [], []
    for found in map(verify_run, paths):
        lines += [f"warning: {warning}" for warning in found.warnings]
        lines.append(f"{found.directory} is whole: {', '.join(found.files)}")
        damaged += found.damaged
    if damaged:
        raise UserError(f"{'; '.join(damaged)}. Restore these files, or train the run again")
    return "\n".join(lines)


def _remove(config: RunsConfig) -> str:
    if config.run is None:
        raise UserError("which runs? worldmodel runs remove run=runs/NAME")
    names = _cut_off(Path(config.run))
    paths = [] if names and not glob.glob(config.run) else _paths(config)
    if linked := [str(path) for path in paths if path.is_symlink()]:
        raise UserError(f"{', '.join(linked)} are links; remove the runs where they are")
    for path in paths:
        with RunDirectory(path).alone():  # not one that is being trained
            # at once: other commands see a whole run or none, and what a kill leaves is no half of one
            away = path.with_name(_REMOVED + path.name)
            path.rename(away)
            shutil.rmtree(away)
    return f"removed: {', '.join(dict.fromkeys([*names, *map(str, paths)]))}"


def _cut_off(pattern: Path) -> list[str]:
    """Remove what is left of runs that an interrupted command was removing; returns their names."""
    removed = []
    for path in map(Path, glob.glob(str(pattern.with_name(_REMOVED + pattern.name))) if pattern.name else []):
        with suppress(UserError), RunDirectory(path).alone():  # not one that a living command is removing
            shutil.rmtree(path)
            removed.append(str(path.with_name(path.name.removeprefix(_REMOVED))))
    return removed
