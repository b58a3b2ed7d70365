"""Trained runs that come with the package: `run=pretrained/reacher`; `__main__` makes them."""

import shutil
from pathlib import Path

from worldmodel.system.errors import UserError

FOLDER = Path(__file__).parent
PREFIX = "pretrained/"


def names() -> list[str]:
    """The worlds there are pretrained runs of."""
    return sorted(path.parent.name for path in FOLDER.glob("*/model.json"))


def find_run(run: str, runs: Path = Path("runs")) -> str:
    """`run` itself, or for "pretrained/NAME" a copy of that run in runs/pretrained/NAME, made when there is none.

    Verbs write into runs, and the package may lie where nobody may write.

    Raises:
        UserError: the package has no run of that name.
    """
    if not run.startswith(PREFIX) or Path(run).exists():
        return run
    name = run.removeprefix(PREFIX)
    if name not in names():
        raise UserError(f"there is no pretrained run {name!r}; there is {', '.join(names())}")
    target = runs / PREFIX / name
    if not (target / "summary.json").exists():
        shutil.copytree(FOLDER / name, target, dirs_exist_ok=True)
    return str(target)
