"""The live session: a simulation, the model that drives it, and everything that a page shows of both.

It knows neither browser nor server. A step executes the chosen action, observes, chooses the next one, and returns a
`Moment`: the present state, and the plan that is about to be executed.
"""

from dataclasses import dataclass

import numpy as np
import torch

from worldmodel.envs import MujocoWorld
from worldmodel.envs.angles import shorter_way
from worldmodel.envs.world import SimulationDiverged
from worldmodel.evaluation.control.landmarks import LandmarkGraph
from worldmodel.models import WorldModel
from worldmodel.settings import PlanConfig
from worldmodel.system.errors import UserError
from worldmodel.viewing import messages
from worldmodel.viewing.imagination import Outlook, outlook, reconstruction
from worldmodel.viewing.joints import freedom, posed, position_controls
from worldmodel.viewing.picture_files import png
from worldmodel.viewing.pilot import PLANNER_NAMES, Pilot
from worldmodel.viewing.reference import Reference
from worldmodel.viewing.senses import Senses
from worldmodel.viewing.solids import Solids

NUM_GOALS = 12
"""Goal pictures to choose from."""
HOLD_STEPS = 5
"""Control steps for which a goal must be held, as in protocol "strict"."""
_REST_STEPS = 10  # control steps that a held goal stays, for people to see it
_LOST_SPANS = 1.5  # distance from the middle of a position's range, in ranges, at which a body is lost
_GOAL_STEPS = 150  # control steps after which a goal that is not reached is given up
_RENEW_STEPS = 2_000  # control steps after which the controller is made anew, since it keeps every observation


@dataclass(frozen=True)
class LiveSubject:
    """What a live session needs."""

    title: str
    """Heading of the page."""
    model: WorldModel
    world: MujocoWorld
    plan: PlanConfig
    """How to plan at first; the page can change planner and budget."""
    reference: Reference
    """Episodes on which readouts are fitted and from which goals are taken."""
    seed: int
    """Seed of episodes, goals, random actions and planning."""
    graph: LandmarkGraph | None = None
    """Landmarks that give subgoals on the way to far goals; None plans to the goals themselves."""


