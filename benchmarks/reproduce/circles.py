"""Angles as circles: wrapped joints recovered without a ceiling.

An image shows an angle modulo 2 pi, so a latent on a line is right up to a ceiling only. On the torus, with angles
uniform and moving by Gaussian steps, cosine and sine of every angle are the functions on which two views agree best
(exp(-step^2 / 2); products and double angles less), as the linear ones are under the Gaussian. So two latents a circle,
with a torus as the target in place of N(0, I), recover every angle up to its zero and its direction.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.reproduce.definitions import VALIDATION, Cell, Condition, Table
from benchmarks.reproduce.pixels import PixelRun, Pixels, Reader, Scenes, fit_readout, open_scenes, train_objective
from benchmarks.reproduce.reacher_ou import JOINTS
from benchmarks.settings import ReproduceConfig
from worldmodel.data import nearest_poses
from worldmodel.learning import LeJEPA, SIGRegWeight, Views, alignment, torus_sigreg
from worldmodel.measures import affine_apply, affine_fit, r2
from worldmodel.settings import KinematicConfig

STEP_RAD = 0.35
# standard deviation of a Gaussian angle that is nearly uniform on the circle: exp(-scale^2 / 2) is .01
_UNIFORM_SCALE_RAD = 3.0
_kept: dict[str, Pixels] = {}  # world -> its recording


class TorusLeJEPA(nn.Module):
    """(1 - lambda) alignment + lambda SIGReg towards uniform circles."""

    def __init__(self, weight: SIGRegWeight, num_slices: int) -> None:
        super().__init__()
        self.weight, self.num_slices = weight, num_slices

    def forward(self, views: Views) -> dict[str, Tensor]:
        weight = self.weight(views.progress)
        align = alignment(views.latents)
        spread = torus_sigreg(views.latents.flatten(0, 1), self.num_slices, views.generator)
        return {"loss": (1 - weight) * align + weight * spread, "alignment": align, "sigreg": spread}


class CirclePairs:
    """Pairs of poses whose angles differ by independent Gaussian steps, from an atlas of poses uniform on the torus."""

    def __init__(
        self, angles: np.ndarray, rows: np.ndarray, step_rad: float, seed: int, num_pairs: int = 200_000
    ) -> None:
        """angles (poses, Z) in radians; rows int64 (poses,) of the data set."""
        rng = np.random.default_rng(seed)
        first = rng.uniform(0, 2 * math.pi, (num_pairs, angles.shape[1]))
        second = first + step_rad * rng.standard_normal(first.shape)
        self._pairs = torch.from_numpy(rows[nearest_poses(angles, np.stack([first, second]), 2 * math.pi)])

    def sample(self, num_pairs: int, generator: torch.Generator) -> Tensor:
        """int64 (2, num_pairs)."""
        return self._pairs[:, torch.randint(self._pairs.shape[1], (num_pairs,), generator=generator)]


def _open(request: ReproduceConfig) -> Pixels:
    scenes = Scenes(
        name="reacher_circle",
        world=request.world or "reacher",
        names=JOINTS,
        episodes=request.pick(8_000, 60_000),
        episode_steps=1,
        policy={"name": "uniform", "hold_steps": 1},
        kinematic=KinematicConfig(dict.fromkeys(JOINTS, _UNIFORM_SCALE_RAD), rho=0.5),
    )
    if scenes.world not in _kept:
        _kept[scenes.world] = open_scenes(scenes, request)
    return _kept[scenes.world]


def _measure(cell: Cell) -> dict[str, float]:
    settings, pixels = cell.settings, _open(cell.request)

    def pairs_of(split: str) -> CirclePairs:
        rows = pixels.split(split).rows()
        return CirclePairs(pixels.z[rows], rows, STEP_RAD, cell.seed)

    run = PixelRun(latent_dim=settings["latent_dim"], **settings["run"])
    unit = 1 - math.exp(-(STEP_RAD**2) / 2)
    weight = SIGRegWeight(run.sigreg_start, settings["sigreg_end"], unit)
    objective = (TorusLeJEPA if settings["target"] == "torus" else LeJEPA)(weight, 32)
    encoder = train_objective(run, pixels, pairs_of("train"), objective, cell)
    plain = Reader(encoder)
    figures = {VALIDATION: _recovery(plain, pixels, "validation")["r2_circle"], **_recovery(plain, pixels, "test")}
    if cell.request.polish:
        polished = Reader(encoder, fit_readout(encoder, pixels, pairs_of, run.latent_dim, cell.seed))
        figures |= {f"{name}_polished": value for name, value in _recovery(polished, pixels, "test").items()}
    if settings["target"] == "torus":
        figures["own_angle_error_deg"] = own_angle_error_deg(
            plain(pixels, pixels.rows("test")), pixels.z[pixels.rows("test")]
        )
    return figures


def _recovery(read: Reader, pixels: Pixels, split: str) -> dict[str, float]:
    """R2 of the angle itself and of its cosine and sine, both read linearly; median error of the angle they give."""
    fit, held_out = pixels.rows("train"), pixels.rows(split)
    wrapped_fit, wrapped = (_wrap(pixels.z[rows]) for rows in (fit, held_out))
    h_fit, h = read(pixels, fit), read(pixels, held_out)
    line = r2(wrapped, affine_apply(affine_fit(h_fit, wrapped_fit), h))
    circle = affine_apply(affine_fit(h_fit, _circle(wrapped_fit)), h)
    num = wrapped.shape[1]
    error = np.abs(_wrap(np.arctan2(circle[:, num:], circle[:, :num]) - wrapped))
    return {
        "r2_angle": float(line.mean()),
        "r2_circle": float(r2(_circle(wrapped), circle).mean()),
        "median_error_deg": float(np.degrees(np.median(error))),
    }


def own_angle_error_deg(latents: np.ndarray, angles: np.ndarray) -> float:
    """Median error of the angles that pairs of latents (n, 2 Z) show by themselves, no linear map fitted.

    Only a zero and a direction for every circle, and which circle is which joint, are matched.
    """
    own = np.arctan2(latents[:, 1::2], latents[:, ::2])
    errors = np.empty((own.shape[1], angles.shape[1]))
    for i, j in np.ndindex(*errors.shape):
        residuals = []
        for sense in (1, -1):
            gap = sense * own[:, i] - angles[:, j]
            zero = np.angle(np.exp(1j * gap).mean())
            residuals.append(float(np.median(np.abs(_wrap(gap - zero)))))
        errors[i, j] = min(residuals)
    best = errors.min(0) if len(errors) != 2 else min((errors.diagonal(), errors[::-1].diagonal()), key=np.sum)
    return float(np.degrees(np.mean(best)))


def _wrap(angles: np.ndarray) -> np.ndarray:
    return (angles + math.pi) % (2 * math.pi) - math.pi


def _circle(angles: np.ndarray) -> np.ndarray:
    return np.concatenate([np.cos(angles), np.sin(angles)], 1)


def _conditions(request: ReproduceConfig) -> list[Condition]:
    run = {"steps": request.pick(1200, 20_000)}
    candidates = ({"sigreg_end": 0.3}, {"sigreg_end": 0.1})
    choices = (("gaussian", 2), ("gaussian", 4), ("torus", 4))
    return [
        Condition(f"{target}-{dim}-latents", {"target": target, "latent_dim": dim, "run": run}, candidates)
        for target, dim in choices
    ]


TABLE = Table(
    name="circles",
    title="Angles as circles: reacher's joints uniform on the torus, from pixels",
    measures={
        "r2_circle": "R2 of cos, sin",
        "r2_circle_polished": "R2 of cos, sin, polished",
        "median_error_deg_polished": "median error, degrees",
        "own_angle_error_deg": "error, latents' own angle",
        "r2_angle": "R2 of the angle itself",
    },
    conditions=_conditions,
    measure=_measure,
    num_drawn=3,
    tuned_on="torus-4-latents",
    note="own angle: atan2 of two latents, only zero and sense matched; the angle itself has a jump no latent follows",
)
