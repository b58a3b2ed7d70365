"""Futures: what many sequences of actions would lead to, simulated from one moment on or from several.

Shape letters are those of planners/interfaces.py; K sequences are simulated.
"""

from collections.abc import Sequence

import worldmodel.envs.rendering  # noqa: F401  # first: it sets MUJOCO_GL  # isort: skip

import mujoco
import numpy as np
from mujoco.rollout import Rollout

from worldmodel.envs.scene import Scene
from worldmodel.envs.world import MujocoWorld


def can_simulate(scene: Scene) -> bool:
    """Whether `HeldControls` can stand for a scene: it is known how actions become controls. It is not where another
    library's controller computes them, or without a MuJoCo model. Whatever else a scene of one's own does in `advance`
    is left out."""
    return scene.state_is_whole or scene.holds_control


class HeldControls:
    """The futures of a world whose control steps only hold controls, in MuJoCo's own thread pool."""

    def __init__(self, world: MujocoWorld, num_threads: int = 0) -> None:
        """
        Args:
            world: its controls and physics steps; it is not moved.
            num_threads: 0 simulates in the calling thread; the states are the same, to the bit, with any number.
        """
        self._scene, self._num_substeps = world.scene, world.action_repeat * world.scene.num_substeps
        self._pool = Rollout(nthread=num_threads)
        self._data = [mujoco.MjData(world.scene.model) for _ in range(max(1, num_threads))]

    def states(self, models: Sequence[mujoco.MjModel], starts: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Simulate K sequences of actions.

        Args:
            models: K, one for each sequence, with the constants that act in it.
            starts: the states before the first action, float64 (K, X).
            actions: (K, H, A) in [-1, 1].

        Returns:
            float64 (K, H, X), the state after each action.
        """
        scene, (num, horizon, _) = self._scene, actions.shape
        controls = scene.ctrl_centre + scene.ctrl_half_range * actions
        states, _ = self._pool.rollout(
            models,
            self._data,
            np.concatenate([np.zeros((num, 1)), starts], 1),  # time first
            controls.repeat(self._num_substeps, axis=1),
        )
        assert states is not None
        return states.reshape(num, horizon, self._num_substeps, -1)[:, :, -1, 1:]


def stepped(world: MujocoWorld, actions: np.ndarray) -> np.ndarray:
    """The futures of a world under its scene's own control steps, from where it is now: slower, and right for any
    controller.

    Args:
        world: its scene is left as it was.
        actions: (K, H, A) in [-1, 1].

    Returns:
        float64 (K, H, X), the state after each action.
    """
    scene, futures = world.scene, []
    moment = scene.moment()
    for sequence in actions:
        states = []
        for action in sequence:
            for _ in range(world.action_repeat):
                scene.advance(action)
            states.append(scene.state())
        futures.append(states)
        scene.go_back(moment)
    return np.array(futures)
