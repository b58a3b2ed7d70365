"""Recorded actions replayed under many values of the constants at once, each simulation with its own model.

Letters: n simulations, P constants, T steps, A numbers of an action, X state, nq positions.
"""

from collections.abc import Mapping, Sequence

import mujoco
import numpy as np
from mujoco.batch import Batch

from worldmodel.envs import MujocoWorld


class Replay:
    """A world that replays actions; it stays at the start of an episode of its own.

    Simulations run side by side in `mujoco.batch`, bit-identical to a loop over them. Where a scene's `advance` does
    more than hold its controls, they run one after another.
    """

    def __init__(self, world: MujocoWorld, constants: Sequence[str], fixed: Mapping[str, float] | None = None) -> None:
        """constants: those that are sought. fixed: values of others, nominal elsewhere."""
        self.world, self.constants = world, tuple(constants)
        self._fixed, self._ends = dict(fixed or {}), np.empty((0, 0))
        self._models: list[mujoco.MjModel] = []
        self._batches: dict[int, Batch] = {}

    def positions(self, coordinates: np.ndarray, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """qpos float64 (n, T*s + 1, nq) at every physics step, the first before any action; s of them a control step.

        Args:
            coordinates: standardised coordinates of the constants, (n, P); they may be outside the bounds.
            states: starts (n, X).
            actions: (T, A), or (n, T, A) to give each simulation its own.
        """
        actions = np.broadcast_to(actions, (len(states), *actions.shape[-2:]))
        if self.world.scene.holds_control:
            return self._together(coordinates, states, actions)
        return self._one_by_one(coordinates, states, actions)

    def end(self, coordinates: np.ndarray, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """The states (n, X) after the actions; arguments as of `positions`."""
        self.positions(coordinates, states, actions)
        if not self.world.scene.holds_control:
            return self._ends
        batch = self._batches[len(states)]
        return np.concatenate([batch.qpos, batch.qvel, batch.act], 1)

    def fixed(self, values: Mapping[str, float]) -> "Replay":
        """A replay without unknown constants: they have these values."""
        return Replay(self.world, (), {**self._fixed, **values})

    @property
    def substeps(self) -> int:
        """s, recorded positions of a control step."""
        return self.world.action_repeat * self.world.scene.num_substeps if self.world.scene.holds_control else 1

    def values(self, coordinates: np.ndarray) -> dict[str, float]:
        """Values of the constants at standardised coordinates (P,)."""
        found = {
            name: self.world.factors[name].unclipped(t) for name, t in zip(self.constants, coordinates, strict=True)
        }
        return {**self._fixed, **found}

    def model_with(self, coordinates: np.ndarray, into: mujoco.MjModel | None = None) -> mujoco.MjModel:
        """A model with these constants (P,), standardised; see `EpisodeModel.with_values`."""
        values = {**self.world.factor_values, **self.values(coordinates)}
        return self.world.episode_model.with_values(values, into)

    def _together(self, coordinates: np.ndarray, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        scene, num = self.world.scene, len(states)
        if num not in self._batches:
            self._batches[num] = Batch(scene.model, num, 1)
        batch, models = self._batches[num], self._different_models(coordinates)
        batch.set_models(models)
        batch.reset(stage=mujoco.mjtStage.mjSTAGE_NONE.value)
        batch.qpos[:], batch.qvel[:], batch.act[:] = np.split(states, np.cumsum([scene.model.nq, scene.model.nv]), 1)
        controls = scene.ctrl_centre + scene.ctrl_half_range * actions.astype(np.float64)
        controls = np.repeat(controls, self.substeps, 1)
        found = batch.rollout(controls.shape[1], np.ascontiguousarray(controls))["qpos"]
        return np.concatenate([states[:, None, : scene.model.nq], found], 1)

    def _different_models(self, coordinates: np.ndarray) -> list[mujoco.MjModel]:
        """A model for each simulation; simulations with the same constants share one."""
        made: dict[bytes, mujoco.MjModel] = {}
        for row in coordinates:
            key = row.tobytes()
            if key not in made:
                place = len(made)
                into = self._models[place] if place < len(self._models) else None
                made[key] = self.model_with(row, into)
                if into is None:
                    self._models.append(made[key])
        return [made[row.tobytes()] for row in coordinates]

    def _one_by_one(self, coordinates: np.ndarray, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        found, before, factors = [], self.world.snapshot(), self.world.factors
        for row, state, taken in zip(coordinates, states, actions, strict=True):
            values = self.values(row).items()
            self.world.set_factors(
                {name: min(max(v, factors[name].bounds[0]), factors[name].bounds[1]) for name, v in values}
            )
            self.world.set_state(state)
            found.append(self.world.simulate(taken.astype(np.float32)))
            self.world.restore(before)
        self._ends = np.stack([states[-1] for states in found])
        return np.stack(found)[:, :, : self.world.scene.model.nq]
