"""`python -m benchmarks.pictures`: the moving picture of the README, and the figures that it shows.

The reacher's arm is driven through a tour of goal images by the model that comes with the package. The goals are poses
of one recorded episode, one second apart; none is left out. `docs/images/reach.gif` is the picture, and
`docs/images/reach.json` holds the figures in it, a digest of the picture and one of the model, by which a test tells
when they no longer belong together.

Letters: T control steps, S image side, X state.
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from worldmodel import envs
from worldmodel.envs import make_policy
from worldmodel.figures import style
from worldmodel.models import PlanningModel
from worldmodel.planners import MPC, GoalDistance, LearnedDistance, Objective, Staged, make_planner
from worldmodel.runs import Run
from worldmodel.system import write_json

RUN = "zoo/reacher"
PICTURE = Path(__file__).parents[1] / "docs/images/reach.gif"
SEED = 2
NUM_GOALS = 4
GOAL_STEPS = 50
BUDGET_STEPS = 100
HOLD_STEPS = 5
LINGER_STEPS = 10
"""Control steps for which the picture stays at a goal that was reached."""
NEAR_STEPS = 5
"""Travel time, in control steps, below which latent distance is the better cost; as in `metric=staged`."""
VIEW_PX = 220
_PLACES = ((0.015, 0.03, 0.28, 0.84), (0.315, 0.03, 0.28, 0.84), (0.65, 0.19, 0.33, 0.68))
"""Left, bottom, width and height of the three panels, as shares of the picture."""
FRAME_MS = 40
"""How long a frame is shown: twice the control step, so the picture runs at half speed."""


@dataclass(frozen=True)
class Goal:
    """The outcome for one goal image."""

    reached_after_s: float | None
    """Simulated seconds until the arm arrived and stayed; None where it did not within the budget."""
    distance_at_start: float
    """Latent distance to the goal when the goal appeared."""
    distance_at_end: float
    """Latent distance when the next goal appeared."""
    joint_error_rad: list[float]
    """Absolute error of each joint at that time."""


@dataclass(frozen=True)
class Tour:
    """The arm's way from goal to goal; row t is what was seen before action t."""

    states: np.ndarray
    """States of the arm (T, X)."""
    goal_states: np.ndarray
    """States of the goal at the time (T, X)."""
    distances: np.ndarray
    """Latent distance to that goal (T,)."""
    there: np.ndarray
    """Whether the arm was within tolerance of it, bool (T,)."""
    goals: list[Goal]
    """The goals, in the order in which they were set."""


class Driver:
    """Model predictive control of the arm from pixels."""

    def __init__(self, seed: int) -> None:
        run = Run(RUN)
        self.settings = run.config
        self.world = envs.make(**self.settings.env.make_arguments())
        self._model = PlanningModel(run.model())
        self._mpc = MPC(self._model, make_planner(**self.settings.plan.planner))
        self._generator = torch.Generator().manual_seed(seed)

    def start(self, state: np.ndarray) -> None:
        """Put the arm into `state`."""
        self.world.restart(seed=0, state=state)
        self._state = self._mpc.init(as_tensor(self.world.frame()))

    def embed_goal(self, state: np.ndarray) -> Tensor:
        """The latent (1, D) of a picture of the arm in `state`."""
        return self._model.embed(as_tensor(self.world.goal_frame(state, self.world.factor_values)))

    def distance(self, goal: Tensor) -> float:
        """Latent distance from what is seen now."""
        return float((self._state.latents[:, -1] - goal).norm())

    def act(self, goal: Tensor) -> None:
        """One control step towards the goal."""
        actions, self._state, _ = self._mpc.act(self._state, self._cost(goal), self._generator)
        self.world.advance(actions[0].numpy())
        self._state = self._mpc.observe(self._state, as_tensor(self.world.frame()), actions)

    @torch.no_grad()
    def _cost(self, goal: Tensor) -> Objective:
        heads = self._model.heads
        assert heads is not None, f"{RUN} comes with goal heads"
        near = heads.squared_time(self._state.latents[:, -1], goal) < NEAR_STEPS**2
        return Staged(GoalDistance(goal), LearnedDistance(goal, heads.squared_time), near)


def as_tensor(frame: np.ndarray) -> Tensor:
    """A frame uint8 (S, S, 3) as the model takes it, (1, 3, S, S)."""
    return torch.from_numpy(frame).permute(2, 0, 1)[None]


