"""The zoo: trained runs that come with the package, one a world, as `run=zoo/reacher`.

A model's card, README.md in its folder, is written from its results by `__main__`.
"""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from worldmodel.models.weights import WEIGHTS
from worldmodel.runs.run_directory import RunDirectory
from worldmodel.runs.summary import Summary, read_summary
from worldmodel.system.errors import UserError
from worldmodel.system.files import inner_folder, read_text, write_atomically

FOLDER = Path(__file__).parent
_LAST = "summary.json"  # the file that is copied last, so that a run that has it is whole
PREFIX = "zoo/"
_LARGEST_CARD = 2**16
_PREFIX_01 = "pretrained/"  # what version 0.1 called it


@dataclass(frozen=True)
class ZooModel:
    """A model that comes with the package."""

    name: str
    """Its world; `run=zoo/NAME` opens it."""
    summary: Summary
    """Results of its training and of 100 control tasks."""
    megabytes: float
    """Size of its weights, in 10^6 bytes."""

    @property
    def card(self) -> str:
        """Data, recipe, figures, limits and commands, in Markdown."""
        return read_text(FOLDER / self.name / "README.md", _LARGEST_CARD)


def zoo() -> list[ZooModel]:
    """Every model that comes with the package."""
    return [find_model(name) for name in names()]


def find_model(name: str) -> ZooModel:
    """The model of this name; UserError where there is none."""
    if name not in names():
        raise UserError(f"there is no {name!r} in the zoo; there is {', '.join(names())}")
    folder = FOLDER / name
    megabytes = (folder / WEIGHTS).stat().st_size / 1e6
    return ZooModel(name, read_summary(folder / "summary.json"), megabytes)


def names() -> list[str]:
    """Names of the models, in alphabetical order."""
    return sorted(path.parent.name for path in FOLDER.glob("*/model.json"))


def find_run(run: str, runs: Path = Path("runs")) -> str:
    """`run` itself, or for "zoo/NAME" a copy of that run in runs/zoo/NAME, made when there is none.

    Verbs write into runs, and the package may lie where nobody may write.

    Raises:
        UserError: the package has no run of that name.
    """
    prefix = next((prefix for prefix in (PREFIX, _PREFIX_01) if run.startswith(prefix)), None)
    if prefix is None or Path(run).exists():
        return run
    model = find_model(run.removeprefix(prefix))
    target = runs / PREFIX / model.name
    if not (target / _LAST).exists():
        for folder in (target.parent, target):
            inner_folder(folder)
        files = sorted((FOLDER / model.name).iterdir(), key=lambda path: path.name == _LAST)
        with RunDirectory(target).alone():
            if not (target / _LAST).exists():  # another command may have copied it, and be at work on it
                for file in files:  # each whole or not at all, so that a copy that was cut off is completed
                    write_atomically(target / file.name, partial(shutil.copyfile, file))
    return str(target)
