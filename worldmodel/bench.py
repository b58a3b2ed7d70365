"""`worldmodel bench`: speed, as rates per CPU-second and medians, each beside its floor or its peer's rate."""

import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import envs
from envs.excitation import make_policy
from planners import make_planner
from worldmodel.config import compose
from worldmodel.data.recording import record
from worldmodel.files import write_json
from worldmodel.losses import sigreg
from worldmodel.models import PlanningModel, WorldModel
from worldmodel.plan_timing import (
    LEWM_PLANNER,
    Clock,
    closed_loop_ms,
    default_model,
    machine_rates,
    time_lewm_size,
    time_plan,
)
from worldmodel.report import style
from worldmodel.run_directory import hardware, versions
from worldmodel.settings import BenchConfig, CollectConfig
from worldmodel.train import pick_device

# frames per CPU-second of stable-worldmodel on reacher at 64 x 64, measured on a 2-core CPU without a GPU
PEER_COLLECT_FRAMES_PER_CPU_S = 30.0


def bench(config: BenchConfig) -> tuple[dict[str, Any], str]:
    """Measure one thing; returns its figures and a table. Writes them as JSON where `out` says."""
    measure = {"render": _render, "collect": _collect, "plan": _plan, "sigreg": _sigreg}[config.what]
    figures = measure(config)
    content = {"what": config.what, "env": config.env, **figures, "versions": versions(), "hardware": hardware()}
    if config.out:
        write_json(Path(config.out), content)
    width = max(map(len, figures))
    table = "\n".join(f"  {name:<{width}}  {_shown(value)}" for name, value in figures.items())
    return content, f"{config.what}\n{table}"


def _shown(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def _cpu_seconds() -> float:
    """CPU seconds of this process and its finished children."""
    usage = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in usage)


def _median_cpu_s(work: Callable[[], Any], repeats: int) -> float:
    """Median process CPU seconds of one call."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def _render(config: BenchConfig) -> dict[str, Any]:
    """Frames per CPU-second of rendering alone and of a whole control step, with physics alone as the floor."""
    collect = compose("collect", [f"env={config.env}"], CollectConfig)
    world = envs.make(**collect.env.make_arguments())
    world.reset(seed=0)
    act = make_policy("uniform").begin(world, np.random.default_rng(0))
    chunk = 200

    def steps(render: bool) -> None:
        for _ in range(chunk):
            world.advance(act(world.state()))
            if render:
                world.frame()

    def frames() -> None:
        for _ in range(chunk):
            world.frame()

    figures = {
        "image_size": collect.env.image_size,
        "render_frames_per_cpu_s": chunk / _median_cpu_s(frames, config.repeats),
        "step_frames_per_cpu_s": chunk / _median_cpu_s(lambda: steps(True), config.repeats),
        "physics_steps_per_cpu_s": chunk / _median_cpu_s(lambda: steps(False), config.repeats),
    }
    world.close()
    return figures


def _collect(config: BenchConfig) -> dict[str, Any]:
    """Frames per CPU-second of whole collections: start of the workers, rendering, physics and writing included."""
    collect = compose("collect", [f"env={config.env}"], CollectConfig)
    rates = []
    for _ in range(config.repeats):
        with tempfile.TemporaryDirectory() as folder:
            start = _cpu_seconds()
            record(Path(folder), collect.recording(), config.episodes, collect.workers)
            rates.append(config.episodes * (collect.episode_steps + 1) / (_cpu_seconds() - start))
    rate = statistics.median(rates)
    return {
        "image_size": collect.env.image_size,
        "frames_per_cpu_s": rate,
        "frames_per_cpu_s_lowest": min(rates),
        "frames_per_cpu_s_highest": max(rates),
        "peer_frames_per_cpu_s": PEER_COLLECT_FRAMES_PER_CPU_S,
        "ratio_to_peer": rate / PEER_COLLECT_FRAMES_PER_CPU_S,
    }


def _sigreg(config: BenchConfig) -> dict[str, Any]:
    """CPU milliseconds of SIGReg with its gradient over batch and slices, D = 64; how each doubling multiplies it.

    A cost linear in batch and slices doubles with either. Drawn into figure.png beside `out`, where it is given.
    """
    dim, batches, slices = 64, (256, 512, 1024, 2048, 4096), (64, 128, 256, 512, 1024)
    generator = torch.Generator().manual_seed(0)

    def cpu_ms(num_rows: int, num_slices: int) -> float:
        latents = torch.randn(num_rows, dim, generator=generator, requires_grad=True)
        return 1e3 * _median_cpu_s(lambda: sigreg(latents, num_slices, generator).backward(), config.repeats)

    over_batch = {f"ms_batch_{num}_slices_256": cpu_ms(num, 256) for num in batches}
    over_slices = {f"ms_batch_1024_slices_{num}": cpu_ms(1024, num) for num in slices}
    figures: dict[str, Any] = {"latent_dim": dim, **over_batch, **over_slices}
    for name, sizes, costs in (("batch", batches, over_batch), ("slices", slices, over_slices)):
        # slope of log cost against log size: 1 is linear, below 1 there is a fixed part
        slope = np.polyfit(np.log(sizes), np.log(list(costs.values())), 1)[0]
        figures[f"exponent_in_{name}"] = float(slope)
    figures["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if config.out:
        _draw_sigreg(
            Path(config.out).with_suffix(".png"), {"batch": (batches, over_batch), "slices": (slices, over_slices)}
        )
    return figures


def _draw_sigreg(path: Path, curves: dict[str, tuple[tuple[int, ...], dict[str, float]]]) -> None:
    with style.styled():
        figure, axes = style.panels(len(curves), len(curves), (3.1, 2.7))
        for axis, (name, (sizes, costs)) in zip(axes, curves.items(), strict=True):
            values = np.array(list(costs.values()))
            axis.loglog(sizes, values, "o-", color=style.BLUE, label="measured")
            axis.loglog(sizes, values[-1] * np.array(sizes) / sizes[-1], "--", color=style.GREY, label="linear")
            axis.set(title=f"SIGReg over {name}", xlabel=name, ylabel="CPU ms, with gradient")
            axis.legend()
        style.save_png(figure, path)


def _plan(config: BenchConfig) -> dict[str, Any]:
    """Milliseconds per environment of a plan by part, beside the floor: the configured planner alone and in a batch,
    LeWM's budget, and the closed loop with rendering."""
    device = pick_device("auto")
    if device.type == "cpu":
        torch.set_num_threads(1)
    clock = Clock(device)
    rates = machine_rates(clock, device, config.repeats)
    loaded = WorldModel.load(config.run, device) if config.run else default_model().to(device)
    model, planner = PlanningModel(loaded), make_planner(**config.planner)
    figures: dict[str, Any] = {"planner": dict(config.planner), "device": str(device), **rates}
    cases = {"alone": (planner, 1), f"batch_{config.batch}": (planner, config.batch), "lewm_budget": (LEWM_PLANNER, 1)}
    for name, (searcher, batch) in cases.items():
        timed = time_plan(model, searcher, batch, config.repeats, clock, rates)
        figures |= {f"{name}_{key}": value for key, value in timed.items()}
    if not config.run:
        figures["closed_loop_cpu_ms"] = closed_loop_ms(model, planner, clock)
        figures["closed_loop_hz"] = 1e3 / figures["closed_loop_cpu_ms"]
    return figures | (time_lewm_size(config.repeats, clock) if config.lewm_size else {})
