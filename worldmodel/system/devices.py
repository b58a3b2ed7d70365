"""Where torch computes: the device, and the threads of a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from worldmodel.system.errors import UserError


def pick_device(name: str) -> torch.device:
    """The device that `name` asks for: cpu, cuda, or auto, which takes CUDA where there is a GPU.

    Raises:
        UserError: the name is another, or there is no GPU.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"device is one of auto, cpu, cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda was asked for, but torch sees no CUDA GPU; use device=auto or device=cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


@contextmanager
def torch_kept() -> Iterator[None]:
    """Give torch back the CPU threads and the random numbers that it had before; also a decorator, for functions that
    set them for themselves. Verbs are such functions: whoever calls one may go on to compute."""
    before = torch.get_num_threads()
    # a GPU that has not been used is not woken for this
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    try:
        with torch.random.fork_rng(gpus):
            yield
    finally:
        torch.set_num_threads(before)
