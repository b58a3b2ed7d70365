"""The episodes of a round: driven by the run's own controller, with noise on its actions."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from worldmodel import envs
from worldmodel.data.index import Index
from worldmodel.data.provenance import provenance
from worldmodel.data.recording import recording_of
from worldmodel.data.shards import FRAMES_PER_SHARD
from worldmodel.data.store import DataSet
from worldmodel.data.writing import write_data_set
from worldmodel.envs import BatchWorld, Episode, MujocoWorld
from worldmodel.envs.rollout import episode_seed
from worldmodel.evaluation.control.controllers import (
    GoalController,
    LatentController,
    RewardController,
    check_heads,
    plans_by_head,
)
from worldmodel.evaluation.control.landmarks import ways
from worldmodel.evaluation.control.planning import planner_of
from worldmodel.models import PlanningModel
from worldmodel.models.encoders import set_cpu_threads
from worldmodel.models.weights import WEIGHTS
from worldmodel.runs import Run
from worldmodel.settings import TrainConfig
from worldmodel.system.devices import pick_device, torch_kept
from worldmodel.system.digest import digest_of_file
from worldmodel.system.progress import progress

CONTROLLER = "controller"
"""Name of the policy in the index of a round's data set."""
_EPISODES_SHARE, _FEWEST_EPISODES = 0.2, 10
"""Episodes of a round over those of the recording, and the fewest; a tenth of them are for the test."""
_NOISE, _NOISE_STEPS = 0.5, 10
"""Largest standard deviation of the noise on planned actions, and control steps over which it is correlated. The first
episode of a round has none, the last one this, the others between."""
_GOAL_STEPS = 50
"""Control steps after which another recorded picture is the goal, in worlds that are about goals."""


@torch_kept()
def collect_round(config: TrainConfig, number: int) -> None:
    """Record a round with the model as it is; episodes that an earlier call has finished are kept.

    The data set's index says who drove: the run, the round, and a digest of the model's weights.
    """
    run = Run(config.run_directory)
    world = envs.make(**config.env.make_arguments())
    try:
        drive = _Drive(config, run, world, number)
        write_data_set(config.round_directory(number), drive.index(), drive.episodes, f"round {number}")
    finally:
        world.close()


