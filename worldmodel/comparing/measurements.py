"""The table: every method tuned alike, then measured; batch and data sweeps, memory, planning."""

from collections.abc import Sequence

import numpy as np

from worldmodel.comparing.candidates import Candidate, override
from worldmodel.comparing.compare_result import (
    Convergence,
    CurvePoint,
    DataSizeReading,
    MemoryUse,
    MethodRow,
    PlanningSuccess,
    ShiftedSetReading,
    TriedSetting,
)
from worldmodel.comparing.encoder_cells import EncoderCell
from worldmodel.comparing.laboratory import Laboratory
from worldmodel.comparing.memory import kept_bytes, peak_bytes
from worldmodel.comparing.planning_success import plan_under_looks, plan_with
from worldmodel.measures.statistics import OverSeeds, best_known, over_seeds

TUNING_SEED = 1000
"""Seed of all trainings that choose settings, apart from those of the table."""
COLLAPSED = 0.1
"""Share of the untrained encoder's standard deviation under which latents have collapsed."""
MEMORY_BATCHES = (64, 256, 1024)
"""Pairs a step."""
SWEPT = {
    "batch": ("lejepa", "jepa_ema", "infonce", "vicreg", "supervised"),
    "data": ("lejepa", "jepa_ema", "infonce", "vicreg", "autoencoder", "supervised"),
}
"""Sweep -> the methods that it covers; the others have only their row in the table."""


def tune(lab: Laboratory, candidate: Candidate) -> tuple[int, list[TriedSetting]]:
    """Number of the setting with the highest R2 on validation episodes, and the R2 of each one."""
    tried = []
    for index, setting in enumerate(candidate.settings):
        trained = lab.result(EncoderCell(candidate.name, index, TUNING_SEED, lab.scale.batch_size))
        tried.append(TriedSetting(setting, trained.reading.validation.r2_h_to_z))
    return best_known({index: entry.r2_h_to_z for index, entry in enumerate(tried)}), tried


def measure(
    lab: Laboratory,
    candidate: Candidate,
    setting: int,
    tried: list[TriedSetting],
    seeds: Sequence[int],
    untrained_std: float,
) -> MethodRow:
    """Recovery on test episodes, rank correlation, spread and convergence of the tuned method.

    A training has collapsed if its latents' standard deviation ends under a tenth of `untrained_std`.
    """
    cells = [lab.result(EncoderCell(candidate.name, setting, seed, lab.scale.batch_size)) for seed in seeds]
    tests, spreads = [cell.reading.test for cell in cells], [cell.reading.spread for cell in cells]
    stds = [spread.latent_std for spread in spreads]
    turned = [test.orthogonality_error for test in tests]
    return MethodRow(
        family=candidate.family,
        setting=candidate.settings[setting],
        tried=tried,
        r2_h_to_z=over_seeds([test.r2_h_to_z for test in tests]),
        r2_z_to_h=over_seeds([test.r2_z_to_h for test in tests]),
        rank_correlation=over_seeds([test.rank_correlation for test in tests]),
        per_variable={name: over_seeds([test.per_variable[name] for test in tests]) for name in lab.variables.names},
        orthogonality_error=None if turned[0] is None else over_seeds(turned),
        effective_rank=over_seeds([spread.effective_rank for spread in spreads]),
        latent_variance=[spread.latent_variance for spread in spreads],
        latent_std=over_seeds(stds),
        collapsed_share=float(np.mean(np.array(stds) < COLLAPSED * untrained_std)),
        cpu_s=over_seeds([cell.cpu_s for cell in cells]),
        curve=_mean_curve([cell.curve for cell in cells]),
    )


def _mean_curve(curves: list[list[CurvePoint]]) -> list[CurvePoint]:
    """Means over seeds, which all have the same steps."""
    return [CurvePoint(*point) for point in np.round(np.mean(curves, 0), 4).tolist()]


def convergence(curve: Sequence[CurvePoint], threshold: float) -> Convergence:
    """Steps and CPU seconds after which the curve first reaches `threshold`."""
    reached = next((point for point in curve if point.r2 >= threshold), None)
    return Convergence(reached.step, reached.cpu_s) if reached else Convergence(None, None)


def sweep_batch(lab: Laboratory, candidate: Candidate, setting: int, seeds: Sequence[int]) -> dict[int, OverSeeds]:
    """R2 on test episodes by batch size, with equally many pairs in all."""
    sizes = sorted({*lab.scale.batch_sizes, lab.scale.batch_size})
    return {
        size: over_seeds(
            [lab.result(EncoderCell(candidate.name, setting, seed, size)).reading.test.r2_h_to_z for seed in seeds]
        )
        for size in sizes
    }


def sweep_data(lab: Laboratory, candidate: Candidate, setting: int, seeds: Sequence[int]) -> dict[int, DataSizeReading]:
    """R2 on test episodes, and R2 and RMSE on every shifted set, by number of training frames."""
    rows: dict[int, DataSizeReading] = {}
    for share in lab.scale.shares:
        cells = [
            lab.result(EncoderCell(candidate.name, setting, seed, lab.scale.batch_size, share, inside=True))
            for seed in seeds
        ]
        readings = [cell.reading for cell in cells]
        rows[cells[0].num_frames] = DataSizeReading(
            test=over_seeds([reading.test.r2_h_to_z for reading in readings]),
            shifts={
                name: ShiftedSetReading(
                    r2=over_seeds([reading.shifts[name].r2 for reading in readings]),
                    rmse_sd=over_seeds([reading.shifts[name].rmse_sd for reading in readings]),
                )
                for name in readings[0].shifts
            },
        )
    return rows


def memory(lab: Laboratory, candidate: Candidate, setting: int) -> MemoryUse:
    """Tensor bytes of a training step by batch size, and the peak of a fresh process at the largest batch."""
    method = candidate.configure(lab.config.method, setting)
    encoder, data = lab.architecture.encoder, lab.poses.data
    kept = {size: kept_bytes(override(method, {"optim.batch_size": size}), encoder, data) for size in MEMORY_BATCHES}
    largest = override(method, {"optim.batch_size": MEMORY_BATCHES[-1]})
    return MemoryUse(kept, peak_bytes(largest, encoder, data.directory), MEMORY_BATCHES[-1])


def planning(lab: Laboratory, candidate: Candidate, setting: int, seeds: Sequence[int]) -> PlanningSuccess:
    """Closed-loop success with the same predictor and planner for every method."""
    runs = [plan_with(lab, EncoderCell(candidate.name, setting, seed, lab.scale.batch_size)) for seed in seeds]
    return PlanningSuccess(
        success_rate=over_seeds([run.success_rate for run in runs]),
        num_tasks=runs[0].num_tasks,
        random_success_rate=over_seeds([run.random_success_rate for run in runs]),
        prediction_error_ratio=over_seeds([run.farthest_error_ratio for run in runs]),
    )


def looks(lab: Laboratory, candidate: Candidate, setting: int, seeds: Sequence[int]) -> dict[str, OverSeeds]:
    """Closed-loop success of the world models of `planning` where the world looks different."""
    runs = [plan_under_looks(lab, EncoderCell(candidate.name, setting, seed, lab.scale.batch_size)) for seed in seeds]
    return {look: over_seeds([run[look] for run in runs]) for look in runs[0]}
