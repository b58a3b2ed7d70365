"""SIGReg's weight against the autocorrelation, with the bound of approximate identifiability (Theorem 3)."""

from benchmarks.reproduce.definitions import Condition, Table
from benchmarks.reproduce.vectors import measure_run
from benchmarks.reproduce.vectors_together import measure_runs, shape_of
from benchmarks.settings import ReproduceConfig

_QUICK_LAMBDAS = (1e-4, 1e-3, 1e-2, 1e-1)
_FULL_LAMBDAS = (1e-6, 1e-5, 1e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1, 5e-1)
_QUICK_RHOS, _FULL_RHOS = (0.5, 0.8, 0.95), (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)


def _conditions(request: ReproduceConfig) -> list[Condition]:
    rhos = request.rhos or request.pick(_QUICK_RHOS, _FULL_RHOS)
    return [
        Condition(
            f"rho={rho:g}-lambda={weight:g}",
            {
                "mixing": "spiral", "rho": rho, "sigreg_start": weight, "sigreg_end": weight, "absolute": True,
                "steps": request.pick(800, 20_000),
            },
            series=f"rho {rho:g}",
            x=weight,
        )
        for rho in rhos
        for weight in request.pick(_QUICK_LAMBDAS, _FULL_LAMBDAS)
    ]  # fmt: skip


TABLE = Table(
    name="lambda_rho",
    title="SIGReg's weight lambda x autocorrelation rho on the spiral, and the bound on the deviation from a rotation",
    measures={"r2_h_to_z": "R2 h->z", "procrustes_mse": "E|h - Qz|^2", "bound": "its bound"},
    conditions=_conditions,
    measure=measure_run,
    measure_together=measure_runs,
    shape=shape_of,
    num_drawn=3,
    x_label="SIGReg weight lambda",
    log_x=True,
    note="rho of a view to its parent, pairs at rho^2; lambda constant. The reference publishes this as a figure",
)