class _Drive:
    """A world that the model of a run drives: to the reward where the model knows one, else to recorded pictures."""

    def __init__(self, config: TrainConfig, run: Run, world: MujocoWorld, number: int) -> None:
        self._config, self._run, self._world, self._number = config, run, world, number
        self._num_episodes = max(_FEWEST_EPISODES, round(_EPISODES_SHARE * config.collection.episodes))
        self._now = provenance(recording_of(config.collection).arguments(), world)
        model = run.model(pick_device(config.device))
        set_cpu_threads(model.eye.config, config.threads)
        check_heads(model, config.plan)
        self._model, self._planner = PlanningModel(model), planner_of(config.plan)
        self._by_reward = plans_by_head(model, world)
        self._graph = self._pictures = None  # of goals, where no reward is known
        if not self._by_reward:
            self._graph = ways(config.plan, model, config)
            self._pictures = DataSet(config.collection.directory, config.collection.num_episodes)

    def index(self) -> Index:
        """The index of the round's data set."""
        recording = recording_of(self._config.collection)
        policy: dict[str, Any] = {
            "name": CONTROLLER,
            "run": str(self._run.path),
            "round": self._number,
            "by": "reward" if self._by_reward else "recorded pictures",
            "noise": _NOISE,
            "model": digest_of_file(self._run.path / WEIGHTS),
        }
        settings = replace(recording.record(), policy=policy, drift_rho=None, restart_midway=False)
        per_shard = max(1, FRAMES_PER_SHARD // (self._config.collection.episode_steps + 1))
        return Index(recording.name, self._num_episodes, per_shard, settings, self._now.record, self._now.digest)

    def episodes(self, numbers: range) -> Iterator[Episode]:
        """The episodes of these numbers, which are driven side by side; a robot whose world ends its episode leaves."""
        seed = episode_seed(self._config.collection.data_seed, self._number)
        batch = BatchWorld(self._world, len(numbers))
        batch.reset(seed=seed // 2 + numbers.start)
        rng = np.random.default_rng((seed, numbers.start))
        noise = _Noise(self._levels(numbers), self._world.scene.action_dim, rng)
        logs = [_Log() for _ in numbers]
        open_, controller = np.arange(len(numbers)), self._controller(len(numbers), rng)
        frames, states = batch.frames(), batch.states
        for log, frame, state, factors in zip(logs, frames, states, batch.factors, strict=True):
            log.see(frame, state, factors)
        steps = self._config.collection.episode_steps
        for step in progress(range(steps), desc=f"drive {self._world.name}", unit="step"):
            if step and step % _GOAL_STEPS == 0 and isinstance(controller, GoalController):
                controller.aim(self._goals(len(open_), rng))
            actions = np.clip(controller.act(frames, states) + noise.next()[open_], -1, 1).astype(np.float32)
            controller.took(actions)
            frames, states = batch.step(actions)
            told = zip(open_, actions, batch.rewards, frames, states, batch.factors, strict=True)
            for index, action, reward, frame, state, factors in told:
                logs[index].act(action, reward)
                logs[index].see(frame, state, factors)
            stays = ~batch.ended | self._world.scene.goes_on_after_end
            if not stays.any():
                break
            if not stays.all():
                open_, frames, states = open_[stays], frames[stays], states[stays]
                batch.keep(stays)
                controller.keep(stays)
        yield from (log.episode() for log in logs)

    def _levels(self, numbers: range) -> np.ndarray:
        """Standard deviation of the noise of each episode, (n,): from none to the most, evenly over the round."""
        return _NOISE * np.array(numbers) / max(1, self._num_episodes - 1)

    def _controller(self, num: int, rng: np.random.Generator) -> LatentController:
        plan, seed = self._config.plan, int(rng.integers(2**31))
        if self._by_reward:
            return RewardController(self._model, self._planner, plan, num, None, seed)
        return GoalController(self._model, self._planner, plan, self._goals(num, rng), None, seed, self._graph)

    def _goals(self, num: int, rng: np.random.Generator) -> np.ndarray:
        """Recorded pictures, uint8 (n, S, S, 3)."""
        assert self._pictures is not None
        rows = rng.integers(self._pictures.num_rows, size=num)
        return np.concatenate([self._pictures.frames(slice(row, row + 1)) for row in rows])


class _Noise:
    """Gaussian noise on actions, correlated over some control steps."""

    def __init__(self, levels: np.ndarray, action_dim: int, rng: np.random.Generator) -> None:
        self._levels, self._rng = levels[:, None], rng
        self._value = rng.normal(size=(len(levels), action_dim))

    def next(self) -> np.ndarray:
        """The noise of the next control step, (n, A)."""
        keep = math.exp(-1 / _NOISE_STEPS)
        self._value = keep * self._value + math.sqrt(1 - keep**2) * self._rng.normal(size=self._value.shape)
        return self._levels * self._value


class _Log:
    """An episode while it happens."""

    def __init__(self) -> None:
        self._frames: list[np.ndarray] = []
        self._states: list[np.ndarray] = []
        self._factors: list[list[float]] = []
        self._actions: list[np.ndarray] = []
        self._rewards: list[float] = []

    def see(self, frame: np.ndarray, state: np.ndarray, factors: dict[str, float]) -> None:
        self._frames.append(frame)
        self._states.append(state)
        self._factors.append([*factors.values()])

    def act(self, action: np.ndarray, reward: float) -> None:
        self._actions.append(action)
        self._rewards.append(reward)

    def episode(self) -> Episode:
        return Episode(
            np.stack(self._frames),
            np.stack(self._states).astype(np.float32),
            np.stack(self._actions),
            np.array(self._rewards, np.float32),
            np.array(self._factors, np.float32).reshape(len(self._frames), -1),
            seed=0,  # none reproduces it, as the model drives
        )
