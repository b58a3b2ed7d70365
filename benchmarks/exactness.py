"""How far the gradients of several processes are from those of one, for everything that this toolkit trains.

Part of `python -m benchmarks.speed what=processes`, and what the tests check.
"""

import multiprocessing
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from worldmodel.data import DataSet, LatentTable, load_frames
from worldmodel.learning import (
    LossModule,
    Stage,
    Windows,
    context_stage,
    encoder_objective,
    encoder_stage,
    predictor_stage,
)
from worldmodel.models import ContextEncoder, Encoder, Predictor
from worldmodel.settings import (
    CONTEXT_METHODS,
    METHODS,
    ContextConfig,
    ContextMethod,
    ContextTraining,
    EncoderConfig,
    MethodConfig,
    MethodName,
    OptimConfig,
    PredictorConfig,
)
from worldmodel.system import Processes, UserError, launch, whole

CPU = torch.device("cpu")
LATENT_DIM, CONSTANTS_DIM = 5, 2
# two rows for each of two ends do not divide by four processes
OPTIM = OptimConfig(steps=4, batch_size=23, lr=0.01)
PATIENCE_S = 300


def gradient_differences(folder: Path, num: int, strategy: str = "ddp") -> dict[str, float]:
    """Stage -> largest difference of a gradient (or of the loss, or a running statistic) between one process and `num`
    gloo processes, in terms of the tensor's largest entry.

    A bias before BatchNorm, or one that only shifts latents whose mean does not matter, has gradient zero: its computed
    value is rounding, and is measured against a hundredth of the largest gradient.
    """
    together = in_processes(num, strategy, every_gradient, folder)
    return {name: _difference(alone, together[name]) for name, alone in every_gradient(Processes(CPU), folder).items()}


def _difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    if one.keys() != other.keys():
        raise ValueError(f"gradients of {sorted(one.keys() ^ other.keys())} exist on one side only")
    largest = max(float(value.abs().max()) for value in one.values())
    return max(
        float((value - other[name]).abs().max()) / max(float(value.abs().max()), 1e-2 * largest)
        for name, value in one.items()
    )


def every_gradient(processes: Processes, folder: Path) -> dict[str, dict[str, Tensor]]:
    """Stage -> what one step of it gives."""
    return {name: _gradients(stage, processes) for name, stage in stages(folder).items()}


def _gradients(stage: Stage, processes: Processes) -> dict[str, Tensor]:
    """Gradients of one step, its loss, and BatchNorm's statistics after it."""
    stage.module.train()
    objective = processes.set_up(LossModule(stage))
    loss = objective(0.5, torch.Generator().manual_seed(7))["loss"]
    processes.backward(loss)
    found = {name: whole(weight.grad) for name, weight in stage.module.named_parameters() if weight.requires_grad}
    found["loss"] = loss.detach()
    return found | {name: buffer for name, buffer in stage.module.named_buffers() if "running" in name}


def stages(folder: Path) -> dict[str, Stage]:
    """Every way in which this toolkit trains something, small, on the data set in `folder`, from equal weights."""
    data = DataSet(folder)
    size, action_dim = data.frames(slice(0, 1)).shape[1], data.actions.shape[1]
    frames, episodes = load_frames(data, size, CPU), data.split("train")
    torch.manual_seed(0)
    table = LatentTable(torch.randn(data.num_rows, LATENT_DIM), torch.rand(data.num_rows, action_dim))
    predictor = Predictor(PredictorConfig(history=[0, 1], horizon=4, hidden=16), LATENT_DIM, action_dim)

    def of_context(method: ContextMethod) -> Stage:
        torch.manual_seed(0)
        config = ContextConfig(dim=CONSTANTS_DIM, window=6, strides=[1, 2], hidden=12)
        encoder = ContextEncoder(config, LATENT_DIM, action_dim)
        training = ContextTraining(method, optim=OPTIM)
        constants = torch.randn(len(episodes), 2, CONSTANTS_DIM)
        return context_stage(encoder, Windows(encoder, table), episodes, training, constants)

    def of_method(name: MethodName, kind: Literal["mlp", "cnn"] = "mlp") -> Stage:
        torch.manual_seed(0)
        network = EncoderConfig(kind=kind, input_size=size, latent_dim=LATENT_DIM, hidden=12, depth=2, channels=[4, 6])
        encoder = Encoder(network)
        options = {"block": 2} if name == "lewm" else {}
        method = MethodConfig(name, options, pairs="lag", lag=2, optim=OPTIM, on_collapse="report")
        return encoder_stage(encoder_objective(method, encoder, data, episodes, 0), encoder, frames, OPTIM, "report")

    return {
        **{name: of_method(name) for name in METHODS},
        "lejepa of images": of_method("lejepa", "cnn"),
        **{f"context {name}": of_context(name) for name in CONTEXT_METHODS},
        "predictor": predictor_stage(predictor, table, episodes, OPTIM, None),
    }


def in_processes(num: int, strategy: str, work: Callable[..., Any], *arguments: Any) -> Any:
    """`work(processes, …)` in `num` gloo processes, as torchrun would start them; returns what the first one found.

    Raises UserError when one of them fails.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "lightning_fabric"])  # torch is imported once, not `num` times
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.pt"
        started = [
            context.Process(target=_join, args=(rank, num, port, strategy, work, out, arguments)) for rank in range(num)
        ]
        for process in started:
            process.start()
        for process in started:
            process.join(PATIENCE_S)
            process.kill()
            process.join()
        if failed := [rank for rank, process in enumerate(started) if process.exitcode != 0]:
            raise UserError(f"of {num} processes that train together, {failed} failed or hung; see above")
        return torch.load(out, weights_only=True)


def _join(rank: int, num: int, port: int, strategy: str, work: Callable[..., Any], out: Path, arguments: Any) -> None:
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0", "WORLD_SIZE": str(num),
        "LOCAL_WORLD_SIZE": str(num), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "exactness",
    }  # fmt: skip
    torch.set_num_threads(1)
    processes = launch(1, strategy, CPU)
    found = work(processes, *arguments)
    if processes.is_first:
        torch.save(found, out)
    processes.wait()
    processes.leave()