class LiveSession:
    """A simulation that a model drives and a person can change."""

    def __init__(self, subject: LiveSubject) -> None:
        self.world, self._model = subject.world, subject.model
        self._rng = np.random.default_rng(subject.seed)
        self._pilot = Pilot(subject.model, subject.world, subject.plan, subject.seed, subject.graph)
        self._senses = Senses(subject.model, subject.world, subject.reference)
        self.solids = Solids(self.world.scene.model)
        states = np.concatenate([each.states for each in subject.reference.episodes])
        self._controls = position_controls(self.world, states)
        self._goals = _goal_states(self.world, subject.reference)
        self.playing, self.keep_going, self._looks_changed = True, True, False
        self._step = self._episode = self._reached = self._given_up = 0
        self._restart()
        self.opening = self._opened(subject)
        self._take_goal(self._goals[0])

    # Commands

    def obey(self, command: messages.AnyCommand) -> None:
        """Do as the page asks.

        Raises:
            UserError, ValueError: it cannot be done; nothing has changed.
        """
        match command:
            case messages.Play():
                self.playing = command.on
            case messages.StepOnce():
                self.playing = False
            case messages.Reset():
                self._restart()
                self._take_goal(self._goal)
            case messages.KeepGoing():
                self.keep_going = command.on
            case messages.PickGoal():
                self._take_goal(self._picked(command.number))
            case messages.PoseGoal():
                self._take_goal(posed(self._goal, command.positions, self.world.state_names, self._controls))
            case messages.DragGoal():
                self._take_goal(self._dragged(command))
            case messages.SetFactor():
                self._set_factor(command.name, command.value)
            case messages.ChooseDriver():
                self._pilot.choose_driver(command.driver)
                self._aim()
            case messages.ChoosePlanner():
                self._pilot.choose_planner(command)
                self._aim()
            case _:
                raise UserError("this view is live: there are no recorded episodes to go to")

    # Steps

    def advance(self) -> messages.Moment:
        """Make one control step; returns the moment after it."""
        try:
            terminated = self.world.advance(self._action)[1]
        except SimulationDiverged:
            terminated = True
        self._senses.act(self._action)
        self._step += 1
        if terminated or self._is_lost():
            self._restart()
            self._aim()
        else:
            self._frame_number += 1
            self._look_and_decide()
            self._judge()
        return self.moment()

    def moment(self) -> messages.Moment:
        """The present moment."""
        if self._looks_changed:
            self._aim()
        state, senses = self.world.state(), self._senses
        search, no_plan = self._pilot.search, Outlook(None, [], [], [], None)
        seen = outlook(search, self._model, self.world, self.solids, senses.reader) if search else no_plan
        return messages.Moment(
            step=self._step,
            episode=self._episode,
            frame_number=self._frame_number,
            playing=self.playing,
            frame=png(self._frame),
            reconstruction=reconstruction(self._model, senses.latent),
            goal=png(self._goal_frame),
            latent=np.round(senses.latent.numpy(), 3).tolist(),
            distance=round(float((senses.latent - self._goal_latent).norm()), 4),
            reached=self._held > 0,
            goals_reached=self._reached,
            goals_given_up=self._given_up,
            decision_ms=self._pilot.decision_ms,
            costs=seen.costs,
            plan_cost=seen.cost,
            driver=self._pilot.driver,
            planner=self._pilot.shown,
            action=np.round(self._action, 3).tolist(),
            imagined=seen.imagined,
            solids=self.solids.now(self.world.scene.data),
            goal_solids=self.solids.at(self._goal[: self.world.scene.model.nq]),
            imagined_solids=seen.solids,
            paths=seen.paths,
            states=senses.states(state),
            constants=senses.constants(self.world.factor_values),
            factors=self.world.factor_values,
            goal_positions={of.name: self._goal_value(of.name) for of in self._controls},
        )

    def close(self) -> None:
        """Free the renderer."""
        self.world.close()

    def _restart(self) -> None:
        """Begin another episode with the present values of the factors."""
        factors = self.world.factor_values
        self.world.restart(seed=int(self._rng.integers(2**31)), factors=factors)
        self._episode, self._frame_number, self._held, self._since_goal = self._episode + 1, 0, 0, 0
        self._senses.forget()
        self._frame = self.world.frame()
        self._senses.see(self._frame)

    def _is_lost(self) -> bool:
        """Whether a body slid so far away that it will not come back by itself."""
        state, names = self.world.state(), self.world.state_names
        return any(
            abs(state[names.index(of.name)] - (of.low + of.high) / 2) > _LOST_SPANS * (of.high - of.low)
            for of in self._controls
            if of.unit == "m"
        )

    def _look_and_decide(self) -> None:
        self._frame = self.world.frame()
        self._senses.see(self._frame)
        self._action = self._pilot.decide(self._frame, self.world.state())

    def _judge(self) -> None:
        """Count goals, and go on to the next one where that is wanted."""
        self._since_goal += 1
        near = bool(self.world.scene.goal_tolerance) and self.world.reached(self.world.state(), self._goal)
        self._held = self._held + 1 if near else 0
        self._reached += self._held == HOLD_STEPS and not self._counted
        self._counted |= self._held >= HOLD_STEPS
        if self._since_goal % _RENEW_STEPS == 0:
            self._aim()
        rested, late = self._held >= HOLD_STEPS + _REST_STEPS, self._since_goal >= _GOAL_STEPS
        if self.keep_going and self._pilot.driver == "model" and (rested or late):
            self._given_up += not self._counted
            self._take_goal(self._picked(None))

    def _set_factor(self, name: str, value: float) -> None:
        self.world.set_factors({name: value})
        if self.world.factors[name].kind == "physical":
            self._senses.notice_change()
        else:
            self._looks_changed = True

    # Goals

    def _take_goal(self, goal: np.ndarray) -> None:
        """Make a state (X,) the goal; UserError where the model cannot embed its picture."""
        if not torch.isfinite(self._senses.embedded(self.world.goal_frame(goal))).all():
            raise UserError("the model makes no finite latent of this goal's picture; choose another goal")
        self._goal = goal
        self._held, self._since_goal, self._counted = 0, 0, False
        self._aim()

    def _aim(self) -> None:
        """Embed the goal, hand it to the driver, and choose the next action."""
        self._goal_frame = self.world.goal_frame(self._goal)  # rendered anew, since visual factors may have changed
        self._goal_latent, self._looks_changed = self._senses.embedded(self._goal_frame), False
        self._pilot.aim(self._goal_frame, self._senses.past)
        self._look_and_decide()

    def _picked(self, number: int | None) -> np.ndarray:
        number = int(self._rng.integers(len(self._goals))) if number is None else number
        if not 0 <= number < len(self._goals):
            raise UserError(f"there are goals 0..{len(self._goals) - 1}, got {number}")
        return self._goals[number]

    def _dragged(self, pull: messages.DragGoal) -> np.ndarray:
        model, goal = self.world.scene.model, self._goal.copy()
        if not 0 <= pull.geom < model.ngeom or not np.isfinite([*pull.grip, *pull.point]).all():
            raise UserError(f"there is no geom {pull.geom} to pull to {pull.point}")
        free = freedom(self.world, self._controls)
        goal[: model.nq] = self.solids.pulled(goal[: model.nq], pull, free)
        return goal

    def _goal_value(self, name: str) -> float:
        value = float(self._goal[self.world.state_names.index(name)])
        if name in self.world.scene.angle_names:
            value = shorter_way(value)
        return round(value, 4)

    def _opened(self, subject: LiveSubject) -> messages.Opening:
        world, scene = self.world, self.world.scene
        return messages.Opening(
            title=subject.title,
            mode="live",
            world=world.name,
            notes=_notes(subject, self._pilot.shown, bool(self._senses.constants(world.factor_values))),
            control_dt_s=world.control_dt_s,
            frame_size=world.image_size,
            viewpoint=self.solids.viewpoint(scene.data, scene.view_of(world.camera)),
            meshes=self.solids.meshes(),
            factors=factor_controls(world),
            positions=self._controls,
            goals=[png(world.goal_frame(goal)) for goal in self._goals],
            planners=PLANNER_NAMES if self._pilot.shown else [],
            drivers=self._pilot.drivers,
            episode_lengths=[],
        )


