"""Protocols, and the tasks that they draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from worldmodel.envs import MujocoWorld, rollout
from worldmodel.envs.excitation import Policy, make_policy
from worldmodel.envs.world import Snapshot
from worldmodel.evaluation.control.goal_rules import AUDITED, GoalRule, audited_rule, goal_rule
from worldmodel.runs import TaskProtocol
from worldmodel.settings import MOST_STEPS, ControlConfig, PlanConfig, TrainConfig
from worldmodel.system.errors import UserError
from worldmodel.system.resident import require_frames

# streams of task seeds, apart from each other and from those of data sets, which are (data_seed, episode)
_STREAMS = {"validation": 7_001, "test": 7_002}
_EPISODES_PER_TASK = 20
_EPISODES_WITHOUT_TASK = 100
"""Episodes after which it is clear that there are no tasks, where none was found."""
_RAW_ANGLES = ("push_t", "reacher", "two_room")
"""Worlds in which lewm compares raw joint values, as arXiv:2603.19312 does; elsewhere no goal asks for what its picture
cannot show."""


def goal_distance(goal_s: float | None, world: MujocoWorld) -> int | None:
    """Control steps to a goal that lies `goal_s` seconds ahead; None for None."""
    return max(1, round(goal_s / world.control_dt_s)) if goal_s else None


def make_protocol(
    config: ControlConfig, world: str, goal_steps: int | None = None, episode_steps: int = 1000
) -> TaskProtocol:
    """The named protocol in a world, with the steps that `config` gives.

    Args:
        config: names the protocol.
        world: name of the world.
        goal_steps: control steps to the goal, where `config` gives none.
        episode_steps: control steps of the world's own episodes, over which its reward counts.

    Raises:
        UserError: the protocol has no rule for this world.
    """
    if config.protocol in AUDITED:
        rule = audited_rule(config.protocol, world)
        return TaskProtocol(config.protocol, hold_steps=rule.hold_steps, rule=str(rule))
    protocol = {
        # arXiv:2603.19312: a moment within tolerance is enough, and pairs solved at the start stay in
        "lewm": TaskProtocol("lewm", drop_solved=False, wrap=world not in _RAW_ANGLES),
        "strict": TaskProtocol("strict", hold_steps=5),
        "reward": TaskProtocol("reward", budget_steps=episode_steps, rewarded=True),
    }[config.protocol]
    goal_steps = config.goal_steps or goal_steps or protocol.goal_steps
    own_budget = protocol.budget_steps if protocol.rewarded else 2 * goal_steps
    budget_steps = config.budget_steps or own_budget
    return replace(protocol, goal_steps=goal_steps, budget_steps=budget_steps, goal_apart=config.goal_apart)


@dataclass(frozen=True)
class Tasks:
    """n tasks: where each starts, where its goal is, and in which world."""

    start: np.ndarray
    """States (n, X)."""
    goal: np.ndarray
    """States (n, X); NaN where the world's reward asks for no one state."""
    factors: list[dict[str, float]]
    """For each task: every declared factor -> its value."""
    seed: int = 0
    """Task i runs in the episode of seed + i, which says how constants drift, unless it has a moment."""
    lead: tuple[np.ndarray, np.ndarray] | None = None
    """How the starts came about, for controllers that may watch before the clock runs: states (n, X), from which the
    actions (n, L, A) led to the starts."""
    moments: list[Snapshot] | None = None
    """Where each task begins (or its lead), in worlds whose state does not determine an episode, or whose reset makes
    another model of each."""
    pictures: np.ndarray | None = None
    """Goal images as they were seen, in worlds whose state cannot be set, uint8 (n, S, S, 3)."""
    way: np.ndarray | None = None
    """The actions that led from the starts to the goals when they were recorded, (n, H, A); None where nobody went."""

    def __len__(self) -> int:
        return len(self.start)

    @property
    def have_goals(self) -> bool:
        """Whether each task has a state to reach."""
        return not np.isnan(self.goal).any()

    def part(self, first: int, end: int) -> "Tasks":
        """The tasks from number `first` to before `end`."""
        rows = slice(first, end)
        lead = None if self.lead is None else (self.lead[0][rows], self.lead[1][rows])
        moments = None if self.moments is None else self.moments[rows]
        pictures = None if self.pictures is None else self.pictures[rows]
        way = None if self.way is None else self.way[rows]
        seed = self.seed + first
        return Tasks(self.start[rows], self.goal[rows], self.factors[rows], seed, lead, moments, pictures, way)

    def solved_at_start(self, rule: GoalRule) -> float:
        """Share of tasks that are solved by their start already."""
        return float(np.mean([rule.reached(s, g) for s, g in zip(self.start, self.goal, strict=True)]))


def goal_frames(world: MujocoWorld, tasks: Tasks) -> np.ndarray:
    """Pictures of the goals, uint8 (n, S, S, 3)."""
    if tasks.pictures is not None:
        return tasks.pictures
    return photographs_of_tasks(world, tasks, tasks.goal)


