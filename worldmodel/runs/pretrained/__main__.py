"""`python -m worldmodel.runs.pretrained runs/NAME WORLD`: a finished run as one that comes with the package."""

import dataclasses
import shutil
import sys
from pathlib import Path

import torch

from worldmodel.models.weights import read_weights, write_weights
from worldmodel.runs.pretrained import FOLDER
from worldmodel.runs.run import Run
from worldmodel.runs.summary import Summary, write_summary
from worldmodel.settings import write_run_config


def export(run: Run, name: str) -> Path:
    """Copy what inference needs of a run into the package: floating-point weights as float16, no paths, no videos."""
    target = FOLDER / name
    trained, summary = run.config, run.summary
    collection = dataclasses.replace(trained.collection, data="data")
    settings = dataclasses.replace(trained, name=f"pretrained-{name}", runs="runs", collection=collection)
    weights = {
        key: value.half() if value.dtype == torch.float32 else value
        for key, value in read_weights(run.path / "model.safetensors").items()
    }
    write_run_config(target, settings)
    write_weights(target / "model.safetensors", weights)
    shutil.copy(run.path / "model.json", target / "model.json")
    result = dataclasses.replace(summary.train, run=f"runs/pretrained/{name}", seconds={}, peak_memory_mb=None)
    write_summary(target / "summary.json", Summary(settings.run_name, result, versions=summary.versions))
    return target


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: python -m worldmodel.runs.pretrained runs/NAME WORLD")
    print(export(Run(sys.argv[1]), sys.argv[2]))
