"""Run directories as the verbs leave them, made with the report's own figures and videos from small generated data."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.figures import figures, videos

SIDE = 32
NUM_STEPS = 24

SUMMARY: dict[str, Any] = {
    "schema": 1,
    "name": "puck",
    "env": "puck",
    "method": "lejepa",
    "seed": 0,
    "commands": {
        "train": "worldmodel train env=puck",
        "control": "worldmodel control run=runs/puck planner=icem",
        "probe": "worldmodel probe run=runs/puck",
    },
    "versions": {"python": "3.11.9", "torch": "2.13.0", "mujoco": "3.3.2", "worldmodel": "0.1.0"},
    "hardware": {"cpu": "AMD EPYC 7B13", "cores": 2, "gpu": None},
    "seconds": {"collect": 12.3, "encoder": 130.1, "predictor": 61.0, "control": 44.2, "probe": 3.9},
    "data": {"episodes": 400, "frames": 80400, "image_size": 64},
    "model": {"latent_dim": 16, "encoder": "mlp 16x16", "parameters": 123456},
    "identifiability": {
        "r2_h_to_z": 0.9912,
        "r2_z_to_h": 0.9893,
        "orthogonality_error": 0.031,
        "theorem_bound": 0.052,
        "procrustes_mse": 0.021,
        "covariance_gap": 0.024,
        "alignment_gap": 0.0011,
        "condition_number": 1.034,
        "r2_ceiling": 0.9996,
        "per_variable": {"shoulder": {"r2": 0.994}, "wrist": {"r2": 0.983}},
        "num_frames": 5000,
    },
    "predictor": {"error_ratio_to_persistence": {"1": 0.31, "5": 0.12, "10": 0.08, "15": 0.06}, "horizon": 15},
    "control": {
        "success_rate": 0.97,
        "success_interval": [0.92, 0.99],
        "random_success_rate": 0.10,
        "random_success_interval": [0.05, 0.18],
        "oracle_success_rate": 1.0,
        "oracle_success_interval": [0.96, 1.0],
        "num_tasks": 100,
        "median_steps_to_goal": 14,
        "ms_per_decision": 1.1,
        "planner": {"name": "icem", "horizon": 15, "num_candidates": 512, "num_iterations": 4, "init_std": 0.5},
        "videos": ["videos/control_000.mp4", "videos/control_001.mp4", "videos/control_002.mp4"],
    },
    "probes": {
        "speed": {
            "r2_linear": 0.985,
            "r2_linear_interval": [0.981, 0.988],
            "r2_mlp": 0.988,
            "r2_mlp_interval": [0.985, 0.991],
            "unit": "m/s",
            "kind": "state",
            "controls": {"random_encoder": 0.55, "raw_pixels": 0.71, "shuffled_labels": -0.01},
        },
        "mass": {
            "r2_linear": 0.90,
            "r2_linear_interval": [0.88, 0.92],
            "r2_mlp": 0.92,
            "r2_mlp_interval": [0.90, 0.94],
            "unit": "kg",
            "kind": "physical",
            "controls": {"random_encoder": 0.1, "raw_pixels": 0.2, "shuffled_labels": -0.01, "true_state": 0.95},
        },
        "friction": {
            "r2_linear": 0.81,
            "r2_linear_interval": [0.76, 0.85],
            "r2_mlp": 0.84,
            "r2_mlp_interval": [0.80, 0.87],
            "unit": "",
            "kind": "physical",
            "controls": {"random_encoder": 0.06, "raw_pixels": -3.2, "shuffled_labels": -0.02, "true_state": 0.93},
        },
    },
}


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


def write_run(path: Path, **changes: Any) -> Path:
    """A whole run directory at `path`; `changes` replace top-level entries of its summary, None removes one."""
    summary = copy.deepcopy(SUMMARY)
    summary.update(changes)
    summary = {key: value for key, value in summary.items() if value is not None}
    path.mkdir(parents=True)
    (path / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in metrics()), encoding="utf-8")
    _write_pictures(path / "figures", summary)
    if "control" in summary:
        _write_videos(path / "videos")
    return path


def _write_pictures(folder: Path, summary: dict[str, Any]) -> None:
    generator = np.random.default_rng(2)
    if "identifiability" in summary:
        truth, latents = world()
        figures.latents_against_truth(folder / "latents.png", truth, latents, ["shoulder", "wrist"], ["rad", "rad"])
    if "control" in summary:
        cost = np.exp(-np.arange(6) / 2)[:, None] * generator.uniform(1, 4, 30) + 0.1
        distance = np.exp(-np.arange(NUM_STEPS + 1) / 6)[:, None] * generator.uniform(1, 3, 30) + 0.05
        figures.planner_cost(folder / "planner_cost.png", cost, distance)
    for name in summary.get("probes", {}):
        probe = summary["probes"][name]
        truth = generator.uniform(0.4, 2.0, 600)
        prediction = truth + np.sqrt(1 - probe["r2_linear"]) * truth.std() * generator.normal(size=600)
        interval = probe["r2_linear_interval"]
        figures.probe_scatter(
            folder / f"probe_{name}.png",
            name,
            probe["unit"],
            truth,
            prediction,
            probe["r2_linear"],
            (interval[0], interval[1]),
        )


def _write_videos(folder: Path) -> None:
    frames = frames_of_a_ball()
    for index in range(3):
        views = np.concatenate([frames[: NUM_STEPS - 4 * index], np.repeat(frames[-1:], 4 * index, axis=0)])
        reached = np.arange(len(views)) >= NUM_STEPS - 4 * index - 2
        videos.control_video(folder / f"control_{index:03d}.mp4", views, frames[-1], reached, fps=12, scale=6)
