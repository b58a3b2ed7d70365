"""`worldmodel control`: MPC in the latent space towards goal images, beside a random policy and the oracle."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import envs
from envs import BatchWorld, MujocoWorld
from planners import MPC, ActionCost, GoalDistance, MPCState, Objective, Planner, WeightedSum, make_planner
from worldmodel.config import read_run_config
from worldmodel.data.pairs import window_starts
from worldmodel.data.store import DataSet
from worldmodel.errors import UserError
from worldmodel.models import WorldModel
from worldmodel.oracle import SimulatorDynamics, goal_features
from worldmodel.progress import progress
from worldmodel.report import figures, videos
from worldmodel.run_directory import RunDirectory
from worldmodel.settings import ControlConfig, EnvConfig
from worldmodel.statistics import wilson_interval
from worldmodel.train import pick_device, set_cpu_threads

VIDEO_TAIL_STEPS = 8
MIN_CONTEXT_STEPS = 8


@dataclass(frozen=True)
class Tasks:
    """Start and goal states (n, X), and every declared factor of each task."""

    start: np.ndarray
    goal: np.ndarray
    factors: list[dict[str, float]]

    def __len__(self) -> int:
        return len(self.start)

    def first(self, num: int) -> "Tasks":
        return Tasks(self.start[:num], self.goal[:num], self.factors[:num])


@dataclass(frozen=True)
class Outcome:
    """What a controller did: step at which each task was first solved (n,), -1 if never; CPU seconds spent deciding."""

    solved_at: np.ndarray
    decision_cpu_s: float
    num_decisions: int
    frames: np.ndarray | None = None

    @property
    def rate(self) -> float:
        return float((self.solved_at >= 0).mean())

    def interval(self) -> list[float]:
        return wilson_interval(int((self.solved_at >= 0).sum()), len(self.solved_at))


# frames (n, S, S, 3), states (n, X) and which tasks are solved (n,) in; actions (n, A) out
Controller = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def control(config: ControlConfig) -> Path:
    """Run the tasks under three controllers and add the "control" section to the run's summary."""
    run = RunDirectory.open(Path(config.run))
    trained = read_run_config(run.path)
    model = WorldModel.load(run.path, pick_device(config.device))
    set_cpu_threads(model.config.encoder)
    planner = make_planner(**config.planner)
    data = DataSet(Path(config.data or trained.data) / trained.env.label)
    world = trusted_world(trained.env, config.trust_world)
    _check_fits(model, world)
    tasks = draw_tasks(world, data, config)

    latent = LatentController(model, planner, config, tasks, world)
    outcome = run_tasks(world, tasks, latent, config.budget_steps, "latent MPC", config.videos)
    random = run_tasks(world, tasks, _random_controller(world, config.seed), config.budget_steps, "random policy")
    rates = {"latent MPC": outcome, "random policy": random}
    if config.oracle:
        few = tasks.first(config.oracle_tasks)
        oracle = OracleController(world, few, planner, config)
        rates["simulator oracle"] = run_tasks(world, few, oracle, config.budget_steps, "simulator oracle")
    world.close()

    figures.success_bars(
        run.figures / "success.png",
        {name: (result.rate, *result.interval()) for name, result in rates.items()},  # type: ignore[misc]
    )
    figures.planner_cost(run.figures / "planner_cost.png", *latent.traces(outcome.solved_at))
    filmed = _film(run, latent.goal_frames, 1 / world.control_dt_s, outcome)
    run.update_summary("control", control=_section(config, tasks, rates, filmed))
    return run.path


def trusted_world(env: EnvConfig, trust_world: bool) -> MujocoWorld:
    """The world of a run; one defined in a Python file is only made when the user trusts that file."""
    if ".py:" in env.world and not trust_world:
        raise UserError(
            f"the run's world is code in a file ({env.world}); if you trust that file, add trust_world=true"
        )
    return envs.make(**env.make_arguments())


def _check_fits(model: WorldModel, world: MujocoWorld) -> None:
    if model.predictor is None:
        raise UserError(
            "this run has no dynamics predictor (its world has no actions); control needs one, e.g. env=reacher"
        )
    if model.action_dim != world.scene.action_dim:
        raise UserError(
            f"the model's actions have {model.action_dim} numbers, those of {world.name} {world.scene.action_dim}; "
            "use the world the model was trained on"
        )


