"""Protocols: where tasks come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from worldmodel.envs import MujocoWorld, rollout
from worldmodel.envs.excitation import make_policy
from worldmodel.evaluation.control.goal_rules import AUDITED, GoalRule, audited_rule, goal_rule
from worldmodel.runs import TaskProtocol
from worldmodel.settings import ControlConfig, PlanConfig, TrainConfig
from worldmodel.system.errors import UserError

# streams of task seeds, apart from each other and from those of data sets, which are (data_seed, episode)
_STREAMS = {"validation": 7_001, "test": 7_002}
_EPISODES_PER_TASK = 20


def make_protocol(config: ControlConfig, world: str, goal_steps: int | None = None) -> TaskProtocol:
    """The named protocol in a world, with the steps that `config` gives; `goal_steps`: where it gives none to the goal.

    Raises:
        UserError: the protocol has no rule for this world.
    """
    if config.protocol in AUDITED:
        rule = audited_rule(config.protocol, world)
        return TaskProtocol(config.protocol, hold_steps=rule.hold_steps, rule=str(rule))
    protocol = {
        # arXiv:2603.19312: raw joint values, a moment within tolerance is enough, pairs solved at the start stay in
        "lewm": TaskProtocol("lewm", drop_solved=False, wrap=False),
        "strict": TaskProtocol("strict", hold_steps=5),
        "reward": TaskProtocol("reward", budget_steps=1000, rewarded=True),
    }[config.protocol]
    goal_steps = config.goal_steps or goal_steps or protocol.goal_steps
    own_budget = protocol.budget_steps if protocol.rewarded else 2 * goal_steps
    return replace(protocol, goal_steps=goal_steps, budget_steps=config.budget_steps or own_budget)


@dataclass(frozen=True)
class Tasks:
    """n tasks: where each starts, where its goal is, and in which world."""

    start: np.ndarray
    """States (n, X)."""
    goal: np.ndarray
    """States (n, X)."""
    factors: list[dict[str, float]]
    """Of each task: every declared factor -> its value."""
    seed: int = 0
    """Task i runs in the episode of seed + i, which says where a target is and how constants drift."""
    lead: tuple[np.ndarray, np.ndarray] | None = None
    """How the starts came about, for controllers that may watch before the clock runs: states (n, X), from which the
    actions (n, L, A) led to the starts."""

    def __len__(self) -> int:
        return len(self.start)

    def part(self, first: int, end: int) -> "Tasks":
        """The tasks from number `first` to before `end`."""
        rows = slice(first, end)
        lead = None if self.lead is None else (self.lead[0][rows], self.lead[1][rows])
        return Tasks(self.start[rows], self.goal[rows], self.factors[rows], self.seed + first, lead)

    def solved_at_start(self, rule: GoalRule) -> float:
        """Share of tasks that are solved by their start already."""
        return float(np.mean([rule.reached(s, g) for s, g in zip(self.start, self.goal, strict=True)]))


def goal_frames(world: MujocoWorld, tasks: Tasks) -> np.ndarray:
    """Pictures of the goals, uint8 (n, S, S, 3)."""
    return photographs(world, tasks.goal, tasks.factors)


def photographs(world: MujocoWorld, states: np.ndarray, factors: Sequence[Mapping[str, float]]) -> np.ndarray:
    """Pictures of states (n, X), each under its factors, uint8 (n, S, S, 3)."""
    return np.stack([world.goal_frame(state, of) for state, of in zip(states, factors, strict=True)])


def draw_tasks(
    world: MujocoWorld, recorded: TrainConfig, protocol: TaskProtocol, config: ControlConfig, plan: PlanConfig
) -> Tasks:
    """`config.tasks` tasks, each from an episode of its own that no training saw.

    Episodes are simulated here, like those of the run's data set but from other seeds, or under `config.task_policy`;
    so a run needs no data set to be judged, and the same settings give the same tasks for every run of a world.
    """
    seeds = np.random.SeedSequence([_STREAMS[config.split], config.seed])
    if protocol.rewarded:
        return _rewarded_tasks(world, config.tasks, seeds)
    if not world.scene.goal_tolerance:
        raise UserError(
            f"world {world.name} does not say how near a goal counts as reached, so control cannot score it; give its "
            "scene a goal_tolerance (in a world of your own). probe, surprise and report need none"
        )
    policy = make_policy(**({"name": config.task_policy} if config.task_policy else recorded.collection.policy))
    lead_steps = plan.lead_steps
    num_steps = max(recorded.collection.episode_steps, lead_steps + protocol.goal_steps)
    # what is watched before the clock runs must happen under the constants that hold afterwards
    drift_rho = None if lead_steps else recorded.collection.drift_rho
    rule = goal_rule(world, protocol)
    starts, goals, factors, leads = [], [], [], []
    for seed in seeds.generate_state(_EPISODES_PER_TASK * config.tasks):
        episode = rollout(world, policy, seed=int(seed), num_steps=num_steps, drift_rho=drift_rho, render=False)
        room = len(episode.states) - protocol.goal_steps - lead_steps
        if room < 1:
            continue
        rows = lead_steps + np.arange(room)
        if protocol.name in AUDITED:  # its pairs are rare: any row that makes one, where elsewhere one row is tried
            ahead = rows + protocol.goal_steps
            rows = rows[[rule.admits(episode.states[r], episode.states[g]) for r, g in zip(rows, ahead, strict=True)]]
        if not len(rows):
            continue
        row = int(np.random.default_rng((int(seed), 2)).choice(rows))
        start, goal = (episode.states[r].astype(np.float64) for r in (row, row + protocol.goal_steps))
        if not rule.admits(start, goal):
            continue
        starts.append(start)
        goals.append(goal)
        leads.append((episode.states[row - lead_steps].astype(np.float64), episode.actions[row - lead_steps : row]))
        factors.append(bounded_factors(world, dict(zip(world.factors, episode.factors[row], strict=True))))
        if len(starts) == config.tasks:
            states, actions = (np.stack(part) for part in zip(*leads, strict=True))
            lead = (states, actions) if lead_steps else None
            return Tasks(np.stack(starts), np.stack(goals), factors, lead=lead)
    raise UserError(
        f"{_EPISODES_PER_TASK * config.tasks} episodes of {num_steps} steps gave only {len(starts)} of {config.tasks} "
        "tasks: the others were solved at the start or ended early; set goal_steps, or a task_policy that moves more"
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
                + ("use protocol=lewm or strict, or " if world.scene.goal_tolerance else "")
                + "give its scene task_goal"
            )
        starts.append(world.state())
        goals.append(goal)
        factors.append(world.factor_values)
    return Tasks(np.stack(starts), np.stack(goals), factors, first)


def bounded_factors(world: MujocoWorld, values: Mapping[str, float]) -> dict[str, float]:
    """Factors as they were recorded; float32 may have rounded them just out of bounds."""
    return {name: float(np.clip(value, *world.factors[name].bounds)) for name, value in values.items()}
