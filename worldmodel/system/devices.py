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
def cpu_threads_kept() -> Iterator[None]:
    """Give torch back the number of CPU threads that it had before; also a decorator, for functions that change it."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
