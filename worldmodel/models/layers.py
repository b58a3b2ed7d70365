"""Building blocks that several networks share."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def mlp(num_inputs: int, hidden: Sequence[int], num_outputs: int, batch_norm: bool = False) -> nn.Sequential:
    """A plain MLP, (…, num_inputs) -> (…, num_outputs), with GELU after each of the `hidden` layers.

    batch_norm: BatchNorm before every GELU; inputs are then (n, num_inputs).
    """
    layers: list[nn.Module] = []
    width = num_inputs
    for units in hidden:
        layers += [nn.Linear(width, units), *([nn.BatchNorm1d(units)] if batch_norm else []), nn.GELU()]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, num_outputs))


_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
_USUAL_ROWS = 64  # for which the weights are laid out; others are computed as well


@dataclass(frozen=True)
class PlainLinear:
    """A linear layer, and GELU after it where asked for: (…, inputs) -> (…, units)."""

    weight: Tensor
    """(units, inputs)."""
    bias: Tensor
    """(units,)."""

    def __call__(self, x: Tensor, gelu: bool = False) -> Tensor:
        y = F.linear(x, self.weight, self.bias)
        return F.gelu(y) if gelu else y


class InferenceLinear(nn.Module):
    """As `PlainLinear`, to rounding, for many calls with weights that stay as they are.

    On a CPU in float32 oneDNN computes product and GELU at once, from weights that were laid out for it, by the
    operation that compiled code of torch calls. torch's own layers go to MKL, which takes twice as long on processors
    that are not Intel's; they are used where a gradient is wanted.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self._laid_out: Tensor | None = None
        if _HAS_ONEDNN and weight.dtype == torch.float32 and weight.device.type == "cpu":
            with torch.no_grad():
                self._laid_out = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _USUAL_ROWS)

    def forward(self, x: Tensor, gelu: bool = False) -> Tensor:
        if self._laid_out is None or (torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)):
            y = F.linear(x, self.weight, self.bias)
            return F.gelu(y) if gelu else y
        activation, kind = ("gelu", "none") if gelu else ("none", "")
        return torch.ops.mkldnn._linear_pointwise(x, self._laid_out, self.bias, activation, [], kind)


LinearLayer = PlainLinear | InferenceLinear


def for_inference(module: nn.Module) -> None:
    """Put an `InferenceLinear` in the place of every linear layer inside a module."""
    for parent in [*module.modules()]:
        for name, child in parent.named_children():
            if type(child) is nn.Linear:
                setattr(parent, name, InferenceLinear(child.weight, child.bias))
