"""Reacher from dynamic rollouts over strides: a plain random policy, and designed excitation."""

import numpy as np

from benchmarks.reproduce.definitions import Cell, Condition, Table
from benchmarks.reproduce.pixels import Pixels, Reader, readers
from benchmarks.reproduce.reacher_ou import JOINTS, LAMBDAS, open_atlas
from benchmarks.reproduce.rollouts import UNIFORM, lag_pairs, learn_rollouts, rollout_figures
from benchmarks.settings import ReproduceConfig
from worldmodel.measures import affine_apply, affine_fit, r2

DESIGNED = {"name": "designed_gaussian", "std": 0.6, "bandwidth_rad_s": 4.0, "tracking_rad_s": 20.0}
# 30 control steps are 0.6 s; many short episodes cover more starts than few long ones
_ROLLOUTS = {"names": list(JOINTS), "episode_steps": 30}
NUM_EPISODES = 2000
_DESIGNED_STRIDE = 10  # autocorrelation .905
_WIDE_LATENTS = 6  # cosine and sine of both angles, and two more


def _conditions(request: ReproduceConfig) -> list[Condition]:
    world = request.world or "reacher"
    run = {"steps": request.pick(1500, 20_000)}
    rollouts = {**_ROLLOUTS, "episodes": request.pick(NUM_EPISODES, 10 * NUM_EPISODES), "world": world, "run": run}
    plain = [
        Condition(
            f"uniform-stride={stride}", {**rollouts, "policy": UNIFORM, "stride": stride}, LAMBDAS,
            series="uniform random policy", x=float(stride),
        )
        for stride in request.pick((4, 8, 16), (1, 2, 4, 8, 16, 24))
    ]  # fmt: skip
    wide = Condition(
        f"uniform-stride=8-{_WIDE_LATENTS}-latents",
        {**rollouts, "policy": UNIFORM, "stride": 8, "latent_dim": _WIDE_LATENTS}, LAMBDAS,
        series=f"uniform random policy, {_WIDE_LATENTS} latents", x=8.0,
    )  # fmt: skip
    designed = Condition(
        f"designed-stride={_DESIGNED_STRIDE}", {**rollouts, "policy": DESIGNED, "stride": _DESIGNED_STRIDE}, LAMBDAS,
        series="designed excitation", x=float(_DESIGNED_STRIDE),
    )  # fmt: skip
    return [designed, *plain, wide]


def _measure(cell: Cell) -> dict[str, float]:
    pixels, encoder = learn_rollouts(cell)
    figures = rollout_figures(pixels, encoder, cell)
    pairs_of = lag_pairs(pixels, cell.settings["stride"])
    for suffix, read in readers(encoder, pixels, pairs_of, cell).items():
        scores = gaussian_pose_r2(read, pixels, cell.request)
        figures |= {f"gaussian_r2_{name}{suffix}": value for name, value in zip(JOINTS, scores, strict=True)}
    return figures


def gaussian_pose_r2(read: Reader, pixels: Pixels, request: ReproduceConfig) -> np.ndarray:
    """The reference's protocol: angles read by a map fitted on the rollouts, scored on poses N(0, 1), (2,)."""
    poses, fit = open_atlas(1.0, request), pixels.rows("train")
    rows = poses.rows("test")
    return r2(poses.z[rows], affine_apply(affine_fit(read(pixels, fit), pixels.z[fit]), read(poses, rows)))


TABLE = Table(
    name="reacher_trajectories",
    title="Reacher angles from pixels of dynamic rollouts",
    measures={
        "r2_shoulder": "R2 shoulder",
        "r2_wrist": "R2 wrist",
        "r2_z_to_h": "R2 z->h",
        "r2_shoulder_polished": "R2 shoulder, polished",
        "r2_wrist_polished": "R2 wrist, polished",
        "r2_z_to_h_polished": "R2 z->h, polished",
        "gaussian_r2_shoulder": "shoulder, N(0,1) poses",
        "gaussian_r2_wrist": "wrist, N(0,1) poses",
    },
    conditions=_conditions,
    measure=_measure,
    num_drawn=3,
    tuned_on="designed-stride=10",
    x_label="stride in control steps of 0.02 s",
    log_x=True,
    note="held out: other episodes of the same policy; N(0,1) poses: the same map scored where the reference scores",
)