def goal_tour(driver: Driver, seed: int) -> np.ndarray:
    """The start and the goals, (1 + NUM_GOALS, X): poses of one recorded episode, at rest."""
    policy = make_policy(**driver.settings.collection.policy)
    episode = envs.rollout(driver.world, policy, seed=seed, num_steps=NUM_GOALS * GOAL_STEPS, render=False)
    states = episode.states[::GOAL_STEPS].astype(np.float64)
    states[:, states.shape[1] // 2 :] = 0
    return states


def drive(seed: int = SEED) -> Tour:
    """Drive the arm through its goals, one after the other, from wherever it is."""
    driver = Driver(seed)
    start, *targets = goal_tour(driver, seed)
    driver.start(start)
    rows: list[tuple[np.ndarray, np.ndarray, float, bool]] = []
    goals = []
    for target in targets:
        seen = _reach(driver, target)
        rows += [(state, target, distance, there) for state, distance, there in seen]
        goals.append(_outcome(driver, target, seen))
    states, goal_states, distances, there = (np.array(column) for column in zip(*rows, strict=True))
    return Tour(states, goal_states, distances, there, goals)


def _reach(driver: Driver, target: np.ndarray) -> list[tuple[np.ndarray, float, bool]]:
    """State, latent distance and whether the arm is there, before each action, until the goal was held a while."""
    goal, seen, held = driver.embed_goal(target), [], 0
    for _ in range(BUDGET_STEPS):
        there = driver.world.reached(driver.world.state(), target)
        seen.append((driver.world.state(), driver.distance(goal), there))
        held = held + 1 if there else 0
        if held == HOLD_STEPS + LINGER_STEPS:
            break
        driver.act(goal)
    return seen


def _outcome(driver: Driver, target: np.ndarray, seen: list[tuple[np.ndarray, float, bool]]) -> Goal:
    there = np.array([row[2] for row in seen])
    last_away = np.flatnonzero(~there).max(initial=-1)
    stayed = len(there) - 1 - last_away
    state, distance, _ = seen[-1]
    joints = len(target) // 2
    error = np.angle(np.exp(1j * (state - target)[:joints]))  # of angles on the circle
    return Goal(
        reached_after_s=round(float((last_away + 1) * driver.world.control_dt_s), 3) if stayed >= HOLD_STEPS else None,
        distance_at_start=round(seen[0][1], 3),
        distance_at_end=round(distance, 3),
        joint_error_rad=[round(float(angle), 3) for angle in np.abs(error)],
    )


def frames(tour: Tour) -> list[np.ndarray]:
    """The picture's frames: the arm, the goal image, and latent distance until now."""
    view = envs.make(**{**Run(RUN).config.env.make_arguments(), "image_size": VIEW_PX, "supersample": 2})
    arms, goals = (
        [view.goal_frame(state, view.factor_values) for state in states] for states in (tour.states, tour.goal_states)
    )
    with style.styled():
        return [_frame(tour, step, arms[step], goals[step], view.control_dt_s) for step in range(len(arms))]


def _frame(tour: Tour, step: int, arm: np.ndarray, goal: np.ndarray, dt_s: float) -> np.ndarray:
    figure = style.new_figure(7.6, 2.55)
    figure.set_dpi(100)
    figure.set_layout_engine("none")  # every frame alike
    left, middle, right = (figure.add_axes(place) for place in _PLACES)
    colour = style.TEAL if tour.there[step] else style.INK
    _image(left, arm, "robot: at the goal" if tour.there[step] else "robot", colour)
    _image(middle, goal, "goal image", style.INK)
    _distance(right, tour, step, dt_s)
    return _pixels(figure)


def _image(axes: Axes, image: np.ndarray, title: str, colour: str) -> None:
    axes.imshow(image)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=12, color=colour)
    for spine in axes.spines.values():
        spine.set(visible=True, color=colour, linewidth=2)


def _distance(axes: Axes, tour: Tour, step: int, dt_s: float) -> None:
    seconds = np.arange(len(tour.distances)) * dt_s
    starts = [0, *np.flatnonzero((np.diff(tour.goal_states, axis=0) != 0).any(1)) + 1]
    for start, end in zip(starts, [*starts[1:], len(seconds)], strict=True):
        seen = slice(start, min(end, step + 1))
        axes.plot(seconds[seen], tour.distances[seen], color=style.BLUE)
        if 0 < start <= step:
            axes.axvline(float(seconds[start]), color=style.RULE, linewidth=1, zorder=0)
    axes.plot(seconds[step], tour.distances[step], "o", color=style.BLUE, markersize=6, clip_on=False)
    axes.set(xlim=(0, seconds[-1]), ylim=(0, 1.08 * tour.distances.max()))
    axes.set_title("latent distance to the goal", fontsize=12)
    axes.set_xlabel("seconds", fontsize=11)
    axes.tick_params(labelsize=10)


def _pixels(figure: Figure) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # type: ignore[attr-defined]


def digests() -> dict[str, str]:
    """SHA-256 of the picture and of the model that drives in it, in hexadecimal."""
    files = {"picture_sha256": PICTURE, "model_sha256": Run(RUN).path / "model.safetensors"}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def figures_of(tour: Tour) -> dict[str, Any]:
    """What the picture shows, ready for JSON."""
    return {
        "command": "python -m benchmarks.pictures",
        "run": RUN,
        **digests(),
        "seed": SEED,
        "goals": [asdict(goal) for goal in tour.goals],
    }


def main() -> None:
    """Write the picture and its figures."""
    torch.set_num_threads(1)
    tour = drive()
    shown = frames(tour)
    imageio.imwrite(PICTURE, shown, duration=FRAME_MS, loop=0, optimize=True)
    write_json(PICTURE.with_suffix(".json"), figures_of(tour))
    for goal in tour.goals:
        print(goal)
    print(f"wrote {PICTURE}, {len(shown)} frames, {PICTURE.stat().st_size / 2**20:.2f} MB")


if __name__ == "__main__":
    main()
