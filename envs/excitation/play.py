"""Playing with objects: short goals for them, reached by planning in the simulator. For data of worlds in which random
motion hardly ever touches what there is to move."""

import copy
from dataclasses import dataclass

import worldmodel.envs.rendering  # noqa: F401  # first: it sets MUJOCO_GL  # isort: skip

import mujoco
import numpy as np

from worldmodel.envs.excitation.noise import ou_process
from worldmodel.envs.excitation.ogbench_cubes import has_cubes, moves_cubes
from worldmodel.envs.excitation.policy import Actor, clip, require
from worldmodel.envs.futures import HeldControls, can_simulate, stepped
from worldmodel.envs.objects import MovableObject, movable_objects
from worldmodel.envs.world import MujocoWorld

_SPREAD = 2.0
"""Standard deviation of goals about where the object was at first, in sizes of the object, or radians."""
_REACHED = 0.3
"""Share of the way to a goal, at which the next one is drawn."""
_NEAR = 0.5
"""Standard deviation of candidates about the last plan; new candidates have 1."""
_LOOKS = 4
"""States of a future at which its cost is measured."""


@dataclass(frozen=True)
class ObjectPlay:
    """One object after another is moved a little: a random goal near by, planned for in the simulator.

    An object is what can be touched and no actuator acts on (envs/objects.py). A goal is at most one size of the
    object, or one radian, from where it is, and leads back where the object has been moved far. Plans are made by
    predictive sampling (Howell et al., 2022, arXiv:2212.00541): of some candidates, half of them near the last plan,
    the one is followed in which the object comes nearest to its goal, and the robot to the object. Where another
    library computes the controls, candidates are simulated by its own steps, which is slower.

    OGBench's cubes are moved by that library's own scripted policy instead, see envs/excitation/ogbench_cubes.py.
    """

    candidates: int = 32
    """Sequences of actions that are simulated for a plan."""

    horizon_s: float = 0.5
    """Seconds that a plan looks ahead."""

    replan_s: float = 0.1
    """Seconds for which a plan is followed."""

    goal_s: float = 2.0
    """Seconds after which the next goal is drawn, unless this one is nearly reached before."""

    noise: float = 0.2
    """Standard deviation of the noise on the planned actions."""

    time_constant_s: float = 0.3
    """Seconds over which candidates and noise are correlated."""

    def __post_init__(self) -> None:
        require("candidates", self.candidates, self.candidates >= 2, ">= 2")
        require("noise", self.noise, self.noise >= 0, ">= 0")
        for name in ("horizon_s", "replan_s", "goal_s", "time_constant_s"):
            require(name, getattr(self, name), getattr(self, name) > 0, "> 0")

    def begin(self, world: MujocoWorld, rng: np.random.Generator) -> Actor:
        if has_cubes(world.scene):
            return moves_cubes(world.scene, self.noise, rng)
        return _Player(self, world, rng).act


