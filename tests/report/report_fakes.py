"""Run directories as the verbs leave them, made with the toolkit's own writers from small generated data."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel import figures
from worldmodel.figures import videos
from worldmodel.measures.identifiability import Identifiability
from worldmodel.runs import (
    ControllerResult,
    ControlResult,
    DataUsed,
    DecodingResult,
    EventResult,
    Hardware,
    ImagineResult,
    ModelSize,
    PictureQuality,
    PredictionErrors,
    ProbedVariable,
    ProbeResult,
    Regret,
    Returns,
    StateErrors,
    Success,
    Summary,
    SurpriseResult,
    TaskProtocol,
    TrainResult,
)
from worldmodel.runs.summary import write_summary
from worldmodel.settings import PlanConfig

SIDE = 32
NUM_STEPS = 24
NUM_IMAGINED = 10

TRAIN = TrainResult(
    run="runs/puck",
    env="puck",
    method="lejepa",
    seed=0,
    data=DataUsed(episodes=400, frames=80400, image_size=64, encoder_frames=80400),
    model=ModelSize(latent_dim=16, encoder="mlp 16x16", parameters=123456),
    identifiability=Identifiability(
        r2_h_to_z=0.9912,
        r2_z_to_h=0.9893,
        orthogonality_error=0.031,
        condition_number=1.034,
        covariance_gap=0.024,
        alignment_gap=0.0011,
        theorem_bound=0.052,
        procrustes_mse=0.021,
        r2_ceiling=0.9996,
        per_variable={"shoulder": 0.994, "wrist": 0.983},
        num_frames=5000,
    ),
    prediction=PredictionErrors(15, {1: 0.31, 5: 0.12, 10: 0.08, 15: 0.06}),
    decoding=DecodingResult(
        64,
        1000,
        PictureQuality(31.5, 0.97, {"x": 0.96, "y": None}),
        PictureQuality(None, 1.0, {"x": 0.98, "y": None}),
        {"x": 0.985, "y": None},
        ["videos/imagination.mp4"],
    ),
    seconds={"collect": 12.3, "encoder": 130.1, "predictor": 109.1},
    peak_memory_mb=901.5,
)
CONTROL = ControlResult(
    world="puck",
    runs=["runs/puck"],
    protocol=TaskProtocol("lewm", drop_solved=False, wrap=False),
    plan=PlanConfig({"name": "icem", "horizon": 15, "num_samples": 512, "init_std": 0.5}),
    context="online",
    drift_rho=None,
    dtype="float32",
    device="cpu",
    split="test",
    seed=3,
    controllers={
        "latent": ControllerResult(100, 1, Success(0.97, (0.92, 0.99), [0.97], 14.0)),
        "random": ControllerResult(100, 1, Success(0.10, (0.05, 0.18), [0.10], 31.0)),
        "oracle": ControllerResult(50, 1, Success(1.0, (0.93, 1.0), [1.0], 11.0)),
    },
    cpu_ms_per_decision=1.125,
    regret=Regret(0.04, (-0.01, 0.08)),
    solved_at_start=0.02,
    videos=["videos/control_000.mp4", "videos/control_001.mp4", "videos/control_002.mp4"],
)
REWARDED = replace(
    CONTROL,
    protocol=TaskProtocol("reward", budget_steps=1000, rewarded=True),
    controllers={
        "latent": ControllerResult(2, 1, returns=Returns(812.4, (700.2, 900.9))),
        "oracle": ControllerResult(1, 1, returns=Returns(950.0, None)),
    },
    regret=Regret(137.6, None),
    solved_at_start=None,
)
CONTROLS: dict[str, float | None] = {
    "random_encoder": 0.1,
    "raw_pixels": 0.2,
    "shuffled_labels": -0.01,
    "true_state": 0.95,
}
PROBE = ProbeResult(
    {
        "mass": ProbedVariable("physical", "kg", 0.90, (0.88, 0.92), 0.92, (0.90, 0.94), CONTROLS),
        "friction": ProbedVariable(
            "physical", "", 0.81, (0.76, 0.85), 0.84, (0.80, 0.87), {**CONTROLS, "raw_pixels": -3.2}
        ),
        "speed": ProbedVariable("state", "m/s", 0.985, (0.981, 0.988), 0.988, (0.985, 0.991), {"raw_pixels": 0.71}),
    }
)
SURPRISE = SurpriseResult(
    "puck",
    20,
    12,
    5,
    0,
    {
        "teleport": EventResult(1.5, 9.25, 7.5, (6.1, 8.9), 1.0, 7.2e-35, 1.0),
        "mass": EventResult(1.5, 1.4, -0.1, (-0.5, 0.3), 0.25, 0.69, 0.497),
    },
)
IMAGINE = ImagineResult(
    world="puck",
    num_seen=5,
    num_windows=500,
    num_episodes=40,
    steps=[1, 2, 3],
    errors={
        "x": StateErrors(
            "mm",
            [4.0, 4.5, 5.25],
            [(3.5, 4.5), (4.0, 5.0), (4.75, 5.75)],
            [7.0, 14.0, 21.0],
            [3.75, 3.8125, 3.875],
            1.375,
            (1.25, 1.5),
            [9.0, 10.5, 12.25],
            [0.9625, 0.9375, 0.946],
        ),
        "turn": StateErrors("deg", [9.0, 9.5, 9.75], [None] * 3, [2.0, 4.0, 8.0], [0.0] * 3, None, None),
    },
    seed=0,
    videos=["videos/imagination.mp4"],
)
SUMMARY = Summary(
    "puck",
    TRAIN,
    CONTROL,
    PROBE,
    SURPRISE,
    imagine=IMAGINE,
    commands={
        "train": "worldmodel train env=puck",
        "control": "worldmodel control run=runs/puck planner=icem",
        "probe": "worldmodel probe run=runs/puck",
        "surprise": "worldmodel surprise run=runs/puck",
        "imagine": "worldmodel imagine run=runs/puck",
        "robust": "worldmodel robust run=runs/puck",
    },
    versions={"python": "3.11.9", "torch": "2.13.0", "mujoco": "3.3.2", "worldmodel": "0.1.0"},
    hardware=Hardware("x86_64", "Linux", 2, None),
)
BARE = Summary(
    "x",
    replace(TRAIN, run="runs/x", identifiability=None, prediction=None, decoding=None, seconds={}, peak_memory_mb=None),
)


def world(num_samples: int = 4000, num_latents: int = 7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two Gaussian variables (N, 2) and latents (N, D) that hold them, rotated and slightly noisy."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(size=(num_samples, 2))
    other = 0.1 * generator.normal(size=(num_samples, num_latents - 2))
    rotation, _ = np.linalg.qr(generator.normal(size=(num_latents, num_latents)))
    return truth, np.hstack([truth, other]) @ rotation + 0.06 * generator.normal(size=(num_samples, num_latents))


def frames_of_a_ball(num_frames: int = NUM_STEPS, side: int = SIDE) -> np.ndarray:
    """Frames (T, S, S, 3) uint8 of a shaded ball that rolls across a floor."""
    rows, columns = np.mgrid[:side, :side] / side
    floor = np.stack([70 + 40 * rows, 84 + 44 * rows, 98 + 48 * rows], axis=-1)
    frames = np.repeat(floor[None], num_frames, axis=0)
    for index in range(num_frames):
        share = index / max(num_frames - 1, 1)
        distance = np.hypot(columns - 0.2 - 0.6 * share, rows - 0.35 - 0.3 * share)
        light = np.clip(1.25 - 4 * distance, 0.3, 1)[..., None]
        frames[index] = np.where((distance < 0.15)[..., None], light * np.array([240, 140, 40]), frames[index])
    return frames.round().astype(np.uint8)


def metrics() -> list[dict[str, Any]]:
    """Rows of a plausible `metrics.jsonl`: two stages, noisy losses, a rank that grows."""
    generator = np.random.default_rng(1)
    rows: list[dict[str, Any]] = []
    for step in range(0, 4000, 20):
        fall, noise = float(np.exp(-step / 500)), float(generator.uniform(0.8, 1.25))
        row = {"loss": 2.1 * fall + 0.06 * noise, "alignment": fall + 0.03 * noise, "sigreg": 3 * fall + 0.05 * noise}
        row["effective_rank"] = 2 + 14 * (1 - fall)
        rows.append({"stage": "encoder", "step": step, "seconds": step / 40, **row})
    for step in range(0, 2000, 20):
        error = float(np.exp(-step / 300)) + 0.02 * float(generator.uniform(0.8, 1.25))
        rows.append({"stage": "predictor", "step": step, "seconds": 100 + step / 60, "loss": error, "lr": 1e-3})
    return rows


def write_run(path: Path, summary: Summary = SUMMARY) -> Path:
    """A run directory at `path` with this summary, and what the verbs of its results leave beside it."""
    write_summary(path / "summary.json", summary)
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in metrics()), encoding="utf-8")
    _write_pictures(path / "figures", summary)
    if summary.control:
        _write_videos(path / "videos")
    if summary.imagine:
        frames = np.stack([frames_of_a_ball(NUM_IMAGINED)] * 2)
        film = videos.rows_of_films(
            {"camera": frames, "imagined": frames}, [f"+{step}" for step in range(NUM_IMAGINED)]
        )
        videos.write_film(path / "videos" / "imagination.mp4", film, fps=8)
    return path


def bare_run(path: Path, **results: Any) -> Path:
    """A run directory that holds a summary alone."""
    write_summary(path / "summary.json", replace(BARE, **results))
    return path


def _write_pictures(folder: Path, summary: Summary) -> None:
    generator = np.random.default_rng(2)
    if summary.train.identifiability:
        truth, latents = world()
        readout, names, r2 = truth + 0.1, ["shoulder", "wrist"], [0.994, 0.983]
        figures.latents_against_truth(folder / "latents.png", truth, readout, latents, names, ["rad", "rad"], r2)
    if summary.control:
        cost = np.exp(-np.arange(6) / 2)[:, None] * generator.uniform(1, 4, 30) + 0.1
        distance = np.exp(-np.arange(NUM_STEPS + 1) / 6)[:, None] * generator.uniform(1, 3, 30) + 0.05
        figures.planner_cost(folder / "planner_cost.png", cost, distance)
    for name, of in summary.probe.variables.items() if summary.probe else ():
        truth = generator.uniform(0.4, 2.0, 600)
        prediction = truth + np.sqrt(1 - (of.r2_linear or 0.0)) * truth.std() * generator.normal(size=600)
        path = folder / f"probe_{name}.png"
        figures.probe_scatter(path, name, of.unit, truth, prediction, of.r2_linear, of.r2_linear_interval)


def _write_videos(folder: Path) -> None:
    frames = frames_of_a_ball()
    for index in range(3):
        views = np.concatenate([frames[: NUM_STEPS - 4 * index], np.repeat(frames[-1:], 4 * index, axis=0)])
        reached = np.arange(len(views)) >= NUM_STEPS - 4 * index - 2
        videos.control_video(folder / f"control_{index:03d}.mp4", views, frames[-1], reached, fps=12, scale=6)
