"""Reacher from dynamic rollouts over strides: a plain random policy, and designed excitation."""

from worldmodel.reproduce.core import Condition, Request, Table
from worldmodel.reproduce.reacher_ou import JOINTS, LAMBDAS
from worldmodel.reproduce.rollouts import UNIFORM, measure_rollouts

DESIGNED = {"name": "designed_gaussian", "std": 0.6, "bandwidth_rad_s": 4.0, "tracking_rad_s": 20.0}
# 30 control steps are 0.6 s; many short episodes cover more starts than few long ones
_ROLLOUTS = {"names": list(JOINTS), "episodes": 650, "episode_steps": 30}
_DESIGNED_STRIDE = 10  # autocorrelation .905


def _conditions(request: Request) -> list[Condition]:
    world = request.world or "reacher"
    run = {"steps": request.pick(200, 20_000)}
    rollouts = {**_ROLLOUTS, "episodes": request.pick(650, 6500), "world": world, "run": run}
    plain = [
        Condition(
            f"uniform-stride={stride}", {**rollouts, "policy": UNIFORM, "stride": stride}, LAMBDAS,
            series="uniform random policy", x=float(stride),
        )
        for stride in request.pick((4, 8, 16), (1, 2, 4, 8, 16, 24))
    ]  # fmt: skip
    designed = Condition(
        f"designed-stride={_DESIGNED_STRIDE}", {**rollouts, "policy": DESIGNED, "stride": _DESIGNED_STRIDE}, LAMBDAS,
        series="designed excitation", x=float(_DESIGNED_STRIDE),
    )  # fmt: skip
    return [designed, *plain]


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
    },
    conditions=_conditions,
    measure=measure_rollouts,
    num_drawn=3,
    tuned_on="designed-stride=10",
    x_label="stride in control steps of 0.02 s",
    log_x=True,
    note="held out: other episodes of the same policy (the reference scores on Gaussian poses)",
)
