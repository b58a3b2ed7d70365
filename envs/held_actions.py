"""Actions that are held for several control steps of a scene, which are one control step of its world."""

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from worldmodel.envs.scene import Scene
from worldmodel.envs.snapshot import finite, outcome

_AUTO_HOLD_S = 0.05
"""Seconds for which "auto" holds an action at least: the suite's tasks run at 40 to 100 control steps a second, and a
plan of 20 actions then looks a second or a little more ahead in all of them."""
_MOST_REPEATS = 1000
"""Control steps for which an action is held at most: the number may be a stranger's, and each is simulated."""


def num_repeats(scene: Scene, action_repeat: int | Literal["auto"]) -> int:
    """For how many control steps of a scene an action is held; "auto": as few as last a twentieth of a second.

    Raises:
        ValueError: out of range, or a scene without actions.
    """
    if action_repeat == "auto":
        return max(1, math.ceil(_AUTO_HOLD_S / scene.control_dt_s - 1e-9))
    if not 1 <= action_repeat <= _MOST_REPEATS:
        raise ValueError(f'action_repeat must be in 1..{_MOST_REPEATS} or "auto", got {action_repeat}')
    if action_repeat > 1 and scene.kinematic is not None:
        raise ValueError(f"{scene.name} has no actions that could be repeated; leave out action_repeat")
    return action_repeat


def advance_held(
    scene: Scene, action: np.ndarray, repeats: int, is_judged: bool, step: int, factors: Mapping[str, float]
) -> tuple[float, bool]:
    """Hold an action for some control steps of a scene, or until its episode ends.

    Args:
        scene: is moved.
        action: float (A,) in [-1, 1].
        repeats: control steps of the scene, at least one.
        is_judged: whether reward and end count.
        step: number of the world's control step, for messages.
        factors: factor -> its value now, for the message of a simulation that diverges.

    Returns:
        The sum of rewards, and whether the episode has ended.

    Raises:
        ValueError: a reward is not finite.
        SimulationDiverged: the state is no longer finite.
    """
    total, ended = 0.0, False
    for _ in range(repeats):
        with finite(scene, step, factors):
            scene.advance(action)
        reward, ended = outcome(scene, step) if is_judged else (0.0, False)
        total += reward
        if ended and not scene.goes_on_after_end:
            break
    return total, ended
