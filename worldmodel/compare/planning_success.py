"""Planning readiness: the same predictor and planner on every method's frozen latents, by the tool's own verbs."""

import dataclasses
import json
import shutil
from typing import Any

from worldmodel.compare.laboratory import Cell, Laboratory
from worldmodel.evaluation.control import control
from worldmodel.learning.train import train
from worldmodel.settings import ControlConfig
from worldmodel.system.files import write_json


def plan_with(lab: Laboratory, cell: Cell) -> dict[str, Any]:
    """Train a whole world model with the cell's method, run the control tasks; success with its interval."""
    path = lab.folder / "cells" / f"{lab.fingerprint}-plan" / f"{cell.name}.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    print(f"{lab.label}: plan with {cell.name}", flush=True)
    scale, config = lab.scale, lab.config
    config = dataclasses.replace(
        config,
        method=lab.method(cell),
        predictor=dataclasses.replace(config.predictor, hidden=scale.predictor_hidden),
        predictor_training=dataclasses.replace(config.predictor_training, steps=scale.predictor_steps),
        runs=str(lab.folder / "work"),
        name=f"plan-{cell.name}",
        seed=cell.seed,
    )
    shutil.rmtree(config.run_directory, ignore_errors=True)
    trained = train(config)
    driven = control(ControlConfig(run=trained.run, tasks=scale.tasks, seed=cell.seed, videos=0, oracle=False))
    latent, random = driven.latent.success, driven.controllers["random"].success
    assert latent and random and trained.prediction
    figures = {
        "success_rate": latent.rate,
        "success_interval": list(latent.interval),
        "random_success_rate": random.rate,
        "num_tasks": driven.latent.num_tasks,
        "prediction_error_ratio": {str(step): of for step, of in trained.prediction.ratio_to_persistence.items()},
    }
    write_json(path, figures)
    shutil.rmtree(trained.run)
    return figures
