"""Scaling to N = 1024 latents with the matched encoder: SIGReg, whitening, InfoNCE (arXiv:2605.26379, Section 5)."""

import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from benchmarks.reproduce.definitions import Cell, Condition, Table
from benchmarks.reproduce.vectors import MatchedEncoder, VectorRun, measure_run
from benchmarks.reproduce.vectors_together import DrawEach, measure_runs, shape_of
from benchmarks.settings import ReproduceConfig
from worldmodel.learning import NUM_KNOTS, T_MAX, alignment
from worldmodel.system import pick_device

LOSSES = ("lejepa", "whitening", "infonce")
_QUICK_DIMS, _FULL_DIMS = (2, 8, 64), tuple(2**k for k in range(1, 11))
NUM_LAYERS = 4
# the matched encoder preserves volume, so SIGReg only breaks ties: the reference's weight
_SIGREG = 1e-6
REFERENCE_STEPS, REFERENCE_BATCH, REFERENCE_SLICES = 20_000, 256, 256
TIMED_STEPS, WARM_UP_STEPS = 200, 20


def _conditions(request: ReproduceConfig) -> list[Condition]:
    dims = _FULL_DIMS if request.rows else request.pick(_QUICK_DIMS, _FULL_DIMS)  # rows that are named may be large
    conditions = [_condition(request, dim, loss) for dim in dims for loss in LOSSES]
    largest = _FULL_DIMS[-1]
    if largest in dims:
        published = Condition(f"N={largest}-published-recipe", {"recipe": "published", "dim": largest})
        conditions += [_in_views(largest), published]
    return conditions


def _condition(request: ReproduceConfig, dim: int, loss: str) -> Condition:
    return Condition(
        f"N={dim}-{loss}",
        {
            **_matched(dim), "loss": loss,
            # on a GPU four times the reference's batch costs little more
            "steps": request.pick(1000, REFERENCE_STEPS), "batch_size": request.pick(256, 1024),
            # Adam moves every weight by about lr, and weights are of size 1 / sqrt(N / 2)
            "lr": request.pick(0.1 / math.sqrt(dim / 2) if dim > 8 else 0.03, 3e-3),
        },
        series=loss,
        x=float(dim),
    )  # fmt: skip


def _in_views(dim: int) -> Condition:
    """SIGReg with eight views of a parent, at the same size at either scale.

    As many frames a step as the reference's 256 pairs. V views carry (V - 1) / V of the information that one frame can
    give about alignment's gradient, so half as many steps suffice.
    """
    views = {"num_views": 8, "batch_size": REFERENCE_BATCH // 4, "steps": 10_000, "lr": 0.1 / math.sqrt(dim / 2)}
    return Condition(f"N={dim}-lejepa-views", _matched(dim) | views, series="lejepa, eight views", x=float(dim))


def _matched(dim: int) -> dict[str, Any]:
    """Settings that all trainings of the table share."""
    return {
        "mixing": "coupling", "dim": dim, "num_layers": NUM_LAYERS, "encoder": "matched",
        "sigreg_start": _SIGREG, "sigreg_end": _SIGREG, "absolute": True, "weight_decay": 0.0, "grad_clip": 1e9,
    }  # fmt: skip


def _measure(cell: Cell) -> dict[str, float]:
    return _time_published(cell) if "recipe" in cell.settings else measure_run(cell)


def _shape(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    return ("recipe",) if "recipe" in settings else shape_of(settings)


def _measure_together(cells: list[Cell]) -> Any:
    return map(_measure, cells) if "recipe" in cells[0].settings else measure_runs(cells)


def _time_published(cell: Cell) -> dict[str, float]:
    """Seconds of the published schedule: its steps with SIGReg by its definition, timed one by one and extrapolated.

    One network, the reference's batch and slices; batches are drawn on the device, which flatters it if anything.
    """
    device = pick_device(cell.request.device)
    dim = cell.settings["dim"]
    run = VectorRun("coupling", dim, NUM_LAYERS, encoder="matched", batch_size=REFERENCE_BATCH)
    draw, generator = DrawEach([run], [cell.seed], device), torch.Generator(device).manual_seed(cell.seed)
    torch.manual_seed(cell.seed)
    encoder = MatchedEncoder(dim, NUM_LAYERS).to(device)
    optimizer = torch.optim.Adam(encoder.parameters(), 3e-3)
    for step in range(WARM_UP_STEPS + TIMED_STEPS):
        if step == WARM_UP_STEPS:
            _wait(device)
            start = time.monotonic()
        latents = encoder(draw(generator)[0].flatten(0, 1)).view(2, REFERENCE_BATCH, dim)
        penalty = _sigreg_by_definition(latents.flatten(0, 1), generator)
        loss = (1 - _SIGREG) * alignment(latents) + _SIGREG * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    _wait(device)
    return {"train_s": (time.monotonic() - start) / TIMED_STEPS * REFERENCE_STEPS}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _sigreg_by_definition(latents: Tensor, generator: torch.Generator) -> Tensor:
    """SIGReg of latents (n, D) as the reference's code writes it out: every knot, and gradients by autograd."""
    directions = torch.randn(latents.shape[1], REFERENCE_SLICES, generator=generator, device=latents.device)
    t = torch.linspace(0, T_MAX, NUM_KNOTS, device=latents.device)
    weight = torch.exp(-0.5 * t * t)
    angles = (latents @ (directions / directions.norm(dim=0)))[..., None] * t
    gap = (angles.cos().mean(0) - weight).square() + angles.sin().mean(0).square()
    return 2 * torch.trapezoid(gap * weight, t, dim=-1).mean() * len(latents)


TABLE = Table(
    name="scaling",
    title="Scaling: coupling layers in N dimensions, matched encoder",
    measures={"r2_h_to_z": "R2 h->z", "orthogonality_error": "orthogonality error", "train_s": "training, s"},
    conditions=_conditions,
    measure=_measure,
    measure_together=_measure_together,
    shape=_shape,
    num_drawn=1,
    x_label="latent dimension N",
    log_x=True,
    note="quick: 1,000 steps of one encoder; the reference: 20,000 steps, and the best of three encoders up to N = 32. "
    "Seconds on the machine named: of trainings side by side, the share of each; of the published recipe, extrapolated",
)