def photographs(
    world: MujocoWorld, states: np.ndarray, factors: Sequence[Mapping[str, float]], moving: bool = True
) -> np.ndarray:
    """Pictures of states (n, X), each under its factors, uint8 (n, S, S, 3); moving=False leaves out what can move."""
    require_frames(len(states), world.image_size, "photographs", "lower tasks, or train on smaller frames")
    return np.stack([world.goal_frame(state, of, moving) for state, of in zip(states, factors, strict=True)])


def photographs_of_tasks(world: MujocoWorld, tasks: Tasks, states: np.ndarray, moving: bool = True) -> np.ndarray:
    """Pictures as the world looks now of states (n, X), each in its task's own episode, uint8 (n, S, S, 3)."""
    if tasks.moments is None:
        return photographs(world, states, tasks.factors, moving)
    require_frames(len(states), world.image_size, "photographs", "lower tasks, or train on smaller frames")
    before, shown = world.snapshot(), []
    for moment, state in zip(tasks.moments, states, strict=True):
        world.restore(moment)
        shown.append(world.goal_frame(state, moving=moving))
    world.restore(before)
    return np.stack(shown)


def task_policy(recorded: TrainConfig, config: ControlConfig) -> Policy:
    """The policy that draws tasks: that of the run's data, unless the settings name another."""
    return make_policy(**({"name": config.task_policy} if config.task_policy else recorded.collection.policy))


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
    policy = task_policy(recorded, config)
    lead_steps = plan.lead_steps
    num_steps = max(recorded.collection.episode_steps, lead_steps + protocol.goal_steps)
    if num_steps > MOST_STEPS:  # such numbers may stand in a stranger's run
        raise UserError(
            f"tasks would be parts of episodes of {num_steps} control steps, at most {MOST_STEPS} are simulated; set "
            "goal_steps, and plan.lead_steps=0"
        )
    # what is watched before the clock runs must happen under the constants that hold afterwards
    drift_rho = None if lead_steps else recorded.collection.drift_rho
    rule, rare = goal_rule(world, protocol), protocol.name in AUDITED or bool(protocol.goal_apart)
    by_state = world.scene.state_is_whole or protocol.name in AUDITED
    drawn: list[_Drawn] = []
    for tried, seed in enumerate(seeds.generate_state(_EPISODES_PER_TASK * config.tasks), 1):
        span = _Span(num_steps, lead_steps, protocol.goal_steps, drift_rho)
        if by_state:
            task = _from_states(world, policy, int(seed), span, rule if rare else None)
        else:
            task = _from_moments(world, policy, int(seed), span)
        if task is not None and rule.admits(task.start, task.goal):
            drawn.append(task)
        if len(drawn) == config.tasks:
            tasks = _together(drawn, lead_steps > 0)
            return _in_their_episodes(world, tasks, [one.seed for one in drawn]) if by_state else tasks
        if tried >= _EPISODES_WITHOUT_TASK and not drawn:
            break
    apart = f", or were never goal_apart={dict(protocol.goal_apart)}" if protocol.goal_apart else ""
    raise UserError(
        f"{tried} episodes of {num_steps} steps gave only {len(drawn)} of {config.tasks} tasks: the others were solved "
        f"at the start or ended early{apart}; set goal_steps, or a task_policy that moves more"
    )


class _Span(NamedTuple):
    """The part of an episode that a task is made of."""

    num_steps: int
    lead_steps: int
    goal_steps: int
    drift_rho: float | None

    def rows(self, num_frames: int) -> np.ndarray:
        """The frames at which the task may start."""
        return self.lead_steps + np.arange(max(0, num_frames - self.goal_steps - self.lead_steps))


class _Drawn(NamedTuple):
    """One task; fields that its world does not need are None."""

    seed: int
    start: np.ndarray
    goal: np.ndarray
    factors: dict[str, float]
    lead: tuple[np.ndarray, np.ndarray]
    way: np.ndarray
    moment: Snapshot | None = None
    picture: np.ndarray | None = None


def _from_states(world: MujocoWorld, policy: Policy, seed: int, span: _Span, rule: GoalRule | None) -> _Drawn | None:
    """A task between two states of an episode.

    rule: where pairs are rare, any row that makes one; None tries one row.
    """
    episode = rollout(world, policy, seed=seed, num_steps=span.num_steps, drift_rho=span.drift_rho, render=False)
    rows, states = span.rows(len(episode.states)), episode.states
    if rule is not None:
        rows = np.array([row for row in rows if rule.admits(states[row], states[row + span.goal_steps])], int)
    if not len(rows):
        return None
    row = int(np.random.default_rng((seed, 2)).choice(rows))
    start, goal = (states[r].astype(np.float64) for r in (row, row + span.goal_steps))
    first = row - span.lead_steps
    lead = states[first].astype(np.float64), episode.actions[first:row]
    way = episode.actions[row : row + span.goal_steps]
    factors = bounded_factors(world, dict(zip(world.factors, episode.factors[row], strict=True)))
    return _Drawn(seed, start, goal, factors, lead, way)


