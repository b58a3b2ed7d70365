"""`python -m benchmarks.speed`: rates per CPU-second and medians, each beside its floor or its peer's rate."""

import os
import resource
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import command
from benchmarks.endurance import endurance
from benchmarks.engines import engines
from benchmarks.exactness import gradient_differences
from benchmarks.faults import faults
from benchmarks.peer_planning import time_peer
from benchmarks.plan_timing import (
    LEWM_PLANNER,
    Clock,
    closed_loop_ms,
    default_model,
    machine_rates,
    time_lewm_size,
    time_plan,
)
from benchmarks.settings import BenchConfig
from worldmodel import envs
from worldmodel.cli.compose import compose
from worldmodel.data.arrays import write_arrays
from worldmodel.data.frames import DiskFrames, Frames, load_frames
from worldmodel.data.pairs import window_starts
from worldmodel.data.recording import record
from worldmodel.data.store import DataSet, EpisodeIndex
from worldmodel.envs.excitation import make_policy
from worldmodel.figures import style
from worldmodel.learning.losses import sigreg
from worldmodel.learning.methods import build_recipe, encoder_stage
from worldmodel.learning.train import pick_device
from worldmodel.models import DTYPES, PlanningModel, WorldModel
from worldmodel.models.encoders import Encoder
from worldmodel.planners import make_planner
from worldmodel.runs import Run, hardware, peak_memory_mb, versions
from worldmodel.settings import CollectConfig, EncoderConfig, EnvConfig, MethodConfig
from worldmodel.system.errors import UserError
from worldmodel.system.files import write_json

# frames per CPU-second of stable-worldmodel on reacher at 64 x 64, measured on a 2-core CPU without a GPU
PEER_COLLECT_FRAMES_PER_CPU_S = 30.0
CPU = torch.device("cpu")


def bench(config: BenchConfig) -> tuple[dict[str, Any], str]:
    """Measure one thing; returns its figures and a table. Writes them as JSON where `out` says."""
    measure = {
        "render": _render,
        "collect": _collect,
        "plan": _plan,
        "train": _train,
        "sigreg": _sigreg,
        "load": _load,
        "processes": _processes,
        "engines": lambda config: engines(),
        "faults": lambda config: faults(config.repeats, config.seed),
        "memory": lambda config: endurance(config.repeats, config.world),
    }[config.what]
    figures = measure(config)
    content = {"what": config.what, "env": config.world, **figures, "versions": versions(), "hardware": hardware()}
    if config.out:
        write_json(Path(config.out), content)
    width = max(map(len, figures))
    table = "\n".join(f"  {name:<{width}}  {_shown(value)}" for name, value in figures.items())
    return content, f"{config.what}\n{table}"


