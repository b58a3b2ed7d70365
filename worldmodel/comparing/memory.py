"""Memory that training a method takes: counted in tensors, and measured in a fresh process."""

import dataclasses
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from worldmodel.comparing.candidates import CANDIDATES
from worldmodel.comparing.compare_result import KeptBytes, PeakBytes
from worldmodel.data.frames import MemoryFrames
from worldmodel.data.store import DataSet
from worldmodel.learning.loop import Stage
from worldmodel.learning.methods import encoder_objective, encoder_stage
from worldmodel.models.encoders import Encoder
from worldmodel.settings import EncoderConfig, MethodConfig
from worldmodel.system.resident import forget_peak, peak_resident_bytes, resident_bytes
from worldmodel.system.scripts import workers_leave_script_alone

NUM_ROWS = 2048
"""Random frames that stand for the data set's."""
NUM_STEPS = 5
"""Training steps of which the peak is taken."""


class _AnyRows:
    """Random rows as pairs, since memory does not depend on which rows they are."""

    def __init__(self, num_rows: int) -> None:
        self._num_rows = num_rows

    def sample(self, num_pairs: int, generator: torch.Generator) -> Tensor:
        return torch.randint(self._num_rows, (2, num_pairs), generator=generator)


def _stage(method: MethodConfig, encoder: EncoderConfig, data: DataSet, device: torch.device) -> Stage:
    torch.manual_seed(0)
    body = Encoder(encoder).to(device)
    frames = torch.randint(256, (NUM_ROWS, encoder.input_size, encoder.input_size, 3)).to(torch.uint8)
    pairs = _AnyRows(min(NUM_ROWS, data.num_rows))
    objective = encoder_objective(method, body, data, data.split("train"), 0, (pairs, 1.0))
    if method.name == "lewm":
        frames = frames[torch.arange(data.num_rows) % NUM_ROWS]
    return encoder_stage(objective, body, MemoryFrames(frames, device), method.optim, "report")


def kept_bytes(method: MethodConfig, encoder: EncoderConfig, data: DataSet) -> KeptBytes:
    """Bytes of tensors that one training step holds at once, by what they are for."""
    stage = _stage(method, encoder, data, torch.device("cpu"))
    trained = [parameter for parameter in stage.module.parameters() if parameter.requires_grad]
    weights = sum(value.nbytes for value in stage.module.state_dict().values())
    own = {value.untyped_storage().data_ptr() for value in stage.module.state_dict().values()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own and tensor.dtype != torch.uint8:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        values = stage.loss(0.5, torch.Generator().manual_seed(0))
    values["loss"].backward()
    return KeptBytes(weights, 3 * sum(parameter.nbytes for parameter in trained), sum(kept.values()))


def peak_bytes(method: MethodConfig, encoder: EncoderConfig, data: Path) -> PeakBytes:
    """Peak memory of a few training steps, in a fresh process; the CPU's on Linux only."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        with workers_leave_script_alone():
            measured = pool.submit(_measure, method, encoder, data)
        return measured.result()


def _measure(method: MethodConfig, encoder: EncoderConfig, directory: Path) -> PeakBytes:
    torch.set_num_threads(1)
    data = DataSet(directory)
    # memory that any first training takes for good, such as libraries loaded late, is not this method's
    warm_up = CANDIDATES["lejepa"].configure(dataclasses.replace(method, options={}), 0)
    _train(_stage(warm_up, EncoderConfig(input_size=4, hidden=4, latent_dim=2), data, torch.device("cpu")), 2)
    before = _held_now()
    _train(_stage(method, encoder, data, torch.device("cpu")), NUM_STEPS)
    cpu = None if before is None else peak_resident_bytes() - before
    gpu = None
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        standing = torch.cuda.memory_allocated()
        _train(_stage(method, encoder, data, torch.device("cuda")), NUM_STEPS)
        gpu = torch.cuda.max_memory_allocated() - standing
    return PeakBytes(cpu, gpu)


def _train(stage: Stage, num_steps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(stage.module.parameters(), 1e-4)
    stage.module.train()
    for _ in range(num_steps):
        values = stage.loss(0.5, generator)
        optimizer.zero_grad(set_to_none=True)
        values["loss"].backward()
        optimizer.step()


def _held_now() -> int | None:
    """Resident bytes, with the kernel's peak set back to them; None where the kernel does not tell."""
    try:
        forget_peak()
        return resident_bytes()
    except OSError:
        return None