def draw_tasks(world: MujocoWorld, data: DataSet, config: ControlConfig) -> Tasks:
    """Start and goal from one held-out episode, `goal_steps` apart; pairs that are solved at the start are left out."""
    rng = np.random.default_rng(config.seed)
    starts = rng.permutation(window_starts(data.split(config.split), config.goal_steps + 1).numpy())
    states = data.states.astype(np.float64)
    rows = [row for row in starts if not world.reached(states[row + config.goal_steps], states[row])]
    if len(rows) < config.tasks:
        raise UserError(
            f"the {config.split} split holds {len(rows)} distinct tasks, {config.tasks} were asked for; "
            "collect more episodes, or set tasks lower"
        )
    chosen = np.array(rows[: config.tasks])
    factors = [
        {name: _within(world, name, value) for name, value in zip(data.factor_names, data.factors[row], strict=True)}
        for row in chosen
    ]
    return Tasks(states[chosen], states[chosen + config.goal_steps], factors)


def _within(world: MujocoWorld, name: str, value: float) -> float:
    """A factor as it was recorded; float32 may have rounded it just out of bounds."""
    return float(np.clip(value, *world.factors[name].bounds))


def run_tasks(
    world: MujocoWorld, tasks: Tasks, controller: Controller, budget_steps: int, name: str, num_filmed: int = 0
) -> Outcome:
    """Run all tasks side by side for `budget_steps`, or until every one is solved (and the filmed ones have rested)."""
    batch = BatchWorld(world, len(tasks))
    batch.reset(states=tasks.start, factors=tasks.factors)
    frames, states = batch.frames(), batch.states
    solved_at = np.full(len(tasks), -1)
    filmed = [frames[:num_filmed]]
    cpu_s = 0.0
    steps_done = 0
    for step in progress(range(1, budget_steps + 1), desc=name, unit="step"):
        begun = time.process_time()
        actions = controller(frames, states, solved_at >= 0)
        cpu_s += time.process_time() - begun
        frames, states = batch.step(actions)
        steps_done = step
        filmed.append(frames[:num_filmed])
        for i in np.flatnonzero(solved_at < 0):
            if world.reached(states[i], tasks.goal[i]):
                solved_at[i] = step
        if (solved_at >= 0).all() and step >= solved_at[:num_filmed].max(initial=0) + VIDEO_TAIL_STEPS:
            break
    return Outcome(solved_at, cpu_s, steps_done * len(tasks), np.stack(filmed))


