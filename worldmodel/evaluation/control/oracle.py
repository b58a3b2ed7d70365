"""The oracle: the true simulator behind the same interface as a learned model, to measure regret against."""

import copy
import os
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from worldmodel.envs.futures import HeldControls
from worldmodel.envs.world import MujocoWorld, Snapshot


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
            moments: where the episode of each begins, in worlds whose state does not determine it, or whose reset
                makes another model of each.
        """
        self._world = world
        self.action_dim = world.scene.action_dim
        self.models = []
        for index, values in enumerate(factors):
            if moments is None:
                world.restart(factors=values)
            else:
                world.restore(moments[index])
                world.set_factors(values)
            self.models.append(copy.copy(world.scene.model))
        self._futures = HeldControls(world, os.cpu_count() or 1)

    def embed(self, frames: Tensor) -> Tensor:
        raise TypeError("the oracle plans from true states; pass them to the planner as z0")

    def encode(self, latents: Tensor, actions: Tensor) -> Tensor:
        raise TypeError("the oracle plans from true states; pass them to the planner as z0")

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, X), (B, N, H, A) -> goal features (B, N, H, Z); the models are those of the first B environments."""
        batch, num, horizon, action_dim = actions.shape
        reached = self._futures.states(
            [model for model in self.models[:batch] for _ in range(num)],
            z0.double().numpy().repeat(num, 0),
            actions.double().numpy().reshape(batch * num, horizon, action_dim),
        ).reshape(batch, num, horizon, -1)
        return torch.from_numpy(goal_features(self._world, reached)).float()

    def subset(self, indices: np.ndarray) -> "SimulatorDynamics":
        """The same simulator for some of its environments."""
        part = copy.copy(self)
        part.models = [self.models[i] for i in indices]
        return part
