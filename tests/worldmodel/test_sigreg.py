"""The losses: SIGReg is what its formula says, lowest on Gaussians, and blind to rotation."""

import math
import sys

import pytest
import torch
from rounding import assert_same_up_to_rounding
from torch import Tensor
from worldmodel_fakes import seeded

from worldmodel.learning.losses import alignment, epps_pulley, sigreg, spread_directions

pytestmark = pytest.mark.numerics

sigreg_module = sys.modules["worldmodel.learning.losses.sigreg"]  # the package's attribute of that name is the function


def naive_epps_pulley(x: Tensor) -> Tensor:
    """The definition: trapezoid rule over 17 knots of [0, 3], doubled for the negative half."""
    knots = torch.linspace(0, 3, 17, dtype=x.dtype)
    gaussian = torch.exp(-0.5 * knots**2)
    angles = knots[:, None, None] * x
    gap = (angles.cos().mean(1) - gaussian[:, None]) ** 2 + angles.sin().mean(1) ** 2
    return 2 * torch.trapezoid(gap * gaussian[:, None], knots, dim=0)


@pytest.mark.parametrize(("num", "slices"), [(2, 1), (7, 3), (64, 5), (301, 16)])
def test_value_and_gradient_equal_autograd_of_the_definition(num, slices):
    x = torch.randn(num, slices, dtype=torch.float64, generator=seeded(num)) * 1.7 + 0.2
    upstream = torch.rand(slices, dtype=torch.float64, generator=seeded(1)) + 0.1
    fast, slow = x.clone().requires_grad_(), x.clone().requires_grad_()
    values, expected = epps_pulley(fast), naive_epps_pulley(slow)
    (values @ upstream).backward()
    (expected @ upstream).backward()
    torch.testing.assert_close(values, expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(fast.grad, slow.grad, rtol=1e-10, atol=1e-14)


def _standard(name: str, num: int, dim: int) -> Tensor:
    """Independent columns of variance 1 and mean 0, but for those that are named after what is wrong with them."""
    g = seeded(3)
    normal = torch.randn(num, dim, generator=g)
    uniform = torch.rand(num, dim, generator=g) - 0.5
    laplace = -torch.sign(uniform) * torch.log1p(-2 * uniform.abs()) / math.sqrt(2)
    return {
        "gaussian": normal,
        "uniform": uniform * math.sqrt(12),
        "laplace": laplace,
        "two points": torch.sign(uniform),
        "scaled up": 1.2 * normal,
        "scaled down": 0.8 * normal,
        "shifted": normal + 0.2,
        "one dimension collapsed": normal * torch.tensor([1.0] * (dim - 1) + [0.0]),
        "collapsed": torch.zeros(num, dim),
    }[name]


@pytest.mark.parametrize("dim", [2, 5])
@pytest.mark.parametrize(
    "other",
    ["uniform", "laplace", "two points", "scaled up", "scaled down", "shifted", "one dimension collapsed", "collapsed"],
)
def test_sigreg_is_lowest_on_gaussians(other, dim):
    num, slices = 4000, 32
    gaussian = sigreg(_standard("gaussian", num, dim), slices, seeded())
    assert sigreg(_standard(other, num, dim), slices, seeded()) > 2 * gaussian


def test_sigreg_of_a_gaussian_does_not_grow_with_the_batch():
    """n times a squared gap of order 1/n: its mean over batches is the same for every n, within 5 standard errors."""
    values = {
        num: torch.stack([sigreg(torch.randn(num, 3, generator=seeded(i)), 12, seeded(i)) for i in range(200)])
        for num in (64, 512)
    }
    error = math.sqrt(sum(float(v.var()) / len(v) for v in values.values()))
    assert abs(float(values[64].mean() - values[512].mean())) < 5 * error


@pytest.mark.parametrize("dim", [2, 3])
def test_sigreg_is_rotation_invariant_in_expectation(dim):
    """Over many draws of directions a rotated batch costs the same, within 5 standard errors of the difference."""
    batch = torch.rand(200, dim, generator=seeded(1)) * 3 * torch.arange(1, dim + 1) / dim
    rotation = torch.linalg.qr(torch.randn(dim, dim, generator=seeded(2)))[0]
    plain, rotated = (
        torch.stack([sigreg(x, 4, seeded(s)) for s in seeds])
        for x, seeds in ((batch, range(400)), (batch @ rotation, range(1000, 1400)))
    )
    error = math.sqrt(float(plain.var() + rotated.var()) / 400)
    assert abs(float(plain.mean() - rotated.mean())) < 5 * error
    assert error < 0.02 * float(plain.mean())


@pytest.mark.parametrize(("dim", "slices"), [(2, 7), (3, 8), (5, 5), (6, 4)])
def test_directions_have_unit_norm(dim, slices):
    directions = spread_directions(dim, slices, seeded(), torch.device("cpu"))
    assert directions.shape == (dim, slices)
    torch.testing.assert_close(directions.norm(dim=0), torch.ones(slices))


def test_directions_come_in_orthonormal_blocks():
    dim, num_blocks = 4, 3
    directions = spread_directions(dim, dim * num_blocks, seeded(), torch.device("cpu"))
    for block in directions.split(dim, dim=1):
        assert_same_up_to_rounding(block.T @ block, torch.eye(dim), terms=dim, depth=dim)  # a reflection a column


def test_directions_in_the_plane_are_equally_spaced():
    directions = spread_directions(2, 9, seeded(), torch.device("cpu"))
    cosines = (directions[:, 1:] * directions[:, :-1]).sum(0)
    torch.testing.assert_close(cosines, torch.full((8,), math.cos(math.pi / 9)))


@pytest.mark.parametrize("dim", [2, 3])
def test_directions_are_uniform_on_the_sphere(dim):
    """E[d d^T] = I / dim, and E of the fourth power of a coordinate is 3 / (dim (dim + 2)); error 5 / sqrt(2000)."""
    slices = 3
    drawn = torch.stack(
        [spread_directions(dim, slices, seeded(s), torch.device("cpu"))[:, s % slices] for s in range(2000)]
    )
    error = 5 * 0.5 / math.sqrt(2000)
    torch.testing.assert_close(drawn.T @ drawn / len(drawn), torch.eye(dim) / dim, atol=error, rtol=0)
    fourth = torch.full((dim,), 3 / (dim * (dim + 2)))
    torch.testing.assert_close(drawn.pow(4).mean(0), fourth, atol=error, rtol=0)


def test_alignment_is_half_the_variance_of_a_pair():
    """Two views: each is half the difference away from their mean, so the mean square is |z - z'|^2 / 4."""
    views = torch.randn(2, 5, 3, dtype=torch.float64, generator=seeded())
    torch.testing.assert_close(alignment(views), (views[0] - views[1]).square().mean() / 4)
    assert alignment(views[:1].expand(4, -1, -1)) == 0


def test_alignment_of_several_views_is_their_variance():
    views = torch.randn(4, 5, 3, dtype=torch.float64, generator=seeded())
    torch.testing.assert_close(alignment(views), views.var(0, unbiased=False).mean())


def test_blocks_of_slices_and_knots_at_once_change_nothing(monkeypatch):
    x = torch.randn(37, 11, generator=torch.Generator().manual_seed(4))

    def both() -> tuple[torch.Tensor, torch.Tensor]:
        leaf = x.clone().requires_grad_()
        statistic = epps_pulley(leaf)
        return statistic.detach(), torch.autograd.grad(statistic.square().sum(), leaf)[0]

    whole = both()
    for at_once, expected in zip(sigreg_module._all_knots_at_once(x), sigreg_module._sweep(x), strict=True):
        torch.testing.assert_close(at_once, expected)
    monkeypatch.setattr(sigreg_module, "CACHED_NUMBERS", 3 * 37 + 1)
    for blocked, expected in zip(both(), whole, strict=True):
        torch.testing.assert_close(blocked, expected)
