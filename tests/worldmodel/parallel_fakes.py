"""What a process of a parallel training does in tests; a module of its own, so that child processes can import it."""

import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from worldmodel_fakes import KINEMATIC, A, S, fake_episode, seeded, write_fake_data

from worldmodel.contexts import CONTEXT_METHODS, ContextTraining, Windows, context_stage
from worldmodel.data.frames import load_frames
from worldmodel.data.store import DataSet
from worldmodel.data.table import LatentTable
from worldmodel.distributed import Processes, launch, whole
from worldmodel.dynamics import predictor_stage
from worldmodel.methods import METHODS, MethodConfig, build_recipe, encoder_stage
from worldmodel.models.context import ContextConfig, ContextEncoder
from worldmodel.models.encoders import Encoder, EncoderConfig
from worldmodel.models.predictor import Predictor, PredictorConfig
from worldmodel.run_directory import RunDirectory
from worldmodel.training import OptimConfig, Stage, Trainer, _Objective

CPU = torch.device("cpu")
D, BATCH, STEPS, NUM_EPISODES, NUM_STEPS = 5, 23, 4, 12, 20
OPTIM = OptimConfig(steps=STEPS, batch_size=BATCH, lr=0.01)


def stages(folder: Path) -> dict[str, Stage]:
    """Every way in which this toolkit trains something, from equal weights; 2 x 23 rows do not divide by 4."""
    data = DataSet(folder)
    frames, episodes = load_frames(data, S, CPU), data.split("train")
    torch.manual_seed(0)
    table = LatentTable(torch.randn(data.num_rows, D), torch.rand(data.num_rows, A))
    predictor = Predictor(PredictorConfig(history=[0, 1], horizon=4, hidden=16), D, A)

    def of_context(method: str, prediction_weight: float = 0.0) -> Stage:
        torch.manual_seed(0)
        encoder = ContextEncoder(ContextConfig(dim=2, window=6, strides=[1, 2], hidden=12), D, A)
        training = ContextTraining(method, prediction_weight=prediction_weight, optim=OPTIM)
        constants = torch.randn(len(episodes), 2, 2, generator=seeded(1))
        return context_stage(encoder, Windows(encoder, table), episodes, training, constants)

    def of_method(name: str, kind: str = "mlp") -> Stage:
        torch.manual_seed(0)
        encoder = Encoder(EncoderConfig(kind=kind, input_size=S, latent_dim=D, hidden=12, depth=2, channels=[4, 6]))
        method = MethodConfig(name=name, pairs="lag", lag=2, block=2, optim=OPTIM, on_collapse="report")
        return encoder_stage(build_recipe(method, encoder, data, episodes, 0), encoder, frames, OPTIM, "report")

    return {
        **{name: of_method(name) for name in METHODS},
        "lejepa of images": of_method("lejepa", "cnn"),
        **{f"context {name}": of_context(name) for name in CONTEXT_METHODS},
        "context lejepa with prediction": of_context("lejepa", 0.5),
        "predictor": predictor_stage(predictor, table, episodes, OPTIM, None),
    }


def write_data(folder: Path) -> None:
    """What `stages` trains on."""
    write_fake_data(folder, [fake_episode(index, NUM_STEPS) for index in range(NUM_EPISODES)], KINEMATIC)


def gradients(stage: Stage, processes: Processes) -> dict[str, Tensor]:
    """Gradients of one step, and BatchNorm's statistics after it."""
    stage.module.train()
    objective = processes.set_up(_Objective(stage))
    loss = objective(0.5, seeded(7))["loss"]
    processes.backward(loss)
    found = {name: whole(weight.grad) for name, weight in stage.module.named_parameters() if weight.requires_grad}
    found["loss"] = loss.detach()
    return found | {name: buffer for name, buffer in stage.module.named_buffers() if "running" in name}


def every_gradient(processes: Processes, data: Path) -> dict[str, dict[str, Tensor]]:
    return {name: gradients(stage, processes) for name, stage in stages(data).items()}


def train(processes: Processes, data: Path, folder: Path, num_steps: int = STEPS) -> dict[str, Tensor]:
    """Train a stage for `num_steps` steps, as a command does that is then cut off; it has a moving average."""
    stage = stages(data)["jepa"]
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
