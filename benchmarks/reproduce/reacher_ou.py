"""Reacher's joint angles from pixels, poses by an exact OU process, seven rhos (arXiv:2605.26379, Section 5)."""

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.reproduce.definitions import Cell, Condition, Table
from benchmarks.reproduce.pixels import PixelRun, Pixels, Scenes, figures_of, open_scenes, train_encoder
from benchmarks.reproduce.pixels_together import train_encoders
from benchmarks.settings import ReproduceConfig
from worldmodel.data import OUPairs
from worldmodel.measures import aligned_angle_r2, r2, unwrapped_mean
from worldmodel.settings import KinematicConfig
from worldmodel.system import pick_device

JOINTS = ("shoulder", "wrist")
RHOS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
SCALES_RAD = (1.0, 0.7)
LAMBDAS = ({"sigreg_end": 0.3}, {"sigreg_end": 0.1})
LONG_LAMBDAS = (*LAMBDAS, {"sigreg_end": 0.03})  # SIGReg grows with the batch, which is twice as large at full scale
NUM_VIEWS = 4  # views of one state, any two of them an exact pair: less noise from as many frames
NUM_GROUPS = 200_000
# spread of the atlas where angles wrap and pairs are close: one of N(0, 1) has so few poses near the turn that both
# ends of a pair are often the same
WIDE_ATLAS_RAD, CLOSE_RHO = 1.6, 0.9
# autocorrelations of the further lags of one process that steady a slow one
LAGGED_RHOS = (0.9, 0.7)
QUICK_RUN = {"steps": 800}
# near the turn, where poses are rare, the best-aligned function of a wrapped angle bends: that takes longest to learn
LONGER_RUN, LONGER_RHO = {"steps": 4_800}, 0.7
# at 16 x 16 the thin arm moves up to a sixth of a radian within one row of pixels without a trace
FULL_RUN = {"steps": 8_000, "input_size": 32, "hidden": 512, "num_frames": 1024}


def atlas(scale_rad: float, request: ReproduceConfig) -> Scenes:
    """Poses with angles N(0, scale^2 I), two an episode: any rho can be looked up in it.

    At full scale frames are averaged from 128 x 128 pixels, and the widest atlas, which alone is thin, is larger.
    """
    return Scenes(
        name=f"reacher_poses_{scale_rad:g}{request.pick('', '_fine')}",
        world=request.world or "reacher",
        names=JOINTS,
        episodes=request.pick(15_000, 30_000) if scale_rad >= WIDE_ATLAS_RAD else 15_000,
        episode_steps=1,
        policy={"name": "uniform", "hold_steps": 1},
        kinematic=KinematicConfig(dict.fromkeys(JOINTS, scale_rad), rho=0.95),
        supersample=request.pick(1, 2),
    )


@functools.lru_cache(maxsize=2)
def open_atlas(scale_rad: float, request: ReproduceConfig, input_size: int = 16) -> Pixels:
    """The atlas, recorded where it is missing, with frames of `input_size` pixels a side."""
    return open_scenes(atlas(scale_rad, request), request, input_size)


def atlas_pairs(
    pixels: Pixels,
    scale_rad: float,
    rho: float | Sequence[float],
    seed: int,
    split: str = "train",
    *,
    wrapped: bool = False,
) -> OUPairs:
    """Exact OU pairs over the poses of a split, looked up on the circle if `wrapped`."""
    rows = pixels.split(split).rows()[:, None]
    latents = pixels.z[rows[:, 0]] / scale_rad
    period = 2 * math.pi / scale_rad if wrapped else None
    return OUPairs(latents, rows, rho, num_pairs=NUM_GROUPS, seed=seed, num_views=NUM_VIEWS, period=period)


def _conditions(request: ReproduceConfig) -> list[Condition]:
    conditions = []
    run, lambdas = request.pick((QUICK_RUN, LAMBDAS), (FULL_RUN, LONG_LAMBDAS))
    for scale in SCALES_RAD:
        for rho in request.rhos or RHOS:
            key, series = f"s={scale:g}-rho={rho:g}", f"s = {scale:g} rad"
            wide = {"atlas_rad": WIDE_ATLAS_RAD} if scale >= 1 and rho >= request.pick(CLOSE_RHO, 0) else {}
            settings = {"scale_rad": scale, "rho": rho, **wide, "run": run}
            conditions.append(Condition(key, settings, lambdas, series=series, x=rho))
            if wide and rho > request.pick(LAGGED_RHOS[0], LAGGED_RHOS[1]):
                lagged = {**settings, "lags": lags(rho)}
                conditions.append(Condition(f"{key}-lags", lagged, lambdas, series=f"{series}, several lags", x=rho))
    return conditions + (_longer() if request.rows and not request.full else [])


