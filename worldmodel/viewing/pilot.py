"""Chooses the actions of a live view: by the model's planner, at random, or none; can be switched at any step."""

import time
from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np

from worldmodel.envs import MujocoWorld
from worldmodel.evaluation.control.context_sources import OnlineContexts
from worldmodel.evaluation.control.controllers import GoalController, RandomController, check_heads
from worldmodel.evaluation.control.landmarks import LandmarkGraph
from worldmodel.evaluation.control.planning import planner_of
from worldmodel.evaluation.fits import check_fits
from worldmodel.models import PlanningModel, WorldModel
from worldmodel.planners import PLANNERS
from worldmodel.settings import PlanConfig
from worldmodel.system.errors import UserError
from worldmodel.viewing.messages import ChoosePlanner, PlannerShown
from worldmodel.viewing.watching import Search, WatchedPlanner

PLANNER_NAMES = [name for name in PLANNERS if name != "follow"]
"""Planners to choose from; `follow` needs other goal heads than most runs have."""
_BOUNDS = {"horizon": 60, "num_samples": 4096, "num_iterations": 60}  # largest values that a page may ask for
_SAMPLES_PER_ELITE = 8

Past = Sequence[tuple[np.ndarray, np.ndarray]]
"""Frames uint8 (S, S, 3) of the last control steps, and the action (A,) taken after each."""


class Pilot:
    """Decides one action after another.

    Args:
        model: the run's model; without a predictor nothing can be planned.
        world: the world to act in.
        plan: how to plan at first.
        seed: seed of random actions and of planning.
        graph: landmarks that give subgoals on the way to far goals; None plans to the goals themselves.
    """

    def __init__(
        self, model: WorldModel, world: MujocoWorld, plan: PlanConfig, seed: int, graph: LandmarkGraph | None = None
    ) -> None:
        self._model, self._world, self.plan, self._graph = model, world, plan, graph
        self.drivers = ["nobody"]
        if world.scene.action_dim:
            self.drivers.insert(0, "random")
        self._planning: PlanningModel | None = None
        if model.predictor is not None and world.scene.action_dim:
            check_fits(model, world)
            check_heads(model, plan)
            self._planning = PlanningModel(model)
            self.drivers.insert(0, "model")
        self.driver = self.drivers[0]
        self._planner = planner_of(plan)
        self._watched = WatchedPlanner(self._planner)
        self._controller: GoalController | None = None
        self._random = RandomController(world.scene.action_dim, seed)
        self._seed = seed
        self.decision_ms: float | None = None
        """Milliseconds that the last decision took."""

    @property
    def search(self) -> Search | None:
        """The last search for a plan; None where none was made."""
        return self._watched.search if self.driver == "model" else None

    @property
    def shown(self) -> PlannerShown | None:
        """The planner and its budget; None where the model cannot plan."""
        if self._planning is None:
            return None
        budget = (getattr(self._planner, name, None) for name in ("num_samples", "num_iterations"))
        return PlannerShown(self.plan.planner["name"], self._planner.horizon, *budget)

    def choose_driver(self, driver: str) -> None:
        """Let another driver choose the actions; UserError where the model cannot plan, or the world has no actions."""
        if driver not in self.drivers:
            raise UserError(f"{driver} cannot drive this world with this model; choose {', '.join(self.drivers)}")
        self.driver = driver

    def choose_planner(self, wish: ChoosePlanner) -> None:
        """Plan with another planner or budget; UserError where the planner is unknown or the budget out of range."""
        for name, most in _BOUNDS.items():
            value = getattr(wish, name)
            if value is not None and not 1 <= value <= most:
                raise UserError(f"{name} must be in 1..{most}, got {value}")
        if wish.name not in PLANNER_NAMES:
            raise UserError(f"there is no planner {wish.name!r}; choose {', '.join(PLANNER_NAMES)}")
        known = {item.name for item in fields(PLANNERS[wish.name])}
        same = self.plan.planner["name"] == wish.name
        chosen: dict[str, object] = dict(self.plan.planner) if same else {"name": wish.name}
        for name in _BOUNDS:
            if name in known and getattr(wish, name) is not None:
                chosen[name] = getattr(wish, name)
        if "num_elites" in known and wish.num_samples is not None:
            num_elites = max(1, wish.num_samples // _SAMPLES_PER_ELITE)
            chosen |= {"num_elites": num_elites, "num_kept_elites": min(2, num_elites)}
        plan = replace(self.plan, planner=chosen, replan_every=min(self.plan.replan_every, wish.horizon))
        self._planner = planner_of(plan)  # refuses what does not fit before anything is changed
        self.plan = plan
        self._watched = WatchedPlanner(self._planner)

    def aim(self, goal_frame: np.ndarray, past: Past) -> None:
        """Plan to a goal picture uint8 (S, S, 3) from now on; the controller first observes the past.

        Raises:
            UserError: the model makes no finite latent of the picture.
        """
        if self._planning is None:
            return
        encoder = self._model.context_encoder
        contexts = None if encoder is None else OnlineContexts(encoder, 1, self._model.device)
        self._seed += 1
        driven = self._planning, self._watched, self.plan
        controller = GoalController(*driven, goal_frame[None], contexts, self._seed, self._graph)
        for frame, action in past:
            controller.watch(frame[None], action[None])
        self._controller, self._watched.search = controller, None

    def decide(self, frame: np.ndarray, state: np.ndarray) -> np.ndarray:
        """The action (A,) to take on seeing a frame uint8 (S, S, 3) in a state (X,)."""
        begun = time.perf_counter()
        if self.driver == "model" and self._controller is not None:
            action = self._controller.act(frame[None], state[None])[0]
        elif self.driver == "random":
            action = self._random.act(frame[None], state[None])[0]
        else:
            action = np.zeros(self._world.scene.action_dim, np.float32)
        self.decision_ms = round(1e3 * (time.perf_counter() - begun), 2)
        return action
