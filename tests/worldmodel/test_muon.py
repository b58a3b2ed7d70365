"""Muon: matrices move by orthogonal matrices, the rest by AdamW, and a resumed run is as one never stopped."""

from pathlib import Path

import pytest
import torch
from rounding import assert_same_up_to_rounding
from torch import Tensor, nn
from worldmodel_fakes import seeded

from worldmodel.learning.loop import Stage, Trainer
from worldmodel.learning.muon import Muon, orthogonalised
from worldmodel.runs.run_directory import RunDirectory
from worldmodel.settings import PredictorOptim

pytestmark = pytest.mark.numerics

LR, DECAY = 0.02, 0.3
PRODUCTS = 15  # three in each of five steps


def spread_of(shape: tuple[int, int], lowest: float) -> Tensor:
    """A matrix whose singular values reach evenly (in their logarithm) from `lowest` to 1."""
    u, _, v = torch.linalg.svd(torch.randn(shape, generator=seeded()), full_matrices=False)
    values = torch.logspace(torch.tensor(lowest).log10().item(), 0, min(shape))
    return (u * values) @ v


@pytest.mark.parametrize("shape", [(9, 14), (14, 9), (11, 11)])
def test_singular_values_become_one_and_singular_vectors_stay(shape: tuple[int, int]):
    matrix = 7.0 * spread_of(shape, 0.05)
    found = orthogonalised(matrix)
    assert torch.linalg.svdvals(found).sub(0.95).abs().max() < 0.3  # the quintic's own bounds, .7 to 1.2
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    inner = u.T @ found @ v.T
    # where the quintic takes a small singular value to 1, it takes what is rounded beside it along
    assert_same_up_to_rounding(inner, inner.diagonal().diag(), terms=max(shape), depth=PRODUCTS, size=1 / 0.05)


def test_a_step_does_not_depend_on_the_size_of_the_gradient():
    matrix = spread_of((9, 14), 0.05)
    small, large = orthogonalised(1e-3 * matrix), orthogonalised(1e3 * matrix)
    assert_same_up_to_rounding(small, large, terms=14, depth=PRODUCTS)
    assert torch.equal(orthogonalised(torch.zeros(9, 14)), torch.zeros(9, 14))


def test_a_matrix_moves_as_far_as_adamw_would_move_it():
    """Root mean square of the change .2 lr, whatever the shape: what AdamW's steps typically have."""
    weight = nn.Parameter(torch.zeros(16, 40))
    weight.grad = torch.randn(16, 40, generator=seeded())
    Muon([weight], LR, 0.0).step()
    assert float(weight.detach().square().mean().sqrt()) == pytest.approx(0.2 * LR, rel=0.15)


def test_what_is_no_matrix_moves_as_by_adamw():
    """Vectors, kernels, and matrices too narrow to be more than a few vectors."""
    torch.manual_seed(0)
    ours = nn.ModuleList([nn.LayerNorm(5), nn.Conv2d(3, 9, 3), nn.Linear(7, 30), nn.Linear(30, 3)])
    theirs = nn.ModuleList([nn.LayerNorm(5), nn.Conv2d(3, 9, 3), nn.Linear(7, 30), nn.Linear(30, 3)])
    theirs.load_state_dict(ours.state_dict())
    muon, adamw = Muon(ours.parameters(), LR, DECAY), torch.optim.AdamW(theirs.parameters(), LR, weight_decay=DECAY)
    for step in range(4):
        for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            own.grad = torch.randn(own.shape, generator=seeded(step))
            other.grad = own.grad.clone()
        muon.step()
        adamw.step()
    for own, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(own, other)


def test_interrupted_and_resumed_is_as_never_interrupted(tmp_path: Path):
    x, y = torch.randn(90, 9, generator=seeded(1)), torch.randn(90, 12, generator=seeded(2))

    def train(path: Path, stop: int | None = None) -> nn.Module:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(9, 16), nn.GELU(), nn.Linear(16, 12))

        def loss(progress: float, generator: torch.Generator) -> dict[str, Tensor]:
            if round(progress * 20) == stop:
                raise KeyboardInterrupt
            rows = torch.randint(90, (16,), generator=generator)
            return {"loss": (model(x[rows]) - y[rows]).square().mean()}

        stage = Stage("only", model, loss, PredictorOptim(steps=20, batch_size=16, lr=LR, optimizer="muon"))
        Trainer(RunDirectory(path), model, {stage.name: {}}, 3, checkpoint_every_s=0.0).fit(stage)
        return model

    whole = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", stop=11)
    for own, other in zip(train(tmp_path / "cut").parameters(), whole.parameters(), strict=True):
        assert torch.equal(own, other)
    losses = [line["loss"] for line in RunDirectory(tmp_path / "whole").read_metrics()]
    assert losses[-1] < 0.9 * losses[0]
