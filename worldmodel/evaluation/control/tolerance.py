"""How near to a goal counts as reached: as the user says, as the world says, or a share of the world's own motion."""

from collections.abc import Iterable, Mapping

import mujoco
import numpy as np
from scipy.stats import norm

from worldmodel.envs import MujocoWorld, rollout
from worldmodel.envs.excitation import Policy
from worldmodel.system.errors import UserError

_LEAST_SHARE, _MOST_SHARE = 0.25, 1.0
"""Default tolerance of a position, as a share of how far it moves under the recording's policy."""
_BY_CHANCE = 0.01
"""How often a goal may be reached by positions that vary as they do in a second, each by itself."""
_WITHIN_S = 1.0
"""Seconds of motion that say how far a position moves; also how far ahead the goals of worlds without a recipe lie."""
_EPISODES, _MOST_STEPS = 8, 200
_SEED = 7_003
_SMALLEST = 1e-4
"""A position that moves less stands still, and is not judged."""


def set_tolerance(
    world: MujocoWorld, given: Mapping[str, float] | None, policy: Policy, episode_steps: int
) -> dict[str, float]:
    """Decide the goal tolerance of a world, and return it: state variable -> how near counts as reached.

    Raises:
        UserError: `given` names what is no state variable, or nothing of the world moves.
    """
    if given is not None:
        check_names("goal_tolerance", given, world)
        world.scene.goal_tolerance = dict(given)
    elif not world.scene.goal_tolerance:
        world.scene.goal_tolerance = from_motion(world, policy, episode_steps)
    return dict(world.scene.goal_tolerance)


def check_names(option: str, names: Iterable[str], world: MujocoWorld) -> None:
    """UserError where an option names what is no state variable of the world."""
    if unknown := [name for name in names if name not in world.state_names]:
        raise UserError(f"{option} names {', '.join(unknown)}; {world.name} has {', '.join(world.state_names)}")


def from_motion(world: MujocoWorld, policy: Policy, episode_steps: int) -> dict[str, float]:
    """A share of how far every position moves that pictures can show.

    A quarter, and more where three or more must be near at once, as `share` says. How far one moves is what it changes
    within a second (root mean square), or its standard deviation where this is less: where a world starts anywhere and
    moves slowly, a share of the whole spread would be reached without a move. Left out are velocities, positions that
    stand still, and those with which the camera moves along: the place of a robot that a tracking camera keeps in the
    middle. The spread of an angle is at most that of a uniform one.

    Raises:
        UserError: nothing moves.
    """
    steps = min(episode_steps, _MOST_STEPS)
    episodes = [
        rollout(world, policy, seed=_SEED + k, num_steps=steps, render=False).states.astype(float)
        for k in range(_EPISODES)
    ]
    spread = dict(
        zip(world.state_names, np.minimum(np.concatenate(episodes).std(0), _change(world, episodes)), strict=True)
    )
    for name in world.scene.angle_names:
        spread[name] = min(spread[name], np.pi / np.sqrt(3))
    judged = [name for name in position_names(world) if spread[name] > _SMALLEST and not _camera_follows(world, name)]
    if not judged:
        raise UserError(
            f"nothing that pictures of {world.name} can show moves under policy {type(policy).__name__}, so there "
            "are no goals to reach; say what counts with goal_tolerance={NAME: VALUE}, or use protocol=reward"
        )
    return {name: float(f"{share(len(judged)) * spread[name]:.2g}") for name in judged}


def share(num_positions: int) -> float:
    """Tolerance of each of several positions, as a share of how far it moves.

    A quarter of it for one or two. All must be near at once, so that by the same share no robot of many joints would
    ever reach a goal: from three on it is the share within which as many independent normal variables all are in one
    case of a hundred (.27 for three, .70 for seven), and at most how far a position moves.
    """
    each = _BY_CHANCE ** (1 / num_positions)
    return float(np.clip(norm.ppf((1 + each) / 2), _LEAST_SHARE, _MOST_SHARE))


def _change(world: MujocoWorld, episodes: list[np.ndarray]) -> np.ndarray:
    """How far each number of the state moves within a second, or within the longest episode (X,)."""
    longest = max(map(len, episodes)) - 1
    steps = min(longest, max(1, round(_WITHIN_S / world.control_dt_s)))
    changes = np.concatenate([states[steps:] - states[:-steps] for states in episodes])
    return np.sqrt(np.square(changes).mean(0))


def position_names(world: MujocoWorld) -> tuple[str, ...]:
    """State variables that a single picture can show: positions, and not velocities."""
    if world.scene.model.nq:
        return world.state_names[: world.scene.model.nq]
    return tuple(name for name in world.state_names if "vel" not in name and "contact" not in name)


def _camera_follows(world: MujocoWorld, name: str) -> bool:
    """Whether the camera moves as far as this position does."""
    model, camera = world.scene.model, world.camera
    if camera == "free" or not model.ncam or not model.nq:
        return False
    index = world.state_names.index(name)
    data, row = mujoco.MjData(model), model.camera(camera).id
    places = []
    for shift in (0.0, 0.1):
        data.qpos[:] = world.scene.data.qpos
        data.qpos[index] += shift
        mujoco.mj_fwdPosition(model, data)
        places.append(data.cam_xpos[row].copy())
    return bool(np.linalg.norm(places[1] - places[0]) > 0.08)
