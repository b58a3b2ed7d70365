"""Reacher's joint angles from pixels, poses by an exact OU process, seven rhos (arXiv:2605.26379, Section 5)."""

import functools

import numpy as np

from worldmodel.data.pairs import OUPairs
from worldmodel.identifiability import aligned_angle_r2, r2, unwrapped_mean
from worldmodel.reproduce.core import Cell, Condition, Request, Table
from worldmodel.reproduce.pixels import PixelRun, Pixels, Scenes, figures_of, open_scenes, train_encoder

JOINTS = ("shoulder", "wrist")
RHOS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
SCALES_RAD = (1.0, 0.7)
LAMBDAS = ({"sigreg_end": 0.3}, {"sigreg_end": 0.1})
NUM_VIEWS = 4  # of one state, any two of them an exact pair: less noise at the price of as many frames
NUM_GROUPS = 200_000


def atlas(scale_rad: float, request: Request) -> Scenes:
    """Poses with angles N(0, scale^2 I), two an episode: any rho can be looked up in it."""
    return Scenes(
        name=f"reacher_poses_{scale_rad:g}",
        world=request.world or "reacher",
        names=JOINTS,
        episodes=request.pick(15_000, 100_000),
        episode_steps=1,
        policy={"name": "uniform", "hold_steps": 1},
        kinematic={"latents": dict.fromkeys(JOINTS, scale_rad), "rho": 0.95},
    )


@functools.lru_cache(maxsize=2)
def open_atlas(scale_rad: float, request: Request) -> Pixels:
    return open_scenes(atlas(scale_rad, request), request)


def atlas_pairs(pixels: Pixels, scale_rad: float, rho: float, seed: int, split: str = "train") -> OUPairs:
    """Exact OU pairs over the poses of a split."""
    rows = pixels.split(split).rows()[:, None]
    latents = pixels.z[rows[:, 0]] / scale_rad
    return OUPairs(latents, rows, rho, num_pairs=NUM_GROUPS, seed=seed, num_views=NUM_VIEWS)


def _conditions(request: Request) -> list[Condition]:
    return [
        Condition(
            f"s={scale:g}-rho={rho:g}",
            {"scale_rad": scale, "rho": rho, "run": {"steps": request.pick(800, 20_000)}},
            LAMBDAS,
            series=f"s = {scale:g} rad",
            x=rho,
        )
        for scale in SCALES_RAD
        for rho in request.rhos or RHOS
    ]


def _measure(cell: Cell) -> dict[str, float]:
    settings = cell.settings
    scale, rho = settings["scale_rad"], settings["rho"]
    pixels = open_atlas(scale, cell.request)
    pairs_of = functools.partial(atlas_pairs, pixels, scale, rho, cell.seed)
    run = PixelRun(sigreg_end=settings["sigreg_end"], **settings["run"])
    encoder = train_encoder(run, pixels, pairs_of("train"), rho, cell)
    figures = figures_of(encoder, pixels, pairs_of, cell)
    ceiling = angle_ceiling(pixels, scale)
    shares = {f"share_{name}": figures[name] / ceiling for name in figures if name.startswith("r2_h_to_z")}
    return figures | shares | {"ceiling": ceiling}


def angle_ceiling(pixels: Pixels, scale_rad: float) -> float:
    """R2 on the test poses of the best reading any encoder can give: an image shows an angle modulo 2 pi."""
    angles = pixels.z[pixels.rows("test")]
    return float(np.mean(r2(angles, unwrapped_mean(angles, scale_rad))))


def _known(condition: Condition) -> dict[str, float]:
    """What the best-aligned latents of wrapped angles reach, with no error of learning at all."""
    return {"aligned_optimum": aligned_angle_r2(condition.settings["scale_rad"], condition.settings["rho"])}


TABLE = Table(
    name="reacher_ou",
    title="Reacher angles from pixels, exact OU pairs",
    measures={
        "r2_h_to_z": "R2 h->z",
        "r2_z_to_h": "R2 z->h",
        "r2_h_to_z_polished": "R2 h->z, polished",
        "share_r2_h_to_z": "share of ceiling",
        "share_r2_h_to_z_polished": "share, polished",
        "aligned_optimum": "alignment's own optimum",
    },
    conditions=_conditions,
    measure=_measure,
    known=_known,
    num_drawn=3,
    tuned_on="s=0.7-rho=0.9",
    x_label="autocorrelation rho",
    note="angles N(0, s^2) rad; at s = 1 they wrap, and no reading can exceed a ceiling near .95 (of these test poses)",
)
