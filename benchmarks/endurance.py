"""Whether a long run grows (`python -m benchmarks.speed what=memory`): memory, files, threads and OpenGL contexts."""

import gc
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from worldmodel import envs
from worldmodel.envs import BatchWorld, make_policy, rendering, rollout
from worldmodel.learning import Stage, Trainer
from worldmodel.models import ModelConfig, WorldModel
from worldmodel.planners import CEM, MPC, GoalDistance
from worldmodel.runs import RunDirectory
from worldmodel.settings import EncoderConfig, OptimConfig, PredictorConfig, recipe
from worldmodel.system import resident_bytes

NUM_LOOKS = 10


def endurance(repeats: int, env: str) -> dict[str, Any]:
    """Growth of this process from the first third of `repeats` rounds to the last, for each kind of work.

    A round is an episode of ten steps with its reset ("episodes"), a world made and closed ("worlds", a tenth as many),
    ten training steps ("training"), or five control steps of two robots ("control").
    """
    kinds: dict[str, tuple[Callable[[str], Iterator[None]], int]] = {
        "episodes": (_episodes, repeats),
        "worlds": (_worlds, max(NUM_LOOKS, repeats // 10)),
        "training": (_training, repeats),
        "control": (_control, repeats),
    }
    figures: dict[str, Any] = {}
    for name, (work, rounds) in kinds.items():
        figures |= {f"{name}_{key}": value for key, value in _grown(work(env), rounds).items()}
    return figures


def _grown(work: Iterator[None], rounds: int) -> dict[str, Any]:
    """Run `rounds` rounds; memory in MB and open files at evenly spaced moments, and how much they rose."""
    looks: list[tuple[float, int, int, int]] = []
    for index in range(rounds):
        next(work)
        if index % max(1, rounds // NUM_LOOKS) == 0:
            gc.collect()
            held = len(os.listdir("/proc/self/fd")), threading.active_count(), rendering.num_open()
            looks.append((resident_bytes() / 1e6, *held))
    work.close()  # type: ignore[attr-defined]
    third = max(1, len(looks) // 3)
    memory, files, threads, contexts = np.array(looks).T
    # what is allocated once is there after the first looks
    early, late = memory[third : 2 * third].mean(), memory[-third:].mean()
    return {
        "rounds": rounds,
        "memory_mb": [round(value, 1) for value in memory.tolist()],
        "memory_growth_mb_per_1000_rounds": round(float(late - early) / (rounds * 5 / 9) * 1000, 3),
        "open_files_growth": int(files[-1] - files[third]),
        "threads_growth": int(threads[-1] - threads[third]),
        "opengl_contexts_growth": int(contexts[-1] - contexts[third]),
    }


def _episodes(env: str) -> Iterator[None]:
    world = envs.make(**recipe(env).env.make_arguments())
    policy = make_policy("uniform")
    try:
        for seed in range(10**9):
            rollout(world, policy, seed=seed, num_steps=10)
            yield
    finally:
        world.close()


def _worlds(env: str) -> Iterator[None]:
    """Each with an OpenGL context of its own."""
    arguments = recipe(env).env.make_arguments()
    while True:
        world = envs.make(**arguments)
        world.reset(seed=0)
        world.close()
        yield


def _training(env: str) -> Iterator[None]:
    """Steps of the training loop, log and checkpoints included."""
    module = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.BatchNorm1d(64), torch.nn.Linear(64, 8))

    def loss(progress: float, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {"loss": module(torch.randn(32, 64, generator=generator)).square().mean()}

    with tempfile.TemporaryDirectory() as folder:
        for index in range(10**9):
            run = RunDirectory(Path(folder) / str(index % 2))
            trainer = Trainer(run, module, {"only": {"round": index}}, 0, checkpoint_every_s=0.0)
            trainer.fit(Stage("only", module, loss, OptimConfig(steps=10)))
            (run.path / "trainer.pt").unlink()
            (run.path / "metrics.jsonl").unlink()
            yield


def _control(env: str) -> Iterator[None]:
    """Latent MPC of an untrained model in the real world: encoding, planning, stepping, rendering."""
    world = envs.make(**recipe(env).env.make_arguments())
    action_dim = world.scene.action_dim
    model = WorldModel(ModelConfig(EncoderConfig(latent_dim=4), action_dim, PredictorConfig(horizon=5))).eval()
    mpc = MPC(model, CEM(horizon=5, num_samples=16, num_iterations=2, num_elites=4))
    batch, generator = BatchWorld(world, 2), torch.Generator().manual_seed(0)

    def frames() -> torch.Tensor:
        return torch.from_numpy(batch.frames()).movedim(-1, -3)

    try:
        for seed in range(10**9):
            batch.reset(seed=seed)
            goal = GoalDistance(model.embed(frames()))
            state = mpc.init(frames())
            for _ in range(5):
                actions, state, _ = mpc.act(state, goal, generator)
                batch.step(actions.numpy())
                state = mpc.observe(state, frames(), actions)
            yield
    finally:
        world.close()