def _shown(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def _cpu_seconds() -> float:
    """CPU seconds of this process, its children, and what these have waited for: workers belong to a server process."""
    usage = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    ticks = 0
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            # after the name in brackets: state, and from the twelfth on utime, stime, cutime, cstime
            ticks += sum(map(int, Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[11:15]))
    return sum(part.ru_utime + part.ru_stime for part in usage) + ticks / os.sysconf("SC_CLK_TCK")


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
    collect = compose("collect", [f"env={config.world}"], CollectConfig)
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
    """Frames per CPU-second of whole collections: start of the workers, rendering, physics and writing included.

    With engine=warp frames per second too, since a GPU does the work; a first collection, which compiles, is left out.
    """
    collect = compose(
        "collect", [f"env={config.world}", f"engine={config.engine}", f"worlds={config.worlds}"], CollectConfig
    )
    num_frames = config.episodes * (collect.episode_steps + 1)
    cpu_rates, rates = [], []
    for repeat in range(config.repeats + (config.engine == "warp")):
        with tempfile.TemporaryDirectory() as folder:
            cpu, wall = _cpu_seconds(), time.monotonic()
            record(Path(folder), collect.recording(), config.episodes, collect.workers)
            if repeat or config.engine == "classic":
                cpu_rates.append(num_frames / (_cpu_seconds() - cpu))
                rates.append(num_frames / (time.monotonic() - wall))
    rate = statistics.median(cpu_rates)
    batched = {"worlds": config.worlds, "frames_per_s": statistics.median(rates)} if config.engine == "warp" else {}
    return {
        "image_size": collect.env.image_size,
        "engine": config.engine,
        **batched,
        "frames_per_cpu_s": rate,
        "frames_per_cpu_s_lowest": min(cpu_rates),
        "frames_per_cpu_s_highest": max(cpu_rates),
        "peer_frames_per_cpu_s": PEER_COLLECT_FRAMES_PER_CPU_S,
        "ratio_to_peer": rate / PEER_COLLECT_FRAMES_PER_CPU_S,
    }


def _load(config: BenchConfig) -> dict[str, Any]:
    """Clips of four 64 x 64 frames per CPU-second, from memory and from mapped shards, beside the peer where installed;
    and training steps per CPU-second on each, which says what streaming costs in the end."""
    side, length, num_rows, batch = 64, 201, 12_060, 256
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)

        def episode() -> Mapping[str, np.ndarray]:
            return {
                "frames": rng.integers(0, 256, (length, side, side, 3), np.uint8),
                "actions": np.zeros((length - 1, 2)),
            }

        write_arrays(Path(folder), "bench", (episode() for _ in range(num_rows // length)))
        data = DataSet(Path(folder))
        starts = window_starts(EpisodeIndex(data.offset, data.length), 4)
        generator = torch.Generator().manual_seed(0)
        figures: dict[str, Any] = {"clips_of": "4 frames of 64 x 64 x 3", "batch": batch}

        def draw() -> Tensor:
            return starts[torch.randint(len(starts), (batch,), generator=generator)][:, None] + torch.arange(4)

        for name, frames in (("memory", load_frames(data, side, CPU)), ("disk", DiskFrames(data, side, CPU))):
            figures[f"{name}_clips_per_cpu_s"] = batch / _median_cpu_s(lambda f=frames: f.gather(draw()), 50)
        steps = {
            name: _steps_per_cpu_s(frames, data, config.repeats)
            for name, frames in (("memory", load_frames(data, 16, CPU)), ("disk", DiskFrames(data, 16, CPU)))
        }
        figures |= {f"training_steps_per_cpu_s_{name}": rate for name, rate in steps.items()}
        figures["training_disk_to_memory"] = steps["disk"] / steps["memory"]
        return figures | _peer_load(data, config.repeats)


def _steps_per_cpu_s(frames: Frames, data: DataSet, repeats: int) -> float:
    """Steps of LeJEPA with the default encoder, which takes 16 x 16 of the 64 x 64 pixels."""
    encoder = Encoder(EncoderConfig(latent_dim=8))
    method = MethodConfig(pairs="lag", lag=3)
    recipe = build_recipe(method, encoder, data, data.split("train"), 0)
    stage = encoder_stage(recipe, encoder, frames, method.optim)
    optimizer = torch.optim.AdamW(stage.module.parameters(), 1e-3, fused=True)
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        stage.loss(0.5, generator)["loss"].backward()
        optimizer.step()

    return 1 / _median_cpu_s(step, 5 * repeats)


def _peer_load(data: DataSet, repeats: int) -> dict[str, Any]:
    """Clips per CPU-second of stable-worldmodel's HDF5 reader on a shard of ours, and whether it reads what we wrote;
    nothing where it is not installed."""
    try:
        from stable_worldmodel.data.formats.hdf5 import HDF5Dataset
    except ImportError:
        return {}
    found: dict[str, Any] = {"peer_version": metadata.version("stable-worldmodel")}
    for name, columns in (("all_columns", None), ("frames_only", ["pixels"])):
        peer = HDF5Dataset(path=data.shards[0], num_steps=4, keys_to_load=columns)
        same = np.array_equal(np.moveaxis(np.asarray(peer[5]["pixels"]), 1, -1), data.frames(slice(5, 9)))
        found[f"peer_hdf5_{name}_reads_what_was_written"] = same
        chosen = np.random.default_rng(0).integers(0, len(peer), 100).tolist()
        work = partial(lambda peer, chosen: [peer[index] for index in chosen], peer, chosen)
        found[f"peer_hdf5_{name}_clips_per_cpu_s"] = 100 / _median_cpu_s(work, repeats)
    return found


def _processes(config: BenchConfig) -> dict[str, Any]:
    """What two CPU processes compute, cost and gain against one, at the same total batch: differences of gradients, CPU
    and wall seconds of a step.

    The steps of a short training are taken from those of a long one, so that imports and set-up drop out.
    """
    num_steps = {"short": 20, "long": 20 + 40 * config.repeats}
    figures: dict[str, Any] = {"total_batch": 256, "steps": num_steps["long"] - num_steps["short"]}
    with tempfile.TemporaryDirectory() as folder:
        figures |= _gradient_differences(Path(folder))
        _train_in_processes(1, ["method.optim.steps=1"], Path(folder))  # collects
        for kind, options in _SCALED.items():
            for processes in (1, 2):
                cost = {
                    name: _train_in_processes(processes, [*options, f"method.optim.steps={steps}"], Path(folder))
                    for name, steps in num_steps.items()
                }
                for unit, index in (("cpu", 0), ("wall", 1)):
                    ms = 1e3 * (cost["long"][index] - cost["short"][index]) / figures["steps"]
                    figures[f"{kind}_{unit}_ms_per_step_{processes}"] = ms
            for unit, ideal in (("cpu", 1), ("wall", 2)):
                one, two = (figures[f"{kind}_{unit}_ms_per_step_{processes}"] for processes in (1, 2))
                figures[f"{kind}_{unit}_efficiency"] = one / (ideal * two)
    return figures


def _gradient_differences(folder: Path) -> dict[str, Any]:
    """Of two processes from one, for every method, on frames of noise and on rendered ones.

    Where pictures hardly differ, as rendered ones do, BatchNorm magnifies float32's rounding on either side.
    """
    rng = np.random.default_rng(0)

    def episode() -> Mapping[str, np.ndarray]:
        frames = rng.integers(0, 256, (21, 16, 16, 3), np.uint8)
        return {"frames": frames, "actions": rng.uniform(-1, 1, (20, 2)), "states": rng.standard_normal((21, 3))}

    write_arrays(folder / "noise", "noise", (episode() for _ in range(12)), state_names=["x", "y", "z"])
    collect = CollectConfig(EnvConfig(image_size=16), {"name": "uniform"}, episodes=12, episode_steps=20)
    record(folder / "rendered", collect.recording(), collect.episodes, num_workers=1)
    figures: dict[str, Any] = {}
    for name, key in (("noise", "gradient_difference"), ("rendered", "gradient_difference_rendered")):
        differences = gradient_differences(folder / name, 2)
        figures |= {key: differences, f"{key}_largest": max(differences.values())}
    return figures


_SCALED = {
    "mlp": ["encoder.kind=mlp"],
    "cnn": ["encoder.kind=cnn", "encoder.input_size=32", "encoder.channels=[16,32,64]", "encoder.hidden=128"],
}


def _train_in_processes(num: int, options: list[str], folder: Path) -> tuple[float, float]:
    """CPU and wall seconds of a whole training command under torchrun."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(num), "-m", "worldmodel.cli", "train"),
        *("env=reacher_ou", "env.image_size=32", "episodes=400", "device=cpu", "threads=1", f"data={folder / 'data'}"),
        *(f"runs={folder / 'runs'}", f"name={secrets.token_hex(4)}", "method.optim.batch_size=128", *options),
    ]
    cpu, wall = _cpu_seconds(), time.monotonic()
    _run(command)
    return _cpu_seconds() - cpu, time.monotonic() - wall


def _run(command: list[str]) -> None:
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"the training under measurement failed: {' '.join(done.stderr.split())[-300:]}")


def _train(config: BenchConfig) -> dict[str, Any]:
    """Peak memory of the default training of `world`: all its data and every stage, but few steps, of which memory does
    not depend; in a process of its own. The data is what `worldmodel train` finds or collects."""
    steps = [f"{stage}.steps=20" for stage in ("method.optim", "predictor_training", "context_training.optim")]
    with tempfile.TemporaryDirectory() as folder:
        run = [f"env={config.world}", f"runs={folder}", "name=run", "device=cpu"]
        _run([sys.executable, "-m", "worldmodel.cli", "train", *run, *steps])
        found = Run(Path(folder) / "run").train
    return {"peak_memory_mb": found.peak_memory_mb, **{f"data_{key}": n for key, n in asdict(found.data).items()}}


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
    figures["peak_memory_mb"] = peak_memory_mb()
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
    LeWM's budget (on a GPU for 256 environments too), and the closed loop with rendering."""
    device = pick_device("auto")
    if device.type == "cpu":
        torch.set_num_threads(1)
    clock = Clock(device)
    dtype = DTYPES[config.dtype]
    rates = machine_rates(clock, device, config.repeats, dtype)
    loaded = WorldModel.load(config.run, device) if config.run else default_model().to(device)
    model, planner = PlanningModel(loaded, dtype), make_planner(**config.planner)
    figures: dict[str, Any] = {"planner": dict(config.planner), "device": str(device), "dtype": config.dtype, **rates}
    cases = {"alone": (planner, 1), f"batch_{config.batch}": (planner, config.batch), "lewm_budget": (LEWM_PLANNER, 1)}
    if device.type == "cuda":
        cases["lewm_budget_batch_256"] = (LEWM_PLANNER, 256)
    for name, (searcher, batch) in cases.items():
        timed = time_plan(model, searcher, batch, config.repeats, clock, rates)
        figures |= {f"{name}_{key}": value for key, value in timed.items()}
    if not config.run:
        figures["closed_loop_cpu_ms"] = closed_loop_ms(model, planner, clock)
        figures["closed_loop_hz"] = 1e3 / figures["closed_loop_cpu_ms"]
    if config.lewm_size:
        figures |= time_lewm_size(config.repeats, clock, device, dtype)
        figures |= time_peer(config.repeats, clock, device, dtype)
    return figures


if __name__ == "__main__":
    sys.exit(command.run(BenchConfig, lambda config: bench(config)[1]))
