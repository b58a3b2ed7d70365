"""The demo itself, at a tiny size: three runs, one result, one page."""

from dataclasses import replace
from pathlib import Path

import pytest

from worldmodel.cli import demo as demo_module
from worldmodel.cli.demo import INTRODUCTION, demo
from worldmodel.runs import DemoResult, Run, read_record
from worldmodel.settings import DemoConfig, StepsConfig, TrainConfig


def tiny(config: DemoConfig, name: str, root: Path) -> TrainConfig:
    """The demo's own training, with few episodes, steps and pixels."""
    found = OWN_TRAINING(config, name, root)
    steps = 1 if name == "identify" else 80
    env = replace(found.env, image_size=16, supersample=1)
    collection = replace(found.collection, env=env, episodes=20, episode_steps=steps)
    atlas = found.atlas and replace(
        found.atlas, env=replace(found.atlas.env, image_size=16, supersample=1), episodes=60
    )
    optim = replace(found.method.optim, steps=6, batch_size=16)
    context_training = found.context_training_or_default
    return replace(
        found,
        collection=collection,
        atlas=atlas,
        encoder=replace(found.encoder, input_size=16, hidden=16),
        method=replace(found.method, optim=optim, num_slices=4),
        context_training=replace(context_training, optim=replace(context_training.optim, steps=20)),
        predictor=replace(found.predictor, hidden=16),
        predictor_training=replace(found.predictor_training, steps=6, batch_size=16),
        decoder_training=StepsConfig(2),
    )


OWN_TRAINING = demo_module._training


def test_the_demo_trains_drives_probes_and_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo_module, "_training", tiny)
    monkeypatch.setattr("worldmodel.measures.regression.MLP_STEPS", 50)
    said = demo(DemoConfig(tasks=2, workers=1))
    found = read_record(Path("runs/demo/summary.json"), DemoResult).result
    runs = {name: Run(Path("runs/demo") / name) for name in INTRODUCTION}
    assert found.identifiability == runs["identify"].train.identifiability
    assert found.prediction == runs["control"].train.prediction
    driven, probed = runs["control"].control, runs["constants"].probe
    assert driven and probed and found.control.controllers == driven.controllers and not found.control.videos
    assert found.variables["mass"] == probed.variables["mass"] and found.correlations == probed.correlations
    assert found.seconds["total"] == pytest.approx(sum(found.seconds.values()) / 2, abs=0.1)
    assert set(found.stage_seconds["constants"]) == {"collect", "encoder", "identifiability", "context", "predictor"}
    page = Path("runs/demo/report.html").read_text(encoding="utf-8")
    assert all(f">{name}<" in page for name in INTRODUCTION) and "hero" in page
    assert f"{found.control.cpu_ms_per_decision:.1f} ms" in said and "puck's friction" in said