def _goal_states(world: MujocoWorld, reference: Reference) -> list[np.ndarray]:
    """States at rest, float64 (X,), in which reference episodes ended."""
    episodes = reference.episodes
    chosen = np.linspace(0, len(episodes) - 1, min(NUM_GOALS, len(episodes))).astype(int)
    goals = [episodes[k].states[-1].astype(np.float64) for k in chosen]
    for goal in goals:
        goal[world.scene.model.nq :] = 0
    return goals


def factor_controls(world: MujocoWorld) -> list[messages.FactorControl]:
    """A slider for every factor of a world."""
    return [
        messages.FactorControl(
            name=of.name,
            kind="visual" if of.kind == "visual" else "physical",
            unit=of.unit,
            low=of.bounds[0],
            high=of.bounds[1],
            nominal=of.nominal,
            logarithmic=of.transform == "log",
            description=of.description,
        )
        for of in world.factors.values()
    ]


def _notes(subject: LiveSubject, shown: messages.PlannerShown | None, reads_constants: bool) -> list[str]:
    """Lines for the page: where its readouts come from, and why something is not shown."""
    notes = [f"Readouts are linear maps fitted on {subject.reference.origin}."]
    if subject.model.decoder is None:
        notes.append("No pictures of the imagination: this run has no decoder; the command that trained it adds one.")
    if shown is None:
        notes.append("Nothing is planned: this run has no dynamics predictor, since its world takes no actions.")
    if not subject.world.scene.goal_tolerance:
        notes.append("No goal counts as reached: nothing moves that pictures show.")
    if not reads_constants:
        notes.append("No constants are estimated: none varied in what this run was trained on.")
    return notes
