"""Designed excitation on three worlds: dynamic rollouts that meet the theorem's assumptions, next to random torques."""

from collections.abc import Mapping
from typing import Any

from benchmarks.reproduce.definitions import Condition, Table
from benchmarks.reproduce.reacher_ou import JOINTS, LAMBDAS
from benchmarks.reproduce.reacher_trajectories import DESIGNED
from benchmarks.reproduce.rollouts import UNIFORM, measure_rollouts
from benchmarks.settings import ReproduceConfig


def _designed(std: float, bandwidth_rad_s: float) -> dict[str, Any]:
    return {**DESIGNED, "std": std, "bandwidth_rad_s": bandwidth_rad_s}


# strides at which the designed autocorrelation is about .9
_WORLDS: dict[str, Mapping[str, Any]] = {
    "reacher": {
        "world": "reacher", "names": list(JOINTS), "policy": DESIGNED, "stride": 10,
        "episodes": 2000, "episode_steps": 30,
    },
    "arm3": {
        "world": "arm3", "names": ["shoulder", "elbow", "wrist"], "policy": _designed(0.6, 4.0), "stride": 10,
        "episodes": 2000, "episode_steps": 30,
    },
    "point_mass": {
        "world": "point_mass-easy", "names": ["root_x", "root_y"], "policy": _designed(0.07, 0.8), "stride": 54,
        "episodes": 800, "episode_steps": 80, "supersample": 2,
    },
}  # fmt: skip


def _conditions(request: ReproduceConfig) -> list[Condition]:
    conditions = []
    for name, settings in _WORLDS.items():
        if request.world not in (None, settings["world"]):
            continue
        run = {"steps": request.pick(1500, 20_000)}
        sized = {**settings, "run": run, "episodes": request.pick(1, 10) * settings["episodes"]}
        conditions.append(Condition(f"{name}-designed", sized, LAMBDAS))
        if name == "arm3" or request.full:
            conditions.append(Condition(f"{name}-uniform", {**sized, "policy": UNIFORM}, LAMBDAS))
    return conditions or [Condition(str(request.world), {**_WORLDS["reacher"], "world": request.world, "run": {}})]


TABLE = Table(
    name="excitation",
    title="Designed excitation: dynamic rollouts made Gaussian, stationary, of one autocorrelation",
    measures={
        "r2_h_to_z": "R2 h->z",
        "r2_z_to_h": "R2 z->h",
        "r2_h_to_z_polished": "R2 h->z, polished",
        "excess_kurtosis": "|excess kurtosis|, worst",
        "autocorrelation": "autocorrelation",
        "autocorrelation_spread": "its spread over joints",
        "clipped_actions": "torques at the limit",
    },
    conditions=_conditions,
    measure=measure_rollouts,
    num_drawn=4,
    tuned_on="arm3-designed",
    note="computed-torque tracking of a smooth Gaussian reference, started in its own law; random torques beside it",
)
