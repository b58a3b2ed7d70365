"""Whether the files of a run are what was written."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from worldmodel.learning.checkpoints import CHECKPOINT, checked_checkpoint
from worldmodel.models import WorldModel
from worldmodel.models.weights import WEIGHTS, checked_weights
from worldmodel.models.world_model import DESCRIPTION
from worldmodel.runs.array_files import read_arrays
from worldmodel.runs.choice_result import CHOICE, ChoiceResult
from worldmodel.runs.identify_result import CALIBRATION, FOLDER, MAX_CALIBRATION_BYTES
from worldmodel.runs.run_directory import RunDirectory
from worldmodel.runs.summary import read_record
from worldmodel.settings.stored import FILE_NAME, has_checksum, read_run_config
from worldmodel.system.digest import carries_checksum
from worldmodel.system.errors import CheckpointError, UserError
from worldmodel.system.files import check_folder


@dataclass(frozen=True)
class RunCheck:
    """The state of a run's files."""

    directory: Path
    """The run directory."""
    files: tuple[str, ...]
    """Files that were read."""
    damaged: tuple[str, ...]
    """One line for everything that is missing or not what was written; none where the run is whole."""
    warnings: tuple[str, ...]
    """One line for everything that carries no checksum, so that it could have changed unseen."""

    @property
    def is_whole(self) -> bool:
        return not self.damaged


def verify_run(path: Path) -> RunCheck:
    """Read every file of a run that a verb may read again, and compare it with the checksum that was written with it.

    The log, `metrics.jsonl`, has none: it is only parsed. Pictures and films are not read.

    Raises:
        CheckpointError: there is no run.
    """
    run, files, damaged, warnings = RunDirectory(path), [], [], []
    if not path.is_dir():
        raise CheckpointError(f"{path} is no run directory; worldmodel runs list shows those there are")
    for name, check in _checks(run).items():
        try:
            has_one = check()
        except FileNotFoundError:
            damaged.append(f"{path / name} is missing")
        except (UserError, ValueError, OSError) as error:
            damaged.append(str(error).split(";")[0])
        else:
            files.append(name)
            if not has_one:
                warnings.append(f"{path / name} carries no checksum, as those of older versions")
    return RunCheck(path, tuple(files), tuple(damaged), tuple(warnings))


def _checks(run: RunDirectory) -> dict[str, Callable[[], bool]]:
    """Name of a file -> what reads it, raises where it is damaged, and says whether it carries a checksum."""
    path = run.path
    checks: dict[str, Callable[[], bool]] = {
        FILE_NAME: lambda: bool(read_run_config(path)) and has_checksum(path),
        DESCRIPTION: lambda: bool(WorldModel.load(path)) and carries_checksum(path / DESCRIPTION),
        WEIGHTS: lambda: checked_weights(path / WEIGHTS)[1],
        "summary.json": lambda: bool(run.read_summary()) and carries_checksum(run.summary_file),
        "metrics.jsonl": lambda: isinstance(run.read_metrics(), list),
    }
    if os.path.lexists(path / CHOICE):  # where training chose settings by itself
        checks[CHOICE] = lambda: bool(read_record(path / CHOICE, ChoiceResult)) and carries_checksum(path / CHOICE)
    if os.path.lexists(path / CHECKPOINT):  # runs that come with the package have none
        checks[CHECKPOINT] = lambda: checked_checkpoint(path / CHECKPOINT)[1]
    calibration = path / FOLDER / CALIBRATION
    if os.path.lexists(calibration):
        checks[f"{FOLDER}/{CALIBRATION}"] = lambda: bool(_calibration(calibration))
    return checks


def _calibration(path: Path) -> Mapping[str, object]:
    """The arrays in a calibration; each carries a checksum, as all in zip files do."""
    check_folder(path.parent)
    try:
        return read_arrays(path, MAX_CALIBRATION_BYTES)
    except UserError:
        raise
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}; remove it, and identify makes it anew") from error
