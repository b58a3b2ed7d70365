"""The readings of a recording explained by MuJoCo's own toolbox, `mujoco.sysid`, beside `worldmodel identify`.

It gets the same positions, starts and bounds, and the standard deviation of the readings. It assumes white errors, and
a uniform prior within the bounds. Models and starts are made here, since it knows neither factors nor unknown starts;
roll-outs, derivatives, optimiser and intervals are its own.
"""

import time
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from worldmodel.identifying import Track
from worldmodel.system import UserError

_FARTHEST_START = 30.0
"""Bound on a start's coordinates, in their units."""
_ITERATIONS = 50


@dataclass(frozen=True)
class BySysid:
    """The estimate of `mujoco.sysid` from a recording; coordinates are standardised."""

    found: np.ndarray
    """(P,)."""
    width: np.ndarray
    """Half its 95 % interval, (P,)."""
    seconds: float
    """CPU time."""


def by_sysid(track: Track, bounds: np.ndarray, std: np.ndarray) -> BySysid:
    """The constants of a single recording.

    Args:
        track: its readings and actions; only the constants and the start may be unknown, L numbers.
        bounds: lower and upper bounds of these, (2, L).
        std: standard deviation of the readings, (N,).

    Raises:
        UserError: the toolbox is not installed, or the scene does more than hold its controls.
    """
    sysid = _toolbox()
    replay, scene, num = track.replay, track.replay.world.scene, len(track.replay.constants)
    if not scene.holds_control:
        raise UserError(f"{replay.world.name} does more than hold its controls, which mujoco.sysid cannot replay")
    model, substeps = scene.model, replay.substeps
    controls = np.repeat(scene.ctrl_centre + scene.ctrl_half_range * track.actions.astype(float), substeps, 0)
    controls = np.concatenate([controls, controls[-1:]])  # the toolbox leaves the last one out
    control = sysid.TimeSeries(np.arange(len(controls)) * model.opt.timestep, controls)
    num_state = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS.value)

    def start(x: np.ndarray) -> np.ndarray:
        return track.split(x[None])[2][0]

    def roll_out(*, models: Any, param_dicts: Any, initial_states: Any, **others: Any) -> Any:
        states = np.zeros((len(models), num_state))
        for row, params in zip(states, param_dicts, strict=True):
            found = start(params["x"].value)
            row[1 : 1 + len(found)] = found  # time comes first
        return sysid.sysid_rollout(models=models, initial_states=states, **others)

    def residual(params: Any, predicted: Any, *_: Any, state: np.ndarray, **__: Any) -> tuple[np.ndarray, Any, Any]:
        moved = state[substeps - 1 :: substeps, 1 : 1 + model.nq]
        qpos = np.concatenate([start(params["x"].value)[None, : model.nq], moved])
        return ((track.observation.numbers(qpos) - track.numbers) / std).ravel(), predicted, predicted

    trajectory = sysid.SystemTrajectory(model, control, control, np.zeros(num_state), None)
    residuals = sysid.build_residual_fn(
        models_sequences=[_Sequence(trajectory)],
        build_model=lambda params, _: replay.model_with(params["x"].value[:num]),
        custom_rollout=roll_out,
        modify_residual=residual,
        n_threads=1,
        resample_true=False,
    )
    low, high = np.clip(bounds, -_FARTHEST_START, _FARTHEST_START)
    params = sysid.ParameterDict()
    params.add(sysid.Parameter("x", np.zeros(len(low)), low, high))
    begin = time.process_time()
    best, result = sysid.optimize(params, residuals, verbose=False, max_iters=_ITERATIONS)
    seconds = time.process_time() - begin
    _, width = sysid.calculate_intervals(residuals(result.x, best)[0], result.jac)
    return BySysid(np.ravel(result.x)[:num], np.ravel(width)[:num], seconds)


class _Sequence:
    """What the toolbox asks of a `ModelSequences`, which would check for sensors."""

    def __init__(self, trajectory: Any) -> None:
        self.spec, self.measured_rollout = None, [trajectory]


def _toolbox() -> Any:
    from mujoco import sysid

    if not hasattr(sysid, "optimize"):  # it leaves its names out where something it needs is missing
        raise UserError('mujoco.sysid is not installed; pip install "mujoco[sysid]"')
    return sysid
