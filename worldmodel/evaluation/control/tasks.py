"""Protocols: where tasks come from, and when one counts as solved."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from worldmodel import envs
from worldmodel.envs import MujocoWorld, rollout
from worldmodel.envs.excitation import make_policy
from worldmodel.settings.verbs import PROTOCOLS, ControlConfig, EnvConfig, TrainConfig
from worldmodel.system.errors import UserError

# streams of task seeds, apart from each other and from those of data sets, which are (data_seed, episode)
_STREAMS = {"validation": 7_001, "test": 7_002}
_EPISODES_PER_TASK = 20


@dataclass(frozen=True)
class Protocol:
    """How a task is drawn and when it counts as solved.

    name: see `PROTOCOLS`. goal_steps: control steps from start to goal in the episode they come from. budget_steps:
    control steps to get there. drop_solved: leave out pairs that are solved at the start. wrap: compare angles on the
    circle. hold_steps: consecutive control steps for which the goal must be held. rewarded: count the world's own
    reward instead, from the world's own starts.
    """

    name: str
    goal_steps: int = 25
    budget_steps: int = 50
    drop_solved: bool = True
    wrap: bool = True
    hold_steps: int = 1
    rewarded: bool = False


def make_protocol(config: ControlConfig) -> Protocol:
    """The named protocol, with the steps of `config` where it gives any (0: the protocol's own)."""
    protocol = {
        # arXiv:2603.19312: raw joint values, a moment within tolerance is enough, pairs solved at the start stay in
        "lewm": Protocol("lewm", drop_solved=False, wrap=False),
        "strict": Protocol("strict", hold_steps=5),
        "reward": Protocol("reward", budget_steps=1000, rewarded=True),
    }[config.protocol]
    assert set(PROTOCOLS) == {"lewm", "strict", "reward"}
    goal_steps = config.goal_steps or protocol.goal_steps
    own_budget = protocol.budget_steps if protocol.rewarded else 2 * goal_steps
    return replace(protocol, goal_steps=goal_steps, budget_steps=config.budget_steps or own_budget)


@dataclass(frozen=True)
class Tasks:
    """Start and goal states (n, X), and every declared factor of each task.

    seed: task i runs in the episode of seed + i, for all that is drawn besides: where a target is, how constants drift.
    lead: how the start came about, for those who may watch before the clock runs: None, or states (n, X) from which the
    actions (n, L, A) led to the starts.
    """

    start: np.ndarray
    goal: np.ndarray
    factors: list[dict[str, float]]
    seed: int = 0
    lead: tuple[np.ndarray, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.start)

    def first(self, num: int) -> "Tasks":
        lead = None if self.lead is None else (self.lead[0][:num], self.lead[1][:num])
        return Tasks(self.start[:num], self.goal[:num], self.factors[:num], self.seed, lead)

    def solved_at_start(self, world: MujocoWorld, wrap: bool) -> float:
        """Share of tasks whose start is within tolerance of the goal already."""
        return float(np.mean([world.reached(s, g, wrap) for s, g in zip(self.start, self.goal, strict=True)]))


def draw_tasks(world: MujocoWorld, recorded: TrainConfig, protocol: Protocol, config: ControlConfig) -> Tasks:
    """`config.tasks` tasks, each from an episode of its own that no training saw.

    Episodes are simulated here, like those of the run's data set but from other seeds, or under `config.task_policy`;
    so a run needs no data set to be judged, and the same settings give the same tasks for every run of a world.
    """
    seeds = np.random.SeedSequence([_STREAMS[config.split], config.seed])
    if protocol.rewarded:
        return _rewarded_tasks(world, config.tasks, seeds)
    policy = make_policy(**({"name": config.task_policy} if config.task_policy else recorded.policy))
    lead_steps = config.lead_steps
    num_steps = max(recorded.episode_steps, lead_steps + protocol.goal_steps)
    # what is watched before the clock runs must be of the constants that hold then
    drift_rho = None if lead_steps else recorded.drift_rho
    starts, goals, factors, leads = [], [], [], []
    for seed in seeds.generate_state(_EPISODES_PER_TASK * config.tasks):
        episode = rollout(world, policy, seed=int(seed), num_steps=num_steps, drift_rho=drift_rho, render=False)
        room = len(episode.states) - protocol.goal_steps - lead_steps
        if room < 1:
            continue
        row = lead_steps + int(np.random.default_rng((int(seed), 2)).integers(room))
        start, goal = (episode.states[r].astype(np.float64) for r in (row, row + protocol.goal_steps))
        if protocol.drop_solved and world.reached(start, goal, protocol.wrap):
            continue
        starts.append(start)
        goals.append(goal)
        leads.append((episode.states[row - lead_steps].astype(np.float64), episode.actions[row - lead_steps : row]))
        factors.append(_bounded(world, dict(zip(world.factors, episode.factors[row], strict=True))))
        if len(starts) == config.tasks:
            states, actions = (np.stack(part) for part in zip(*leads, strict=True))
            lead = (states, actions) if lead_steps else None
            return Tasks(np.stack(starts), np.stack(goals), factors, lead=lead)
    raise UserError(
        f"{_EPISODES_PER_TASK * config.tasks} episodes of {num_steps} steps gave only {len(starts)} of {config.tasks} "
        "tasks: the others were solved at the start or ended early; set goal_steps, or a livelier policy"
    )


def _rewarded_tasks(world: MujocoWorld, num: int, seeds: np.random.SeedSequence) -> Tasks:
    """The world's own starts, and the state that the reward of each episode asks for."""
    first = int(seeds.generate_state(1)[0])
    starts, goals, factors = [], [], []
    for seed in range(first, first + num):
        world.restart(seed=seed)
        goal = world.scene.task_goal()
        if goal is None:
            raise UserError(
                f"world {world.name} names no state that its reward asks for, and protocol=reward plans to one; "
                "use protocol=lewm or protocol=strict, or give its scene task_goal"
            )
        starts.append(world.state())
        goals.append(goal)
        factors.append(world.factor_values)
    return Tasks(np.stack(starts), np.stack(goals), factors, first)


def _bounded(world: MujocoWorld, values: Mapping[str, Any]) -> dict[str, float]:
    """Factors as they were recorded; float32 may have rounded them just out of bounds."""
    return {name: float(np.clip(value, *world.factors[name].bounds)) for name, value in values.items()}


def trusted_world(env: EnvConfig, trust_world: bool) -> MujocoWorld:
    """The world of a run; one defined in a Python file is only made when the user trusts that file."""
    if ".py:" in env.world and not trust_world:
        raise UserError(
            f"the run's world is code in a file ({env.world}); if you trust that file, add trust_world=true"
        )
    return envs.make(**env.make_arguments())
