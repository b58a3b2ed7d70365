"""How SIGReg's cost grows with the batch and with the number of slices."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.settings import BenchConfig
from benchmarks.speed.cpu_time import median_cpu_s
from worldmodel.figures import style
from worldmodel.learning import sigreg
from worldmodel.runs import peak_memory_mb

LATENT_DIM, BATCHES, SLICES = 64, (256, 512, 1024, 2048, 4096), (64, 128, 256, 512, 1024)


def sigreg_cost(config: BenchConfig) -> dict[str, Any]:
    """CPU milliseconds of SIGReg with its gradient over batch and slices, D = 64; how each doubling multiplies it.

    A cost linear in batch and slices doubles with either. Drawn into a PNG beside `out`, where it is given.
    """
    generator = torch.Generator().manual_seed(0)

    def cpu_ms(num_rows: int, num_slices: int) -> float:
        latents = torch.randn(num_rows, LATENT_DIM, generator=generator, requires_grad=True)
        return 1e3 * median_cpu_s(lambda: sigreg(latents, num_slices, generator).backward(), config.repeats)

    over_batch = {f"ms_batch_{num}_slices_256": cpu_ms(num, 256) for num in BATCHES}
    over_slices = {f"ms_batch_1024_slices_{num}": cpu_ms(1024, num) for num in SLICES}
    figures: dict[str, Any] = {"latent_dim": LATENT_DIM, **over_batch, **over_slices}
    for name, sizes, costs in (("batch", BATCHES, over_batch), ("slices", SLICES, over_slices)):
        # slope of log cost against log size: 1 is linear, below 1 there is a fixed part
        slope = np.polyfit(np.log(sizes), np.log(list(costs.values())), 1)[0]
        figures[f"exponent_in_{name}"] = float(slope)
    figures["peak_memory_mb"] = peak_memory_mb()
    if config.out:
        curves = {"batch": (BATCHES, over_batch), "slices": (SLICES, over_slices)}
        _draw(Path(config.out).with_suffix(".png"), curves)
    return figures


def _draw(path: Path, curves: Mapping[str, tuple[Sequence[int], Mapping[str, float]]]) -> None:
    with style.styled():
        figure, axes = style.panels(len(curves), len(curves), (3.1, 2.7))
        for axis, (name, (sizes, costs)) in zip(axes, curves.items(), strict=True):
            values = np.array(list(costs.values()))
            axis.loglog(sizes, values, "o-", color=style.BLUE, label="measured")
            axis.loglog(sizes, values[-1] * np.array(sizes) / sizes[-1], "--", color=style.GREY, label="linear")
            axis.set(title=f"SIGReg over {name}", xlabel=name, ylabel="CPU ms, with gradient")
            axis.legend()
        style.save_png(figure, path)
