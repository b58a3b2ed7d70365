"""Muon: weight matrices move by orthogonal matrices (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon).

`torch.optim.Muon` takes matrices only and orthogonalises in bfloat16, which on a CPU without bfloat16 units takes three
times as long as the rest of a training step.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients (a, b, c) of x -> a x + b x^3 + c x^5, which brings singular values closer to 1."""
_PASSES = 5
"""How often it is applied; five times bring every singular value in [1e-3, 1] to about 1."""
_MOMENTUM = 0.95
_BETAS = (0.9, 0.999)
"""AdamW's decay rates, for weights that are not matrices."""
_EPS = 1e-8
_RMS = 0.2
"""Root mean square of a step, in learning rates: that of AdamW, so that both take the same rates (arXiv:2502.16982)."""
_NARROW = 8
"""A matrix with a side shorter than this is a few vectors (coordinates or actions in, a few latents out)."""


class Muon(torch.optim.Optimizer):
    """Muon for matrices of at least 8 x 8 weights, AdamW for all other weights, at one learning rate."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, weight_decay: float) -> None:
        """params: float32 weights, not sharded. lr, weight_decay: as in AdamW."""
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Take one step with every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                change = self._of_matrix if weight.ndim == 2 and min(weight.shape) >= _NARROW else self._of_vector
                direction = change(weight.grad, self.state[weight])
                weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-group["lr"])

    @staticmethod
    def _of_matrix(gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
        """The orthogonal matrix nearest to the gradient with Nesterov momentum, scaled to the size of AdamW's steps."""
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        momentum = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        return orthogonalised(gradient.lerp(momentum, _MOMENTUM)) * (_RMS * max(gradient.shape) ** 0.5)

    @staticmethod
    def _of_vector(gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
        """The direction of Adam."""
        if not state:
            state |= {"step": torch.zeros(()), "mean": torch.zeros_like(gradient), "square": torch.zeros_like(gradient)}
        state["step"] += 1
        mean = state["mean"].lerp_(gradient, 1 - _BETAS[0])
        square = state["square"].lerp_(gradient.square(), 1 - _BETAS[1])
        unbiased = [1 - beta ** float(state["step"]) for beta in _BETAS]
        return (mean / unbiased[0]) / ((square / unbiased[1]).sqrt() + _EPS)


def orthogonalised(matrix: Tensor) -> Tensor:
    """Approximately U V^T of the matrix U S V^T (m, n): singular values between .7 and 1.2, except tiny ones."""
    a, b, c = _QUINTIC
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / wide.norm().clamp_min(1e-7)
    for _ in range(_PASSES):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T
