"""The oracle: the true simulator behind the same interface as a learned model, to measure regret against."""

import copy
import os
from collections.abc import Mapping, Sequence

import mujoco
import numpy as np
import torch
from mujoco.rollout import Rollout
from torch import Tensor

from worldmodel.envs.world import MujocoWorld, Snapshot


def can_simulate(world: MujocoWorld) -> bool:
    """Whether the oracle knows how actions become controls. It does not where another library's controller computes
    them, or without a MuJoCo model."""
    return world.scene.state_is_whole or world.scene.holds_control


def goal_features(world: MujocoWorld, states: np.ndarray) -> np.ndarray:
    """The coordinates a goal is judged by, in units of their tolerance: (…, X) -> (…, Z); angles as cosine and sine.

    Where pictures repeat after the k-th part of a turn, these are cosine and sine of k times the angle, divided by k.
    """
    columns = []
    for name, tolerance in world.scene.goal_tolerance.items():
        value = states[..., world.state_names.index(name)]
        k = 2 * np.pi / world.scene.symmetries.get(name, 2 * np.pi)
        parts = [np.cos(k * value) / k, np.sin(k * value) / k] if name in world.scene.angle_names else [value]
        columns += [part / tolerance for part in parts]
    return np.stack(columns, -1)


class SimulatorDynamics:
    """A `worldmodel.planners.interfaces.LatentDynamics` that knows everything: planning states are true states (B, X).

    Latents are `goal_features`. Rollouts run in MuJoCo's own thread pool, each environment with its own constants.
    """

    num_context_frames = 1

    def __init__(
        self,
        world: MujocoWorld,
        factors: Sequence[Mapping[str, float]],
        moments: Sequence[Snapshot] | None = None,
    ) -> None:
        """
        Args:
            world: the simulator.
            factors: name -> value for each of the B environments that will be planned for.
            moments: where the episode of each begins, in worlds whose state does not determine it.
        """
        self._world = world
        self.action_dim = world.scene.action_dim
        self.models = []
        for index, values in enumerate(factors):
            if moments is None:
                world.restart(factors=values)
            else:
                world.restore(moments[index])
            self.models.append(copy.copy(world.scene.model))
        num_threads = os.cpu_count() or 1
        self._pool = Rollout(nthread=num_threads)
        self._data = [mujoco.MjData(world.scene.model) for _ in range(num_threads)]

    def embed(self, frames: Tensor) -> Tensor:
        raise TypeError("the oracle plans from true states; pass them to the planner as z0")

    def encode(self, latents: Tensor, actions: Tensor) -> Tensor:
        raise TypeError("the oracle plans from true states; pass them to the planner as z0")

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, X), (B, N, H, A) -> goal features (B, N, H, Z); the models are those of the first B environments."""
        batch, num, horizon, _ = actions.shape
        scene = self._world.scene
        state = np.concatenate([np.zeros((batch, 1)), z0.double().numpy()], 1)  # time first
        control = scene.ctrl_centre + scene.ctrl_half_range * actions.double().numpy()
        states, _ = self._pool.rollout(
            [model for model in self.models[:batch] for _ in range(num)],
            self._data,
            state.repeat(num, 0),
            control.repeat(scene.num_substeps, axis=2).reshape(batch * num, horizon * scene.num_substeps, -1),
        )
        assert states is not None
        reached = states.reshape(batch, num, horizon, scene.num_substeps, -1)[:, :, :, -1, 1:]
        return torch.from_numpy(goal_features(self._world, reached)).float()

    def subset(self, indices: np.ndarray) -> "SimulatorDynamics":
        """The same simulator for some of its environments."""
        part = copy.copy(self)
        part.models = [self.models[i] for i in indices]
        return part
