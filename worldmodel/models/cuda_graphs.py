"""Networks in training as CUDA graphs: one launch for a whole pass, where launching takes longer than computing."""

from collections.abc import Callable
from typing import cast, final

import torch
from torch import Tensor, nn

from worldmodel.system.distributed import is_alone


def bfloat16_on_gpu(device: torch.device) -> torch.autocast:
    """Autocast of matrix products to bfloat16 on CUDA; on a CPU, where float32 is faster for small models, nothing.

    Casts are not cached: a recorded graph must not read weights that were cast before it was recorded.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda", cache_enabled=False)


@final
class Captured:
    """A function of tensors and of a network's weights whose forward and backward passes are CUDA graphs on a GPU.

        encode = Captured(encoder)
        encode(frames).square().mean().backward()

    Inputs of other shapes are recorded anew. The function is called directly on a CPU, without gradients, in evaluation
    mode, and where several processes share a batch.

    Args:
        network: whose weights are trained.
        function: one of its methods; None takes its forward pass. It must draw no random numbers and must not branch on
            the values of tensors.
    """

    def __init__(self, network: nn.Module, function: Callable[..., Tensor] | None = None) -> None:
        self._network, self._function = network, function or network
        self._recorded: dict[tuple[object, ...], Callable[..., Tensor]] = {}

    def __call__(self, *inputs: Tensor | None) -> Tensor:
        given = [tensor for tensor in inputs if tensor is not None]
        on_gpu = all(tensor.device.type == "cuda" for tensor in given)
        if not (on_gpu and self._network.training and torch.is_grad_enabled() and is_alone()):
            return self._function(*inputs)
        kind = tuple(x if x is None else (x.shape, x.dtype, x.requires_grad) for x in inputs)
        if kind not in self._recorded:
            self._recorded[kind] = self._record(*inputs)
        return self._recorded[kind](*given)

    def _record(self, *inputs: Tensor | None) -> Callable[..., Tensor]:
        present = [tensor is not None for tensor in inputs]
        passes = _Passes(self._network, self._function, present)
        samples = tuple(x.detach().clone().requires_grad_(x.requires_grad) for x in inputs if x is not None)
        # recording begins with warm-up passes, which move the running statistics of BatchNorm
        before = {name: buffer.clone() for name, buffer in self._network.named_buffers()}
        recorded = torch.cuda.make_graphed_callables(passes, samples, allow_unused_input=True)
        for name, buffer in self._network.named_buffers():
            buffer.copy_(before[name])
        return cast(Callable[..., Tensor], recorded)


class _Passes(nn.Module):
    """The function as the forward pass of a module of its own: recording replaces a module's forward pass."""

    def __init__(self, network: nn.Module, function: Callable[..., Tensor], present: list[bool]) -> None:
        super().__init__()
        self.network, self._function, self._present = network, function, present

    def forward(self, *given: Tensor) -> Tensor:
        rest = iter(given)
        return self._function(*(next(rest) if there else None for there in self._present))
