"""What a process of a parallel training does in tests; a module of its own, so that child processes can import it."""

import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from worldmodel_fakes import seeded

from worldmodel.data.frames import MemoryFrames
from worldmodel.data.pairs import LagPairs
from worldmodel.data.store import EpisodeIndex
from worldmodel.distributed import Processes, launch, whole
from worldmodel.dynamics import ContextTraining, LatentTable, Windows, context_stage, predictor_stage
from worldmodel.methods import MethodConfig, lejepa_stage, lewm_stage
from worldmodel.models.context import ContextConfig, ContextEncoder
from worldmodel.models.encoders import Encoder, EncoderConfig
from worldmodel.models.predictor import Predictor, PredictorConfig
from worldmodel.run_directory import RunDirectory
from worldmodel.training import OptimConfig, Stage, Trainer, _Objective

CPU = torch.device("cpu")
D, A, SIZE, BATCH, STEPS, NUM_EPISODES = 3, 2, 16, 26, 4, 9
LENGTH = 21
EPISODES = EpisodeIndex(np.arange(NUM_EPISODES) * LENGTH, np.full(NUM_EPISODES, LENGTH))
OPTIM = OptimConfig(steps=STEPS, batch_size=BATCH, lr=0.01)


def stages() -> dict[str, Stage]:
    """Every way in which this toolkit trains something, from equal weights; 26 rows do not divide by 4."""
    torch.manual_seed(0)
    num_rows = NUM_EPISODES * LENGTH
    frames = MemoryFrames(torch.randint(256, (num_rows, SIZE, SIZE, 3), dtype=torch.uint8), CPU)
    table = LatentTable(torch.randn(num_rows, D), torch.rand(num_rows, A))
    context = ContextEncoder(ContextConfig(dim=2, window=6), D, A)
    predictor = Predictor(PredictorConfig(history=[0, 1], horizon=4, hidden=16), D, A)

    def encoder(kind: str = "mlp") -> Encoder:
        return Encoder(EncoderConfig(kind=kind, input_size=SIZE, latent_dim=D, hidden=12, channels=[4, 6]))

    pairs, method = LagPairs(EPISODES, 2), MethodConfig(optim=OPTIM, block=2, num_history=3)
    return {
        "lejepa": lejepa_stage(method, encoder(), frames, pairs, 1.0),
        "cnn": lejepa_stage(method, encoder("cnn"), frames, pairs, 1.0),
        "lewm": lewm_stage(method, encoder(), frames, table.actions, EPISODES),
        "context": context_stage(context, Windows(context, table), EPISODES, ContextTraining(optim=OPTIM)),
        "predictor": predictor_stage(predictor, table, EPISODES, OPTIM, None),
    }


def gradients(stage: Stage, processes: Processes) -> dict[str, Tensor]:
    """Gradients of one step, and BatchNorm's statistics after it."""
    stage.module.train()
    objective = processes.set_up(_Objective(stage))
    processes.backward(objective(0.5, seeded(7))["loss"])
    found = {name: whole(weight.grad) for name, weight in stage.module.named_parameters()}
    return found | {name: buffer for name, buffer in stage.module.named_buffers() if "running" in name}


def every_gradient(processes: Processes) -> dict[str, dict[str, Tensor]]:
    return {name: gradients(stage, processes) for name, stage in stages().items()}


def train(processes: Processes, folder: Path, num_steps: int = STEPS) -> dict[str, Tensor]:
    """Train a stage for `num_steps` steps, as a command does that is then cut off."""
    stage = stages()["lejepa"]
    whole_loss = stage.loss

    def loss(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        if round(progress * STEPS) == num_steps:
            raise KeyboardInterrupt
        return whole_loss(progress, generator)

    cut = Stage(stage.name, stage.module, loss, stage.optim)
    trainer = Trainer(RunDirectory(folder), stage.module, "same", 3, checkpoint_every_s=0.0, processes=processes)
    try:
        trainer.fit(cut)
    except KeyboardInterrupt:
        return {}
    return stage.module.state_dict()


def in_processes(num: int, strategy: str, work: Callable[..., Any], folder: Path, *arguments: Any) -> Any:
    """`work(processes, …)` in `num` gloo processes, as torchrun would start them; returns what the first one found."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["parallel_fakes", "lightning_fabric"])  # torch is imported once, not `num` times
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out = folder / "found.pt"
    out.unlink(missing_ok=True)
    started = [
        context.Process(target=_join, args=(rank, num, port, strategy, work, out, arguments)) for rank in range(num)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
    assert [process.exitcode for process in started] == [0] * num
    return torch.load(out, weights_only=True)


def _join(rank: int, num: int, port: int, strategy: str, work: Callable[..., Any], out: Path, arguments: Any) -> None:
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0", "WORLD_SIZE": str(num),
        "LOCAL_WORLD_SIZE": str(num), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "test",
    }  # fmt: skip
    torch.set_num_threads(1)
    processes = launch(1, 1, strategy, CPU)
    found = work(processes, *arguments)
    if processes.is_first:
        torch.save(found, out)
    processes.wait()
    processes.leave()
