"""Muon: matrices of weights move by orthogonal matrices (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon).

`torch.optim.Muon` is for matrices alone, and orthogonalises in bfloat16, which on a CPU without such units takes three
times as long as all the rest of a step here.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

# of the quintic x -> a x + b x^3 + c x^5: five passes bring every singular value from [1e-3, 1] to about 1
_QUINTIC = (3.4445, -4.7750, 2.0315)
_PASSES = 5
_MOMENTUM = 0.95
# of AdamW, for what is no matrix
_BETAS = (0.9, 0.999)
_EPS = 1e-8
# a typical step of AdamW, in learning rates: with steps of the same size both take the same rates (arXiv:2502.16982)
_RMS = 0.2
# narrower than this, a matrix is a few vectors: coordinates in, actions in, a few latents out
_NARROW = 8


class Muon(torch.optim.Optimizer):
    """Weights of two axes, both at least 8 wide, by Muon, and all others by AdamW, at one learning rate.

    params: float32 weights, whole (not sharded). lr, weight_decay: as AdamW's.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                change = self._of_matrix if weight.ndim == 2 and min(weight.shape) >= _NARROW else self._of_vector
                direction = change(weight.grad, self.state[weight])
                weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-group["lr"])

    @staticmethod
    def _of_matrix(gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
        """The orthogonal matrix next to the gradient with (Nesterov's) momentum, in AdamW's size."""
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        momentum = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        return orthogonalised(gradient.lerp(momentum, _MOMENTUM)) * (_RMS * max(gradient.shape) ** 0.5)

    @staticmethod
    def _of_vector(gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
        """Adam's direction."""
        if not state:
            state |= {"step": torch.zeros(()), "mean": torch.zeros_like(gradient), "square": torch.zeros_like(gradient)}
        state["step"] += 1
        mean = state["mean"].lerp_(gradient, 1 - _BETAS[0])
        square = state["square"].lerp_(gradient.square(), 1 - _BETAS[1])
        unbiased = [1 - beta ** float(state["step"]) for beta in _BETAS]
        return (mean / unbiased[0]) / ((square / unbiased[1]).sqrt() + _EPS)


def orthogonalised(matrix: Tensor) -> Tensor:
    """U V^T of the matrix U S V^T (m, n), nearly: singular values between .7 and 1.2 where they were not tiny."""
    a, b, c = _QUINTIC
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / wide.norm().clamp_min(1e-7)
    for _ in range(_PASSES):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T
