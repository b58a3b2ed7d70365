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
_USUAL_ROWS = 64  # rows of an input for which the layout of the weights is chosen; any number can be computed


@dataclass(frozen=True)
class PlainLinear:
    """A linear layer, and GELU after it where asked for: (…, inputs) -> (…, units)."""

    weight: Tensor
    """(units, inputs)."""
    bias: Tensor | None = None
    """(units,)."""
    gelu: bool = False
    """Whether GELU follows."""

    def __call__(self, x: Tensor, offset: Tensor | None = None) -> Tensor:
        """offset: added before GELU in place of a bias, (…, units) or (1, …, units) for all rows."""
        y = F.linear(x, self.weight, self.bias)
        if offset is not None:
            y = y + offset
        return F.gelu(y) if self.gelu else y


class InferenceLinear(nn.Module):
    """As `PlainLinear`, to rounding, for many calls with weights that stay as they are.

    On a CPU in float32 oneDNN computes product and GELU at once, from weights that were laid out for it, by the
    operation that compiled code of torch calls. torch's own layers go to MKL, which takes twice as long on processors
    that are not Intel's. They are used for a single row, which MKL multiplies in half the time that a call of oneDNN
    takes, and where a gradient is wanted.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, gelu: bool = False) -> None:
        super().__init__()
        self.weight, self.bias, self.gelu = weight, bias, gelu
        self._laid_out: Tensor | None = None
        if _HAS_ONEDNN and weight.dtype == torch.float32 and weight.device.type == "cpu":
            with torch.no_grad():
                self._laid_out = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), _USUAL_ROWS)

    def __call__(self, x: Tensor, offset: Tensor | None = None) -> Tensor:
        # not `forward`: the way there through torch's `__call__`, with its hooks, takes longer than an addition
        if offset is None:
            return self._layer(x, self.bias, self.gelu)
        if offset.numel() == len(self.weight):
            return self._layer(x, offset.flatten(), self.gelu)
        y = self._layer(x, None, False) + offset
        return F.gelu(y) if self.gelu else y

    def _layer(self, x: Tensor, bias: Tensor | None, gelu: bool) -> Tensor:
        one_row = x.numel() == x.shape[-1]
        if self._laid_out is None or one_row or (torch.is_grad_enabled() and _any_gradient(x, self.weight, bias)):
            y = F.linear(x, self.weight, bias)
            return F.gelu(y) if gelu else y
        activation, kind = ("gelu", "none") if gelu else ("none", "")
        return torch.ops.mkldnn._linear_pointwise.default(x, self._laid_out, bias, activation, [], kind)


def _any_gradient(*tensors: Tensor | None) -> bool:
    return any(tensor is not None and tensor.requires_grad for tensor in tensors)


LinearLayer = PlainLinear | InferenceLinear


def for_inference(module: nn.Module) -> None:
    """Put an `InferenceLinear` in the place of every linear layer inside a module, and of the GELU that follows it."""
    for parent in [*module.modules()]:
        children = [child for child in parent.named_children() if not isinstance(child[1], nn.Identity)]
        for (name, layer), (next_name, following) in zip(children, [*children[1:], ("", None)], strict=False):
            if type(layer) is nn.Linear:
                gelu = isinstance(parent, nn.Sequential) and _is_gelu(following)
                setattr(parent, name, InferenceLinear(layer.weight, layer.bias, gelu))
                if gelu:
                    setattr(parent, next_name, nn.Identity())


def _is_gelu(module: nn.Module | None) -> bool:
    return isinstance(module, nn.GELU) and module.approximate == "none"
