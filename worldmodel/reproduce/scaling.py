"""Scaling to N = 1024 latents with the matched encoder: SIGReg, whitening, InfoNCE (arXiv:2605.26379, Section 5)."""

import math

from worldmodel.reproduce.core import Condition, Request, Table
from worldmodel.reproduce.vectors import measure_run
from worldmodel.reproduce.vectors_together import measure_runs, shape_of

LOSSES = ("lejepa", "whitening", "infonce")
_QUICK_DIMS, _FULL_DIMS = (2, 8, 64), tuple(2**k for k in range(1, 11))
# the matched encoder preserves volume, so SIGReg only breaks ties: the reference's weight
_SIGREG = 1e-6


def _conditions(request: Request) -> list[Condition]:
    conditions = []
    for dim in request.pick(_QUICK_DIMS, _FULL_DIMS):
        for loss in LOSSES:
            conditions.append(
                Condition(
                    f"N={dim}-{loss}",
                    {
                        "mixing": "coupling", "dim": dim, "num_layers": 4, "encoder": "matched", "loss": loss,
                        "sigreg_start": _SIGREG, "sigreg_end": _SIGREG, "absolute": True,
                        "steps": request.pick(1000, 20_000), "batch_size": 256,
                        # Adam moves every weight by about lr, and weights are of size 1 / sqrt(N / 2)
                        "lr": request.pick(0.1 / math.sqrt(dim / 2) if dim > 8 else 0.03, 3e-3),
                        "weight_decay": 0.0, "grad_clip": 1e9,
                    },
                    series=loss,
                    x=float(dim),
                )
            )  # fmt: skip
    return conditions


TABLE = Table(
    name="scaling",
    title="Scaling: coupling layers in N dimensions, matched encoder",
    measures={"r2_h_to_z": "R2 h->z", "orthogonality_error": "orthogonality error"},
    conditions=_conditions,
    measure=measure_run,
    measure_together=measure_runs,
    shape=shape_of,
    num_drawn=1,
    x_label="latent dimension N",
    log_x=True,
    logit_y=True,
    note="quick: 1,000 steps of one encoder; the reference: 20,000 steps, and the best of three encoders up to N = 32",
)