class _Player:
    """Plays through one episode."""

    def __init__(self, policy: ObjectPlay, world: MujocoWorld, rng: np.random.Generator) -> None:
        self._policy, self._world, self._rng = policy, world, rng
        self._objects = _objects(world)
        self._model = copy.copy(world.scene.model)  # the constants at the start of the episode
        self._data = mujoco.MjData(self._model)
        self._held = HeldControls(world) if can_simulate(world.scene) else None
        self._first = world.scene.data.qpos.copy()
        self._noise = ou_process(rng, world.scene.action_dim, world.control_dt_s, policy.time_constant_s)
        self._plan = np.zeros((self._steps(policy.horizon_s), world.scene.action_dim))
        self._step = self._until = 0
        self._goal, self._first_way = np.zeros(3), 0.0

    def act(self, state: np.ndarray) -> np.ndarray:
        """The next action, float32 (A,), in a state (X,)."""
        if self._step >= self._until or self._way(state) < _REACHED * self._first_way:
            self._object = self._objects[self._rng.integers(len(self._objects))]
            self._goal = self._drawn_goal(state)
            self._first_way = max(self._way(state), 1e-6)  # a turn may leave every centre where it is
            self._until = self._step + self._steps(self._policy.goal_s)
        if self._step % self._steps(self._policy.replan_s) == 0:
            self._plan = self._best(state)
        self._step += 1
        action, self._plan = self._plan[0], np.concatenate([self._plan[1:], self._plan[-1:]])
        return clip(action + self._policy.noise * self._noise())

    def _steps(self, seconds: float) -> int:
        return max(1, round(seconds / self._world.control_dt_s))

    def _drawn_goal(self, state: np.ndarray) -> np.ndarray:
        """Where the geoms of the object should be, (g, 3)."""
        model, dofs = self._model, self._object.dofs
        unit = np.where(_turns(model)[dofs], 1.0, self._object.size_m)
        position, moved = state[: model.nq].copy(), np.zeros(model.nv)
        mujoco.mj_differentiatePos(model, moved, 1.0, self._first, position)
        wish = _SPREAD * self._rng.standard_normal(len(dofs)) - moved[dofs] / unit
        change = np.zeros(model.nv)
        change[dofs] = unit * wish / max(1.0, float(np.linalg.norm(wish)))
        mujoco.mj_integratePos(model, position, change, 1.0)
        return self._places(position)

    def _best(self, state: np.ndarray) -> np.ndarray:
        """The best of the candidates, (H, A)."""
        candidates = self._candidates()
        if self._held:
            num = len(candidates)
            futures = self._held.states([self._model] * num, state[None].repeat(num, 0), candidates)
        else:
            futures = stepped(self._world, candidates)
        looks = np.unique(np.linspace(0, futures.shape[1] - 1, _LOOKS + 1).astype(int)[1:])
        costs = np.array([self._cost(future[looks]) for future in futures])
        return candidates[np.argmin(np.where(np.isfinite(costs), costs, np.inf))]  # some may diverge

    def _candidates(self) -> np.ndarray:
        """(K, H, A) in [-1, 1]: the last plan, some near it, and new ones."""
        num, (horizon, action_dim) = self._policy.candidates, self._plan.shape
        noise = ou_process(self._rng, num * action_dim, self._world.control_dt_s, self._policy.time_constant_s)
        candidates = np.stack([noise() for _ in range(horizon)]).reshape(horizon, num, action_dim).swapaxes(0, 1)
        near = num // 2
        candidates[:near] = self._plan + _NEAR * candidates[:near]
        candidates[0] = self._plan
        return np.clip(candidates, -1, 1)

    def _cost(self, states: np.ndarray) -> float:
        """Mean over states (L, X) of the way to the goal, over what it was, and of the gap, over the object's size."""
        costs = []
        for state in states:
            way = self._way(state)
            gap = max(0.0, self._object.gap(self._model, self._data))  # of the poses that `_way` has left
            costs.append(way / self._first_way + gap / self._object.size_m)
        return float(np.mean(costs))

    def _way(self, state: np.ndarray) -> float:
        """Mean distance of the geoms from where they should be, in metres."""
        return float(np.linalg.norm(self._places(state) - self._goal, axis=1).mean())

    def _places(self, state: np.ndarray) -> np.ndarray:
        """Where the geoms of the object are in a state that begins with the positions, (g, 3)."""
        self._data.qpos[:] = state[: self._model.nq]
        mujoco.mj_kinematics(self._model, self._data)
        return self._object.places(self._data)


def _objects(world: MujocoWorld) -> tuple[MovableObject, ...]:
    """The objects of a world; ValueError where there are none, or no simulator to plan in."""
    if world.scene.tells_state or world.scene.kinematic is not None:
        raise ValueError(f"policy play plans in MuJoCo, and {world.name} is not moved by it; use ou")
    if objects := movable_objects(world.scene.model):
        return objects
    raise ValueError(
        f"policy play moves objects, and {world.name} has nothing that its robot could touch and does not drive; use "
        "ou, or ou_tracking for its joints"
    )


def _turns(model: mujoco.MjModel) -> np.ndarray:
    """Whether each degree of freedom is a rotation, bool (nv,)."""
    turns = np.zeros(model.nv, bool)
    for joint in range(model.njnt):
        kind, first = mujoco.mjtJoint(model.jnt_type[joint]), model.jnt_dofadr[joint]
        if kind == mujoco.mjtJoint.mjJNT_FREE:
            turns[first + 3 : first + 6] = True
        elif kind != mujoco.mjtJoint.mjJNT_SLIDE:
            turns[first : first + (3 if kind == mujoco.mjtJoint.mjJNT_BALL else 1)] = True
    return turns
