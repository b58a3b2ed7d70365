"""The table: every method tuned alike, then measured; batch and data sweeps, memory, planning."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from worldmodel.compare.candidates import Candidate, override
from worldmodel.compare.laboratory import Cell, Laboratory
from worldmodel.compare.memory import kept_bytes, peak_bytes
from worldmodel.compare.planning_success import plan_with
from worldmodel.measures.statistics import best_told, over_seeds

TUNING_SEED = 1000
COLLAPSED = 0.1  # of the untrained encoder's standard deviation
MEMORY_BATCHES = (64, 256, 1024)
# the sweeps are about these; the others have their row in the table
SWEPT = {
    "batch": ("lejepa", "jepa_ema", "infonce", "vicreg", "supervised"),
    "data": ("lejepa", "jepa_ema", "infonce", "vicreg", "autoencoder", "supervised"),
}


def tune(lab: Laboratory, candidate: Candidate) -> tuple[int, list[dict[str, Any]]]:
    """The setting with the highest R2 on validation episodes, and what each one reached."""
    tried = []
    for index, setting in enumerate(candidate.settings):
        figures = lab.result(Cell(candidate.name, index, TUNING_SEED, lab.scale.batch_size))
        tried.append({"setting": setting, "r2_h_to_z": figures["validation"]["r2_h_to_z"]})
    return best_told({index: entry["r2_h_to_z"] for index, entry in enumerate(tried)}), tried


def measure(
    lab: Laboratory, candidate: Candidate, setting: int, seeds: Sequence[int], untrained_std: float
) -> dict[str, Any]:
    """Recovery on test episodes, rank correlation, diagnosis and convergence of the tuned method.

    A training has collapsed if its latents' standard deviation ends under a tenth of the untrained encoder's.
    """
    cells = [lab.result(Cell(candidate.name, setting, seed, lab.scale.batch_size)) for seed in seeds]
    tests = [cell["test"] for cell in cells]
    stds = [cell["diagnosis"]["latent_std"] for cell in cells]
    row: dict[str, Any] = {
        "family": candidate.family,
        "setting": candidate.settings[setting],
        "r2_h_to_z": over_seeds([test["r2_h_to_z"] for test in tests]),
        "r2_z_to_h": over_seeds([test["r2_z_to_h"] for test in tests]),
        "rank_correlation": over_seeds([test["rank_correlation"] for test in tests]),
        "per_variable": {
            name: over_seeds([test["per_variable"][name] for test in tests]) for name in lab.variables.names
        },
        "orthogonality_error": None,
        "effective_rank": over_seeds([cell["diagnosis"]["effective_rank"] for cell in cells]),
        "latent_variance": [cell["diagnosis"]["latent_variance"] for cell in cells],
        "latent_std": over_seeds(stds),
        "collapsed_share": float(np.mean(np.array(stds) < COLLAPSED * untrained_std)),
        "cpu_s": over_seeds([cell["cpu_s"] for cell in cells]),
        "curve": _mean_curve([cell["curve"] for cell in cells]),
    }
    if tests[0]["orthogonality_error"] is not None:
        row["orthogonality_error"] = over_seeds([test["orthogonality_error"] for test in tests])
    return row


def _mean_curve(curves: list[list[list[float]]]) -> list[list[float]]:
    """Step, CPU seconds, R2: means over seeds, which all have the same steps."""
    return np.round(np.mean(curves, 0), 4).tolist()


def convergence(row: dict[str, Any], threshold: float) -> dict[str, float | None]:
    """Steps and CPU seconds after which the mean curve first stands at `threshold`."""
    reached = next((point for point in row["curve"] if point[2] >= threshold), None)
    return {
        "steps_to_threshold": reached[0] if reached else None,
        "cpu_s_to_threshold": reached[1] if reached else None,
    }


def sweep_batch(lab: Laboratory, candidate: Candidate, setting: int, seeds: Sequence[int]) -> dict[str, Any]:
    """R2 on test episodes by batch size, with equally many pairs in all."""
    sizes = sorted({*lab.scale.batch_sizes, lab.scale.batch_size})
    return {
        str(size): over_seeds(
            [lab.result(Cell(candidate.name, setting, seed, size))["test"]["r2_h_to_z"] for seed in seeds]
        )
        for size in sizes
    }


def sweep_data(lab: Laboratory, candidate: Candidate, setting: int, seeds: Sequence[int]) -> dict[str, Any]:
    """R2 on test episodes, and R2 and RMSE on every shifted set, by number of training frames."""
    rows: dict[str, Any] = {}
    for share in lab.scale.shares:
        cells = [
            lab.result(Cell(candidate.name, setting, seed, lab.scale.batch_size, share, inside=True)) for seed in seeds
        ]
        rows[str(cells[0]["num_frames"])] = {
            "test": over_seeds([cell["test"]["r2_h_to_z"] for cell in cells]),
            "shifts": {
                name: {key: over_seeds([cell["shifts"][name][key] for cell in cells]) for key in ("r2", "rmse_sd")}
                for name in cells[0]["shifts"]
            },
        }
    return rows


def memory(lab: Laboratory, candidate: Candidate, setting: int) -> dict[str, Any]:
    """Tensor bytes of a training step by batch size, and the peak of a fresh process at the usual batch."""
    method = candidate.configure(lab.config.method, setting)
    encoder, data = lab.architecture.encoder, lab.poses.data
    kept = {
        str(size): kept_bytes(override(method, {"optim.batch_size": size}), encoder, data) for size in MEMORY_BATCHES
    }
    largest = override(method, {"optim.batch_size": MEMORY_BATCHES[-1]})
    return {"kept": kept, "peak_bytes": peak_bytes(largest, encoder, data.directory), "peak_batch": MEMORY_BATCHES[-1]}


def planning(lab: Laboratory, candidate: Candidate, setting: int, seeds: Sequence[int]) -> dict[str, Any]:
    """Closed-loop success with the same predictor and planner for every method."""
    runs = [plan_with(lab, Cell(candidate.name, setting, seed, lab.scale.batch_size)) for seed in seeds]
    last = max(runs[0]["prediction_error_ratio"], key=int)
    return {
        "success_rate": over_seeds([run["success_rate"] for run in runs]),
        "num_tasks": runs[0]["num_tasks"],
        "random_success_rate": over_seeds([run["random_success_rate"] for run in runs]),
        "prediction_error_ratio": over_seeds([run["prediction_error_ratio"][last] for run in runs]),
    }