class LatentController:
    """MPC in the latent space from pixels alone; remembers costs and distances for the planner's picture."""

    def __init__(
        self, model: WorldModel, planner: Planner, config: ControlConfig, tasks: Tasks, world: MujocoWorld
    ) -> None:
        self._model, self._mpc = model, MPC(model, planner, config.replan_every)
        self._generator = torch.Generator().manual_seed(config.seed)
        goals = np.stack(
            [world.goal_frame(state, factors) for state, factors in zip(tasks.goal, tasks.factors, strict=True)]
        )
        self.goal_frames = goals
        with torch.no_grad():
            self._goal = model.encode_goal(self._tensor(goals))
        distance = GoalDistance(self._goal, config.reduction)  # type: ignore[arg-type]
        self._objective: Objective = (
            WeightedSum(((1.0, distance), (config.action_cost, ActionCost(1.0)))) if config.action_cost else distance
        )
        self._state: MPCState | None = None
        self._latents: list[Tensor] = []
        self._actions: list[Tensor] = []
        self._cost_curve: np.ndarray | None = None

    def __call__(self, frames: np.ndarray, states: np.ndarray, solved: np.ndarray) -> np.ndarray:
        seen = self._tensor(frames)
        if self._state is None:
            self._state = self._mpc.init(seen)
        else:
            self._state = self._mpc.observe(self._state, seen, self._actions[-1])
        self._latents.append(self._model.encode_goal(seen))
        actions, self._state, plan = self._mpc.act(self._state, self._objective, self._generator, self._context())
        if plan is not None and self._cost_curve is None:
            self._cost_curve = plan.diagnostics["cost_curve"].cpu().numpy()
        self._actions.append(actions)
        return actions.cpu().numpy()

    def _context(self) -> Tensor | None:
        """The constants, from what was seen so far; before enough was seen their prior mean, which is 0."""
        encoder = self._model.context_encoder
        if encoder is None:
            return None
        if len(self._latents) <= MIN_CONTEXT_STEPS:
            return torch.zeros(len(self._goal), encoder.config.dim, device=self._goal.device)
        window = encoder.config.window
        latents, actions = self._latents[-window - 1 :], self._actions[-window:]
        with torch.no_grad():
            return encoder(torch.stack(latents, 1), torch.stack(actions, 1))

    def _tensor(self, frames: np.ndarray) -> Tensor:
        return torch.from_numpy(frames).movedim(-1, -3).to(self._model.device)

    def traces(self, solved_at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Best cost by iteration of the first plan (I, n), and latent distance to the goal (T, n), NaN once solved."""
        assert self._cost_curve is not None
        distances = torch.stack([(seen - self._goal).norm(dim=-1) for seen in self._latents]).double().cpu().numpy()
        steps = np.arange(len(distances))[:, None]
        return self._cost_curve, np.where((solved_at >= 0) & (steps > solved_at), np.nan, distances)


class OracleController:
    """The same planner on the true simulator and the true state; solved tasks are no longer planned for."""

    def __init__(self, world: MujocoWorld, tasks: Tasks, planner: Planner, config: ControlConfig) -> None:
        self._dynamics = SimulatorDynamics(world, tasks.factors)
        self._planner, self._reduction = planner, config.reduction
        self._generator = torch.Generator().manual_seed(config.seed)
        self._goal = torch.from_numpy(goal_features(world, tasks.goal)).float()
        self._warm: Tensor | None = None

    def __call__(self, frames: np.ndarray, states: np.ndarray, solved: np.ndarray) -> np.ndarray:
        actions = np.zeros((len(states), self._dynamics.action_dim), np.float32)
        active = np.flatnonzero(~solved)
        if len(active) == 0:
            return actions
        chosen = torch.from_numpy(active)
        plan = self._planner.plan(
            self._dynamics.subset(active),
            GoalDistance(self._goal[chosen], self._reduction),  # type: ignore[arg-type]
            torch.from_numpy(states[active]),
            warm_start=None if self._warm is None else self._warm[chosen],
            generator=self._generator,
        )
        if self._warm is None:
            self._warm = torch.zeros(len(states), *plan.actions.shape[1:], dtype=plan.actions.dtype)
        self._warm[chosen, :-1] = plan.actions[:, 1:]
        actions[active] = plan.actions[:, 0].numpy()
        return actions


def _random_controller(world: MujocoWorld, seed: int) -> Controller:
    rng = np.random.default_rng(seed)

    def act(frames: np.ndarray, states: np.ndarray, solved: np.ndarray) -> np.ndarray:
        return rng.uniform(-1, 1, (len(states), world.scene.action_dim)).astype(np.float32)

    return act


def _film(run: RunDirectory, goals: np.ndarray, fps: float, outcome: Outcome) -> list[str]:
    """Videos of the filmed tasks, the goal beside the view; paths relative to the run."""
    assert outcome.frames is not None
    paths = []
    for i in range(outcome.frames.shape[1]):
        solved = int(outcome.solved_at[i])
        last = solved + VIDEO_TAIL_STEPS if solved >= 0 else len(outcome.frames) - 1
        views = outcome.frames[: last + 1, i]
        reached = (np.arange(len(views)) >= solved) & (solved >= 0)
        path = run.videos / f"control_{i:03d}.mp4"
        videos.control_video(path, views, goals[i], reached, min(20.0, fps))
        paths.append(str(path.relative_to(run.path)))
    return paths


def _section(config: ControlConfig, tasks: Tasks, rates: dict[str, Outcome], filmed: list[str]) -> dict[str, object]:
    mpc, random = rates["latent MPC"], rates["random policy"]
    solved = mpc.solved_at[mpc.solved_at >= 0]
    section: dict[str, object] = {
        "success_rate": mpc.rate,
        "success_interval": mpc.interval(),
        "random_success_rate": random.rate,
        "random_success_interval": random.interval(),
        "num_tasks": len(tasks),
        "goal_steps": config.goal_steps,
        "budget_steps": config.budget_steps,
        "median_steps_to_goal": float(np.median(solved)) if len(solved) else None,
        "cpu_ms_per_decision": 1e3 * mpc.decision_cpu_s / mpc.num_decisions,
        "planner": dict(config.planner),
        "reduction": config.reduction,
        "videos": filmed,
    }
    if "simulator oracle" in rates:
        oracle = rates["simulator oracle"]
        section |= {
            "oracle_success_rate": oracle.rate,
            "oracle_success_interval": oracle.interval(),
            "oracle_num_tasks": len(oracle.solved_at),
        }
    return section
