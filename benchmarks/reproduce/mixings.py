"""The four 2-D mixings (arXiv:2605.26379, Section 5): spiral, banana, sinusoid, coupling layers."""

from benchmarks.reproduce import synthetic
from benchmarks.reproduce.definitions import Condition, Table
from benchmarks.reproduce.vectors import measure_run
from benchmarks.reproduce.vectors_together import measure_runs, shape_of
from benchmarks.settings import ReproduceConfig

# weights of SIGReg to choose from on validation latents, in units of 1 - rho^2
LAMBDAS = ({"sigreg_end": 0.3}, {"sigreg_end": 0.1})


def _conditions(request: ReproduceConfig) -> list[Condition]:
    steps = request.pick(2000, 20_000)
    return [
        Condition(name, {"mixing": name, "steps": steps}, LAMBDAS, x=float(index))
        for index, name in enumerate(synthetic.MIXINGS)
    ]


TABLE = Table(
    name="mixings",
    title="2-D mixings: linear identifiability of Gaussian latents",
    measures={
        "r2_h_to_z": "R2 h->z",
        "r2_z_to_h": "R2 z->h",
        "r2_h_to_z_polished": "R2 h->z, polished",
        "r2_z_to_h_polished": "R2 z->h, polished",
    },
    conditions=_conditions,
    measure=measure_run,
    measure_together=measure_runs,
    shape=shape_of,
    num_drawn=4,
    note="views of one parent at .95 (pairs at .9025) as in the reference's code; polished: canonical readout",
)
