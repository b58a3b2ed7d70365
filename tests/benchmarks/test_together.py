"""Many trainings at once: each is what it would be alone; batches on a device are those of the worlds."""

import copy
import math
import signal
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from rounding import assert_same_up_to_rounding

from benchmarks.reproduce import pixels_together
from benchmarks.reproduce.definitions import Cell
from benchmarks.reproduce.pixels_together import OUViews, PoseGrid
from benchmarks.reproduce.synthetic import MIXINGS, coupling_weights, latents, make_mixing
from benchmarks.reproduce.together import SIGRegWeights, lejepa_each, train_together
from benchmarks.reproduce.vectors import FourierMLP, VectorRun
from benchmarks.reproduce.vectors_together import DrawEach, generalised_normal, measure_runs, mix_each
from benchmarks.settings import ReproduceConfig
from worldmodel.settings import OptimConfig
from worldmodel.system.interrupts import Terminated

CPU = torch.device("cpu")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


NUM, STEPS = 3, 5
BATCHES = 3 * torch.randn(STEPS, NUM, 2, 16, 2, generator=seeded(1), dtype=torch.float64)


def networks_of_the_test() -> list[FourierMLP]:
    torch.manual_seed(0)
    return [FourierMLP(2, 2, num_frequencies=4, hidden=8, depth=2) for _ in range(NUM)]


def cells_in(folder: Path, num: int = NUM) -> list[Cell]:
    return [Cell({}, index, folder / f"cell{index}", ReproduceConfig()) for index in range(num)]


@pytest.mark.numerics
def test_side_by_side_is_as_if_alone(tmp_path):
    """Weights, batches, BatchNorm, clipping and AdamW are each network's own.

    In double precision: the gradient of a bias before BatchNorm is rounding, which AdamW would make whole steps of.
    """
    networks, strengths = [network.double() for network in networks_of_the_test()], [0.01, 0.1, 0.5]

    def train(chosen: list[int]) -> list[torch.Tensor]:
        own = [copy.deepcopy(networks[index]) for index in chosen]
        weights = SIGRegWeights([strengths[i] for i in chosen], [strengths[i] for i in chosen], [1.0] * len(own), CPU)
        drawn = iter(BATCHES[:, chosen])

        def loss(latents: torch.Tensor, progress: float, generator: torch.Generator) -> torch.Tensor:
            return lejepa_each(latents, weights(progress), 4, seeded(7))  # the same slices in every training

        cells, optim = cells_in(tmp_path, len(own)), OptimConfig(STEPS, 16)
        train_together(cells, own, lambda generator: next(drawn), loss, optim, grad_clip=0.01)
        return [network(probe).detach() for network in own]  # in evaluation mode

    probe = torch.randn(50, 2, generator=seeded(2), dtype=torch.float64)
    together = train([0, 1, 2])
    for index, found in enumerate(together):
        alone = train([index])[0]  # the loss itself is of single precision
        assert_same_up_to_rounding(found.float(), alone.float(), terms=2 * 16, depth=STEPS)
        assert all((found - other).abs().max() > 0.01 for other in (*together[:index], networks[index](probe)))


def test_a_training_that_was_cut_off_goes_on_to_the_bit(tmp_path):
    def train(folder: Path, cut_after: int | None = None) -> list[FourierMLP]:
        networks, drawn = networks_of_the_test(), []

        def draw(generator: torch.Generator) -> torch.Tensor:
            drawn.append(1)
            if len(drawn) == cut_after:
                signal.raise_signal(signal.SIGTERM)
            return torch.randn(NUM, 2, 16, 2, generator=generator)

        def loss(latents: torch.Tensor, progress: float, generator: torch.Generator) -> torch.Tensor:
            return lejepa_each(latents, torch.full((NUM,), 0.1), 4, generator)

        train_together(cells_in(folder), networks, draw, loss, OptimConfig(STEPS, 16))
        assert len(drawn) == STEPS - (2 if folder.name == "cut" else 0)
        return networks

    with pytest.raises(Terminated):
        train(tmp_path / "cut", cut_after=2)
    for whole, resumed in zip(train(tmp_path / "whole"), train(tmp_path / "cut"), strict=True):
        for name, value in whole.state_dict().items():
            assert torch.equal(value, resumed.state_dict()[name]), name
    assert not list((tmp_path / "cut").iterdir())


