"""`python -m worldmodel.runs.zoo runs/NAME WORLD`: a finished run, which `control` has driven, put into the zoo."""

import dataclasses
import shutil
import sys
from pathlib import Path

import torch

from worldmodel.models.weights import WEIGHTS, read_weights, write_weights
from worldmodel.runs.results import ControlResult
from worldmodel.runs.run import Run
from worldmodel.runs.summary import Summary, write_summary
from worldmodel.runs.zoo import FOLDER
from worldmodel.runs.zoo.card import card
from worldmodel.settings import recipe, write_run_config
from worldmodel.system.errors import UserError


def export(run: Run, name: str) -> Path:
    """Copy what inference needs of a run into the package: floating-point weights as float16, no paths, no videos."""
    target = FOLDER / name
    trained, summary = run.config, run.summary
    collection = dataclasses.replace(trained.collection, data="data")
    atlas = trained.atlas and dataclasses.replace(trained.atlas, data="data")
    settings = dataclasses.replace(trained, name=f"zoo-{name}", runs="runs", collection=collection, atlas=atlas)
    weights = {
        key: value.half() if value.dtype == torch.float32 else value
        for key, value in read_weights(run.path / WEIGHTS).items()
    }
    write_run_config(target, settings)
    write_weights(target / WEIGHTS, weights)
    shutil.copy(run.path / "model.json", target / "model.json")
    here, heads = f"runs/zoo/{name}", " goal_heads=true" if trained.goal_heads != recipe(name).goal_heads else ""
    kept = Summary(
        settings.run_name,
        dataclasses.replace(summary.train, run=here, seconds={}, peak_memory_mb=None),
        dataclasses.replace(_driven(run), runs=[here], videos=[]),
        commands={"train": f"worldmodel train env={name}{heads}"},
        versions=summary.versions,
    )
    write_summary(target / "summary.json", kept)
    megabytes = (target / WEIGHTS).stat().st_size / 1e6
    (target / "README.md").write_text(card(name, settings, kept, megabytes), encoding="utf-8")
    return target


def _driven(run: Run) -> ControlResult:
    if run.control is None:
        raise UserError(f"{run.path} has no control result for its card; run worldmodel control run={run.path}")
    return run.control


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: python -m worldmodel.runs.zoo runs/NAME WORLD")
    print(export(Run(sys.argv[1]), sys.argv[2]))
