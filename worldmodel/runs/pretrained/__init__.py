"""Trained runs that come with the package: `run=pretrained/reacher`.

`python -m worldmodel.runs.pretrained runs/NAME WORLD` makes one of a finished run, with weights in half precision.
"""

import dataclasses
import shutil
import sys
from pathlib import Path

import torch

from worldmodel.models.world_model import read_weights, write_weights
from worldmodel.runs.run_directory import RunDirectory
from worldmodel.settings import read_run_config, write_run_config
from worldmodel.system.errors import UserError
from worldmodel.system.files import write_json

FOLDER = Path(__file__).parent
PREFIX = "pretrained/"
_KEPT_SECTIONS = ("schema", "env", "method", "seed", "data", "model", "identifiability", "predictor", "versions")


def names() -> list[str]:
    """The worlds there are pretrained runs of."""
    return sorted(path.parent.name for path in FOLDER.glob("*/model.json"))


def find_run(run: str, runs: Path = Path("runs")) -> str:
    """`run` itself, or for "pretrained/NAME" a copy of that run in runs/pretrained/NAME, made when there is none.

    Verbs write into runs, and the package may lie where nobody may write.
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


def export(run: RunDirectory, name: str) -> Path:
    """Copy what inference needs of a run into the package: floating-point weights as float16, no paths, no videos."""
    target = FOLDER / name
    trained = read_run_config(run.path)
    collection = dataclasses.replace(trained.collection, data="data")
    settings = dataclasses.replace(trained, name=f"pretrained-{name}", runs="runs", collection=collection)
    weights = {
        key: value.half() if value.dtype == torch.float32 else value
        for key, value in read_weights(run.path / "model.safetensors").items()
    }
    write_run_config(target, settings)
    write_weights(target / "model.safetensors", weights)
    shutil.copy(run.path / "model.json", target / "model.json")
    kept = {key: value for key, value in run.read_summary().items() if key in _KEPT_SECTIONS}
    write_json(target / "summary.json", {**kept, "name": settings.run_name})
    return target


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit("usage: python -m worldmodel.runs.pretrained runs/NAME WORLD")
    print(export(RunDirectory.open(Path(sys.argv[1])), sys.argv[2]))