@pytest.mark.numerics
@pytest.mark.parametrize("name", MIXINGS)
def test_mixings_on_a_device_are_those_of_the_worlds(name):
    seeds, num_layers = (0, 5), 3
    z = latents(np.random.default_rng(1), 40, 2).reshape(2, 20, 2)
    weights = torch.stack([torch.from_numpy(coupling_weights(2, num_layers, seed)) for seed in seeds])
    mixed = mix_each(name, torch.from_numpy(z), weights).numpy()
    for own, seed, got in zip(z, seeds, mixed, strict=True):
        expected = torch.from_numpy(make_mixing(name, 2, num_layers, seed).mix(own))
        # roundings grow twelvefold: a spiral turns by pi a unit of length, a coupling layer doubles what is before it
        assert_same_up_to_rounding(torch.from_numpy(got), expected, terms=2, depth=12)


def test_generalised_normal_latents_have_unit_variance_and_their_kurtosis():
    alphas, num = [0.5, 1.0, 2.0, 8.0], 200_000
    z = generalised_normal((len(alphas), num), alphas, seeded(2)).double()
    expected = [math.gamma(5 / a) * math.gamma(1 / a) / math.gamma(3 / a) ** 2 for a in alphas]
    np.testing.assert_allclose(z[1:].square().mean(1), 1, atol=0.02)
    np.testing.assert_allclose(z[1:].pow(4).mean(1), expected[1:], rtol=0.06)
    assert abs(z[0].square().mean() - 1) < 0.1  # kurtosis 25


def test_any_two_views_of_a_parent_correlate_as_the_run_says():
    runs = [VectorRun("sinusoid", rho=rho, num_views=3, batch_size=20_000) for rho in (0.5, 0.9)]
    seen = DrawEach(runs, [0, 1], CPU)(seeded(3))[..., 1]  # the second latent, which the sinusoid leaves as it is
    assert seen.shape == (2, 3, 20_000)
    for views, rho in zip(seen, (0.5, 0.9), strict=True):
        for first, second in combinations(views, 2):
            assert float((first * second).mean()) == pytest.approx(rho**2, abs=0.04)


def test_measured_together_as_alone(tmp_path):
    """Figures come in the order of the cells, and losses of all three kinds train."""
    settings = {"mixing": "sinusoid", "steps": 40, "batch_size": 128}
    request = ReproduceConfig(device="cpu", polish=False)
    losses = ("lejepa", "whitening", "infonce")
    cells = [Cell({**settings, "loss": loss}, seed, tmp_path / loss, request) for loss in losses for seed in (0, 1)]
    figures = list(measure_runs(cells))
    assert len(figures) == len(cells)
    assert all(0.5 < found["r2_h_to_z"] < 1 and found["train_s"] > 0 for found in figures)


class _Atlas:
    """Poses on a coarse grid of angles; a frame of one holds its row number."""

    def __init__(self) -> None:
        axis = np.linspace(-math.pi, math.pi, 40, endpoint=False)
        self.z = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
        self.frames = self

    def split(self, name: str) -> "_Atlas":
        assert name == "train"
        return self

    def rows(self) -> np.ndarray:
        return np.arange(len(self.z))

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        return rows


def test_poses_are_looked_up_on_the_circle(monkeypatch):
    monkeypatch.setattr(pixels_together, "NUM_GRID", 400)
    atlas = _Atlas()
    angles = 6 * torch.randn(500, 2, generator=seeded(4))
    found = atlas.z[PoseGrid(atlas.z, atlas.rows(), CPU)(angles).numpy()]
    gap = (found - angles.numpy() + math.pi) % (2 * math.pi) - math.pi
    assert np.abs(gap).max() <= math.pi / 40 + math.pi / 400 + 1e-6  # half a spacing of the atlas, and of the grid


def test_ou_views_have_the_scale_and_the_autocorrelations_of_their_run(monkeypatch):
    monkeypatch.setattr(pixels_together, "NUM_GRID", 100)
    rhos = [[0.5], [0.9, 0.3]]
    views = OUViews(_Atlas(), [1.0, 0.5], rhos, (3, 40_000), CPU)  # pyright: ignore[reportArgumentType]
    angles = views.angles(seeded(5))
    assert views(seeded(5)).shape == (2, 3, 40_000)
    for own, scale, several in zip(angles, (1.0, 0.5), rhos, strict=True):
        assert float(own.std()) == pytest.approx(scale, rel=0.02)
        for i, j in ((0, 1), (0, 2), (1, 2)):
            correlation = float((own[i] * own[j]).mean()) / scale**2
            assert correlation == pytest.approx(np.mean(several), abs=0.03)