def _longer() -> list[Condition]:
    """Angles that wrap, trained six times as long; close pairs with further lags."""
    settings = {"scale_rad": 1.0, "atlas_rad": WIDE_ATLAS_RAD, "run": LONGER_RUN}
    return [
        Condition(
            f"s=1-rho={rho:g}-longer",
            {**settings, "rho": rho, **({"lags": lags(rho)} if rho >= CLOSE_RHO else {})},
            LAMBDAS,
            series="s = 1 rad, longer",
            x=rho,
        )
        for rho in RHOS
        if rho >= LONGER_RHO
    ]


def lags(rho: float) -> list[int]:
    """Steps of an OU process with autocorrelation `rho` after which it is about `LAGGED_RHOS`, and one step."""
    return sorted({1, *(max(1, round(math.log(lagged) / math.log(rho))) for lagged in LAGGED_RHOS)})


def _rhos(settings: Mapping[str, Any]) -> float | list[float]:
    rho = settings["rho"]
    return [rho**lag for lag in settings["lags"]] if "lags" in settings else rho


def _measure(cell: Cell) -> dict[str, float]:
    settings, rho = cell.settings, _rhos(cell.settings)
    scale = settings["scale_rad"]
    run = PixelRun(sigreg_end=settings["sigreg_end"], **settings["run"])
    pixels = open_atlas(scale, cell.request, run.input_size)
    seen = open_atlas(settings.get("atlas_rad", scale), cell.request, run.input_size)
    wrapped = "atlas_rad" in settings
    pairs_of = functools.cache(functools.partial(atlas_pairs, seen, scale, rho, cell.seed, wrapped=wrapped))
    encoder = train_encoder(run, seen, pairs_of("train"), float(np.mean(rho)), cell)
    return _with_shares(figures_of(encoder, pixels, pairs_of, cell, seen), pixels, scale)


def _with_shares(figures: dict[str, float], pixels: Pixels, scale_rad: float) -> dict[str, float]:
    ceiling = angle_ceiling(pixels, scale_rad)
    shares = {f"share_{name}": figures[name] / ceiling for name in figures if name.startswith("r2_h_to_z")}
    return figures | shares | {"ceiling": ceiling}


def _measure_together(cells: list[Cell]) -> Iterator[dict[str, float]]:
    """As `_measure`, of cells of one shape; poses are looked up on the circle in all of them."""
    all_settings = [cell.settings for cell in cells]
    runs = [PixelRun(sigreg_end=settings["sigreg_end"], **settings["run"]) for settings in all_settings]
    scales, request, size = [settings["scale_rad"] for settings in all_settings], cells[0].request, runs[0].input_size
    seen = open_atlas(all_settings[0].get("atlas_rad", scales[0]), request, size)
    rhos = [list(np.atleast_1d(_rhos(settings))) for settings in all_settings]
    encoders = train_encoders(cells, runs, seen, scales, rhos, NUM_VIEWS, pick_device(request.device))
    for cell, encoder, scale, rho in zip(cells, encoders, scales, rhos, strict=True):
        pixels = open_atlas(scale, request, size)
        pairs_of = functools.cache(functools.partial(atlas_pairs, seen, scale, rho, cell.seed, wrapped=True))
        yield _with_shares(figures_of(encoder, pixels, pairs_of, cell, seen), pixels, scale)


def _shape(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """What cells must share to be trained side by side: their atlas, and the encoder's shape."""
    return settings.get("atlas_rad", settings["scale_rad"]), *sorted(settings["run"].items())


def angle_ceiling(pixels: Pixels, scale_rad: float) -> float:
    """R2 on the test poses of the best reading any encoder can give: an image shows an angle modulo 2 pi."""
    angles = pixels.z[pixels.rows("test")]
    return float(np.mean(r2(angles, unwrapped_mean(angles, scale_rad))))


def _known(condition: Condition) -> dict[str, float]:
    """R2 of the best-aligned latents of wrapped angles, without any error of learning."""
    return {"aligned_optimum": aligned_angle_r2(condition.settings["scale_rad"], _rhos(condition.settings))}


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
    measure_together=_measure_together,
    shape=_shape,
    known=_known,
    num_drawn=3,
    tuned_on="s=0.7-rho=0.9",
    x_label="autocorrelation rho",
    note="angles N(0, s^2) rad; at s = 1 they wrap, and no reading can exceed a ceiling near .95 (of these test "
    "poses); alignment's own optimum: what its best latents reach of the angle, in expectation (ceiling there .949); "
    "lags: pairs one step apart, and further ones of the same process; longer (rows that are named only): 4,800 steps "
    "instead of 800, and lags from rho .9",
)
