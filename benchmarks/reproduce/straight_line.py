"""Straight lines in latent space against straight lines in joint space (arXiv:2605.26379, Section 5, Theorem 4).

As the paper has it: from a start frame to a goal frame the latent moves on a straight line in 8 steps, every step is
decoded by the nearest neighbours in a gallery of frames, and the decoded joint path is compared with the straight one.
"""

import functools

import numpy as np
from sklearn.neighbors import KNeighborsRegressor

from benchmarks.reproduce.definitions import Cell, Condition, Table, or_nan
from benchmarks.reproduce.pixels import PixelRun, Reader, fit_readout, identify, train_encoder
from benchmarks.reproduce.reacher_ou import JOINTS, atlas_pairs, open_atlas
from benchmarks.reproduce.reacher_trajectories import DESIGNED, NUM_EPISODES
from benchmarks.reproduce.rollouts import UNIFORM, autocorrelations, lag_pairs, open_rollouts
from benchmarks.settings import ReproduceConfig

SCALE_RAD = 0.7
NUM_STEPS = 8
NUM_NEIGHBOURS = 5
NUM_PAIRS = 30
GALLERY = 10_000


def _conditions(request: ReproduceConfig) -> list[Condition]:
    world = request.world or "reacher"
    rollouts = {
        "world": world,
        "names": list(JOINTS),
        "episodes": request.pick(NUM_EPISODES, 10 * NUM_EPISODES),
        "episode_steps": 30,
    }
    steps = request.pick(800, 20_000)
    return [
        Condition("true-angles", {"data": "none"}),
        Condition("ou-pairs", {"data": "ou", "rho": 0.95, "steps": steps}),
        Condition("designed", {"data": "rollouts", **rollouts, "policy": DESIGNED, "stride": 10, "steps": steps}),
        Condition("uniform-policy", {"data": "rollouts", **rollouts, "policy": UNIFORM, "stride": 8, "steps": steps}),
    ]


def _measure(cell: Cell) -> dict[str, float]:
    gallery = open_atlas(SCALE_RAD, cell.request)
    if cell.settings["data"] == "none":
        angles = gallery.z[gallery.rows("train", GALLERY)]
        return path_ratios(angles, angles, cell.seed)
    read = _train(cell)
    rows = gallery.rows("train", GALLERY)
    ratios = path_ratios(read(gallery, rows), gallery.z[rows], cell.seed)
    return {"r2_h_to_z": or_nan(identify(read, gallery, "test").r2_h_to_z), **ratios}


def _train(cell: Cell) -> Reader:
    settings, pixels = cell.settings, open_atlas(SCALE_RAD, cell.request)
    if settings["data"] == "ou":
        rho = settings["rho"]
        pairs_of = functools.partial(atlas_pairs, pixels, SCALE_RAD, rho, cell.seed)
    else:
        pixels = open_rollouts(settings, cell.request)
        pairs_of = lag_pairs(pixels, settings["stride"])
        rho = float(autocorrelations(pixels, settings["stride"]).mean())
    encoder = train_encoder(PixelRun(steps=settings["steps"]), pixels, pairs_of("train"), rho, cell)
    readout = fit_readout(encoder, pixels, pairs_of, 2, cell.seed) if cell.request.polish else None
    return Reader(encoder, readout)


def path_ratios(latents: np.ndarray, angles: np.ndarray, seed: int) -> dict[str, float]:
    """Decoded over straight, for paths between `NUM_PAIRS` random gallery frames: latents (n, D), angles (n, 2).

    path_length_ratio: length of the decoded joint path over the straight line's. control_cost_ratio: sum of squared
    distances to the goal and of squared steps, over the straight path's. Ends are the true ones; 1 is ideal. The
    medians are over pairs.
    """
    rng = np.random.default_rng((seed, 2))
    decoder = KNeighborsRegressor(NUM_NEIGHBOURS, weights="distance").fit(latents, angles)
    share = np.linspace(0, 1, NUM_STEPS)[:, None]
    lengths, costs = [], []
    for start, goal in rng.choice(len(latents), (NUM_PAIRS, 2), replace=False):
        decoded = decoder.predict((1 - share) * latents[start] + share * latents[goal])
        decoded[0], decoded[-1] = angles[start], angles[goal]
        straight = (1 - share) * angles[start] + share * angles[goal]
        lengths.append(_length(decoded) / _length(straight))
        costs.append(_cost(decoded) / _cost(straight))
    return {"path_length_ratio": float(np.median(lengths)), "control_cost_ratio": float(np.median(costs))}


def _length(path: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


def _cost(path: np.ndarray) -> float:
    return float(((path - path[-1]) ** 2).sum() + (np.diff(path, axis=0) ** 2).sum())


TABLE = Table(
    name="straight_line",
    title="Straight latent lines, decoded, against straight joint paths (ideal 1)",
    measures={
        "path_length_ratio": "path length ratio",
        "control_cost_ratio": "control cost ratio",
        "r2_h_to_z": "R2 h->z of the gallery",
    },
    conditions=_conditions,
    measure=_measure,
    num_drawn=2,
    note="angles N(0, .7^2) rad; 30 start-goal pairs; 8 steps, 5 nearest neighbours; true-angles: the decoder alone",
)
