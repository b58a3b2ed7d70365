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
from planners import GoalDistance, make_planner
from worldmodel.config import compose, read_run_config
from worldmodel.data.recording import record
from worldmodel.errors import UserError
from worldmodel.files import write_json
from worldmodel.losses import sigreg
from worldmodel.models import WorldModel
from worldmodel.report import style
from worldmodel.run_directory import hardware, versions
from worldmodel.settings import BenchConfig, CollectConfig

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
    """CPU milliseconds of one plan and environment: encoding, rollouts, and the whole; alone and in a batch."""
    if not config.run:
        raise UserError("bench what=plan needs a trained model; add run=runs/NAME")
    model = WorldModel.load(config.run)
    planner = make_planner(**config.planner)
    size = read_run_config(Path(config.run)).env.image_size
    generator = torch.Generator().manual_seed(0)
    figures: dict[str, Any] = {"planner": dict(config.planner)}
    for batch in (1, config.batch):
        shape = (batch, model.num_context_frames, 3, size, size)
        frames = torch.randint(256, shape, generator=generator).to(torch.uint8)
        with torch.no_grad():
            z0 = model.encode(frames)
        objective = GoalDistance(torch.randn(batch, model.latent_dim, generator=generator))
        samples = int(config.planner["num_samples"])
        actions = torch.rand(batch, samples, planner.horizon, model.action_dim, generator=generator) * 2 - 1
        timed = {
            "encode": torch.no_grad()(lambda frames=frames: model.encode(frames)),
            "rollout": torch.no_grad()(lambda z0=z0, actions=actions: model.rollout(z0, actions)),
            "plan": lambda z0=z0, objective=objective: planner.plan(model, objective, z0, generator=generator),
        }
        for name, work in timed.items():
            figures[f"{name}_cpu_ms_batch_{batch}"] = 1e3 * _median_cpu_s(work, config.repeats) / batch
    return figures