def _from_moments(world: MujocoWorld, policy: Policy, seed: int, span: _Span) -> _Drawn | None:
    """A task between two moments of an episode with constant factors: the start is kept as a snapshot, the goal as a
    picture."""
    rows = span.rows(span.num_steps + 1)
    if not len(rows):
        return None
    row = int(np.random.default_rng((seed, 2)).choice(rows))
    first, last = row - span.lead_steps, row + span.goal_steps
    world.restart(seed=seed)
    act = policy.begin(world, np.random.default_rng((seed, 1)))
    moment, states, actions = None, [world.state()], []
    for step in range(last):
        if step == first:
            moment = world.snapshot()
        actions.append(np.clip(act(states[-1]), -1, 1))
        _, terminated = world.advance(actions[-1])
        states.append(world.state())
        if terminated and not world.scene.goes_on_after_end and step + 1 < last:
            return None
    lead = states[first], np.array(actions[first:row], np.float32).reshape(span.lead_steps, world.scene.action_dim)
    way = np.array(actions[row:last], np.float32)
    return _Drawn(seed, states[row], states[last], world.factor_values, lead, way, moment, world.frame())


def _together(drawn: Sequence[_Drawn], has_lead: bool) -> Tasks:
    states, actions = (np.stack(part) for part in zip(*(task.lead for task in drawn), strict=True))
    moments = [task.moment for task in drawn if task.moment is not None]
    pictures = [task.picture for task in drawn if task.picture is not None]
    return Tasks(
        np.stack([task.start for task in drawn]),
        np.stack([task.goal for task in drawn]),
        [task.factors for task in drawn],
        lead=(states, actions) if has_lead else None,
        moments=moments or None,
        pictures=np.stack(pictures) if pictures else None,
        way=np.stack([task.way for task in drawn]),
    )


def far_turns(world: MujocoWorld, tasks: Tasks) -> list[str]:
    """Angles on a circle of which a goal counts and lies more than half a turn from the start."""
    apart = dict(zip(world.state_names, np.abs(tasks.goal - tasks.start).max(0), strict=True))
    return [name for name in world.scene.goal_tolerance if name in world.scene.angle_names and apart[name] > np.pi]


def _in_their_episodes(world: MujocoWorld, tasks: Tasks, seeds: Sequence[int], reward_hidden: bool = False) -> Tasks:
    """Tasks between states of the episodes of these seeds, as snapshots of their starts where states are not all of an
    episode: a reset may have moved walls or masses. Elsewhere the tasks as they are."""
    if not world.scene.state_is_whole:
        return begun(world, tasks)
    # the seeds of tasks without moments as well: the reset of some episodes may write, and of others not
    if _changes_model(world, [*seeds, *range(tasks.seed, tasks.seed + len(tasks))]):
        return begun(world, tasks, seeds, reward_hidden)
    return tasks


def _changes_model(world: MujocoWorld, seeds: Sequence[int]) -> bool:
    """Whether the reset of any of these episodes writes to the model."""
    before = world.snapshot()
    try:
        for seed in seeds:
            world.restart(seed=seed)
            if world.episode_model.reset_fields:
                return True
        return False
    finally:
        world.restore(before)


def begun(world: MujocoWorld, tasks: Tasks, seeds: Sequence[int] | None = None, reward_hidden: bool = False) -> Tasks:
    """Tasks as snapshots of their starts, in a world whose state can be set but is not all of an episode.

    seeds: of their episodes; None takes those of `Tasks.seed`.
    """
    moments, starts = [], tasks.start if tasks.lead is None else tasks.lead[0]
    seeds = range(tasks.seed, tasks.seed + len(tasks)) if seeds is None else seeds
    for seed, start, factors in zip(seeds, starts, tasks.factors, strict=True):
        world.restart(seed=seed, factors=factors, state=start, reward_hidden=reward_hidden)
        moments.append(world.snapshot())
    return replace(tasks, moments=moments)


def _rewarded_tasks(world: MujocoWorld, num: int, seeds: np.random.SeedSequence) -> Tasks:
    """The world's own starts, and the state that the reward of each episode asks for, where it asks for one."""
    if not world.scene.is_task:
        raise UserError(f"world {world.name} has no reward of its own; use protocol=lewm or strict")
    first = int(seeds.generate_state(1)[0])
    starts, goals, factors, moments = [], [], [], []
    for seed in range(first, first + num):
        world.restart(seed=seed, reward_hidden=True)
        starts.append(world.state())
        goal = world.scene.task_goal()
        goals.append(np.full(len(starts[-1]), np.nan) if goal is None else goal)
        factors.append(world.factor_values)
        if not world.scene.state_is_whole:
            moments.append(world.snapshot())
    tasks = Tasks(np.stack(starts), np.stack(goals), factors, first, moments=moments or None)
    return tasks if moments else _in_their_episodes(world, tasks, range(first, first + num), reward_hidden=True)


def bounded_factors(world: MujocoWorld, values: Mapping[str, float]) -> dict[str, float]:
    """Factors as they were recorded; float32 may have rounded them just out of bounds."""
    return {name: float(np.clip(value, *world.factors[name].bounds)) for name, value in values.items()}
