"""Latents away from the Gaussian: the generalised-normal family (arXiv:2605.26379, Section 5, Theorem 2)."""

from benchmarks.reproduce.definitions import Condition, Table
from benchmarks.reproduce.vectors import measure_run
from benchmarks.reproduce.vectors_together import measure_runs, shape_of
from benchmarks.settings import ReproduceConfig

_FULL_ALPHAS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_QUICK_ALPHAS = (0.125, 0.5, 1.0, 2.0, 4.0, 8.0, 32.0)
_MIXINGS = {"quick": ("sinusoid",), "full": ("spiral", "banana", "sinusoid", "coupling")}
LOSSES = ("lejepa", "whitening", "infonce")


def _conditions(request: ReproduceConfig) -> list[Condition]:
    return [
        Condition(
            f"{mixing}-{loss}-alpha={alpha:g}",
            {"mixing": mixing, "loss": loss, "alpha": alpha, "steps": request.pick(800, 20_000)},
            series=f"{mixing} {loss}",
            x=alpha,
        )
        for mixing in _MIXINGS[request.scale]
        for loss in request.pick(LOSSES[:1], LOSSES)
        for alpha in request.pick(_QUICK_ALPHAS, _FULL_ALPHAS)
    ]


TABLE = Table(
    name="generalised_normal",
    title="Latents of the generalised-normal family: which laws are recovered (alpha 2: the Gaussian)",
    measures={"r2_h_to_z": "R2 h->z", "r2_z_to_h": "R2 z->h"},
    conditions=_conditions,
    measure=measure_run,
    measure_together=measure_runs,
    shape=shape_of,
    x_label="shape alpha (1 Laplace, 2 Gaussian, large: uniform)",
    log_x=True,
    note="held out: latents of the same law. The reference publishes this as a figure, without numbers",
)
