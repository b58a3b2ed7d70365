"""A live session without browser or server: what it shows is what is there, and what it is told is done."""

import msgspec
import mujoco
import numpy as np
import pytest
import torch

from worldmodel import envs
from worldmodel.data.store import DataSet
from worldmodel.envs.rendering import FreeCamera
from worldmodel.evaluation.trust import trusted_world
from worldmodel.models import ModelConfig, WorldModel
from worldmodel.planners import CEM, GoalDistance, OverHorizon, Problem
from worldmodel.runs import Run
from worldmodel.settings import CollectConfig, EncoderConfig, EnvConfig, PlanConfig, TrainConfig, ViewConfig
from worldmodel.system.errors import UserError
from worldmodel.viewing import messages as say
from worldmodel.viewing import open_session, reference, start
from worldmodel.viewing.live import HOLD_STEPS, LiveSession, LiveSubject
from worldmodel.viewing.picture_files import png
from worldmodel.viewing.readouts import Encoded, StateReadout
from worldmodel.viewing.solids import Solids
from worldmodel.viewing.watching import WatchedPlanner

# ---------------------------------------------------------------------------------------------------------------------
# a moment


def test_a_moment_shows_the_present(reacher):
    moment = reacher.advance()
    world = reacher.world
    assert moment.frame == png(world.frame())
    for solid in moment.solids:
        assert solid.position == pytest.approx(world.scene.data.geom_xpos[solid.geom], abs=1e-4)
    assert [of.truth for of in moment.states] == pytest.approx(world.state())
    assert moment.factors == world.factor_values
    assert msgspec.json.decode(say.encoded(moment), type=say.Moment) == moment


def test_what_the_simulator_says_of_a_plan_is_what_happens(reacher):
    moment = reacher.advance()
    (simulated,) = (path for path in moment.paths if path.kind == "simulated")
    place = np.reshape(simulated.points, (-1, 3))[1]
    after = reacher.advance()
    (again,) = (path for path in after.paths if path.kind == "simulated")
    assert np.reshape(again.points, (-1, 3))[0] == pytest.approx(place, abs=1e-4)


def test_looking_changes_nothing(reacher):
    before = reacher.world.snapshot()
    first, second = reacher.moment(), reacher.moment()
    assert first == second
    after = reacher.world.snapshot()
    assert np.array_equal(before.physics, after.physics) and before.rng_state == after.rng_state


def test_goals_are_reached_one_after_another(reacher):
    begun = reacher.moment()
    for _ in range(600):
        moment = reacher.advance()
        if moment.goals_reached > begun.goals_reached and moment.goal != begun.goal:
            return
    pytest.fail("no goal was reached in 600 steps")


def test_a_goal_that_is_the_present_is_reached_and_counted_once(reacher):
    state = reacher.world.state()
    state[2:] = 0
    reacher.world.set_state(state)
    names = reacher.world.state_names
    turned = (state[:2] + np.pi) % (2 * np.pi) - np.pi
    reacher.obey(say.KeepGoing(False))
    reacher.obey(say.ChooseDriver("nobody"))
    reacher.obey(say.PoseGoal(dict(zip(names, turned.tolist(), strict=False))))
    before = reacher.moment().goals_reached
    reached = [reacher.advance() for _ in range(HOLD_STEPS + 3)]
    assert [of.goals_reached - before for of in reached] == [0] * (HOLD_STEPS - 1) + [1] * 4
    assert all(of.reached for of in reached)
    reacher.obey(say.ChooseDriver("model"))
    reacher.obey(say.KeepGoing(True))


# ---------------------------------------------------------------------------------------------------------------------
# commands


def test_a_factor_changes_the_physics_and_keeps_its_value_over_a_reset(reacher):
    simulated = []
    for gain in (1.0, 1.8):
        reacher.obey(say.SetFactor("actuator_scale", gain))
        simulated.append([path.points for path in reacher.moment().paths if path.kind == "simulated"])
    assert simulated[0] != simulated[1]
    reacher.obey(say.Reset())
    assert reacher.moment().factors["actuator_scale"] == 1.8
    reacher.obey(say.SetFactor("actuator_scale", 1.0))


def test_a_visual_factor_changes_the_frame_and_the_goal(reacher):
    before = reacher.moment()
    reacher.obey(say.SetFactor("robot_red", 0.1))
    after = reacher.moment()
    assert before.frame != after.frame and before.goal != after.goal
    reacher.obey(say.SetFactor("robot_red", 0.7))


def test_a_goal_follows_a_pull(reacher):
    reacher.obey(say.PoseGoal({"shoulder": 0.0, "wrist": 1.0}))
    model, data = reacher.world.scene.model, mujoco.MjData(reacher.world.scene.model)
    data.qpos[:] = (0.5, 1.5)
    mujoco.mj_kinematics(model, data)
    finger = model.geom("finger").id
    reacher.obey(say.DragGoal(finger, (0.0, 0.0, 0.0), tuple(data.geom_xpos[finger].tolist())))
    assert reacher.moment().goal_positions == pytest.approx({"shoulder": 0.5, "wrist": 1.5}, abs=0.02)


def test_another_planner_and_budget(reacher):
    for name in reacher.opening.planners:
        reacher.obey(say.ChoosePlanner(name, horizon=8, num_samples=6, num_iterations=2))
        moment = reacher.advance()
        assert moment.planner and (moment.planner.name, moment.planner.horizon) == (name, 8)
        assert 0 < len(moment.costs) <= 64 and moment.costs == sorted(moment.costs)
        assert moment.imagined and moment.imagined.steps[-1] == 8
    reacher.obey(say.ChoosePlanner("cem", horizon=15, num_samples=32, num_iterations=3))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (say.SetFactor("arm_mass", 9.0), r"factor arm_mass must be a number in \[0.0220\d*, 0.0794\d*\] kg, got 9"),
        (say.SetFactor("charm", 1.0), "unknown factor 'charm'"),
        (say.ChoosePlanner("oracle", horizon=5), "there is no planner 'oracle'; choose cem"),
        (say.ChoosePlanner("cem", horizon=0), r"horizon must be in 1..60, got 0"),
        (say.ChoosePlanner("cem", horizon=9, num_samples=10**9), r"num_samples must be in 1..4096"),
        (say.PickGoal(99), r"there are goals 0..\d+, got 99"),
        (say.PoseGoal({"shoulder": 7.0}), r"shoulder must be in \[-3.14, 3.14\] rad, got 7"),
        (say.PoseGoal({"shoulder": float("nan")}), "shoulder must be in"),
        (say.PoseGoal({"elbow": 0.0}), "'elbow' is no position of this goal; it has shoulder, wrist"),
        (say.DragGoal(99, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), "there is no geom 99"),
        (say.Seek(1), "this view is live"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line_and_changes_nothing(reacher, command, words):
    before = reacher.moment()
    with pytest.raises(ValueError, match=words):
        reacher.obey(command)
    assert reacher.moment() == before


def test_a_goal_that_the_model_cannot_embed_is_refused(reacher, monkeypatch):
    monkeypatch.setattr(reacher._senses, "embedded", lambda frame: torch.full((16,), torch.nan))
    with pytest.raises(UserError, match="no finite latent of this goal's picture"):
        reacher.obey(say.PickGoal(1))


def test_a_world_without_a_planner_is_watched(home):
    """A world that an exact process moves takes no actions, and its model has nothing to plan with."""
    torch.manual_seed(0)
    model = WorldModel(ModelConfig(EncoderConfig(latent_dim=3, hidden=8), action_dim=0))
    world = envs.make("ou-reacher")
    trained = TrainConfig(collection=CollectConfig(env=EnvConfig(world="ou-reacher")))
    session = LiveSession(
        LiveSubject("a", model.eval(), world, PlanConfig(), reference.reference(trained, world, 0, None), 0)
    )
    first, second = session.moment(), session.advance()
    assert session.opening.drivers == ["nobody"] and session.opening.planners == []
    assert any("no dynamics predictor" in note for note in session.opening.notes)
    assert first.frame != second.frame and second.imagined is None and second.planner is None
    with pytest.raises(UserError, match="model cannot drive this world"):
        session.obey(say.ChooseDriver("model"))
    session.close()


def test_velocities_need_more_than_the_two_frames_of_an_atlas(puck):
    atlas = Run(puck).config.atlas
    assert atlas and len(reference.recorded(DataSet(atlas.directory)).episodes[0].frames) == 2
    world = envs.make(**atlas.env.make_arguments())
    found = reference.reference(TrainConfig(collection=atlas), world, 0, None)
    assert "data/puck_ou holds episodes of two frames" in found.origin and len(found.episodes[0].frames) == 41
    world.close()


# ---------------------------------------------------------------------------------------------------------------------
# constants


def test_constants_are_estimated_from_motion_and_the_estimate_follows_a_change(puck):
    session = open_session(ViewConfig(run=str(puck)))
    assert isinstance(session, LiveSession)
    session.obey(say.ChooseDriver("random"))
    first = session.moment()
    assert {of.name for of in first.constants} == {"mass", "friction"}
    assert all(of.estimate is None for of in first.constants)
    light = [session.advance() for _ in range(45)][-1]
    session.obey(say.SetFactor("mass", 2.6))
    changed = session.advance()
    heavy = [session.advance() for _ in range(45)][-1]
    mass = {name: next(of for of in moment.constants if of.name == "mass") for name, moment in
            (("light", light), ("changed", changed), ("heavy", heavy))}  # fmt: skip
    assert mass["light"].settled and not mass["changed"].settled and mass["heavy"].settled
    assert mass["light"].truth == 1.0 and mass["heavy"].truth == 2.6
    assert mass["heavy"].estimate != mass["light"].estimate
    assert all(of.low < of.estimate < of.high for of in mass.values())
    session.close()


# ---------------------------------------------------------------------------------------------------------------------
# its parts


def test_a_watched_planner_plans_as_the_planner_does(reacher):
    class Drift:
        num_context_frames, action_dim = 1, 2

        def rollout(self, z0, actions, context=None):
            return z0[:, None, None] + actions.cumsum(2)

    problem = Problem(Drift(), GoalDistance(torch.ones(1, 2), OverHorizon("sum")), torch.zeros(1, 2))
    planner = CEM(horizon=5, num_samples=16)
    watched = WatchedPlanner(planner)
    plans = [each.plan(problem, torch.Generator().manual_seed(3)) for each in (planner, watched)]
    assert torch.equal(plans[0].actions, plans[1].actions)
    search = watched.search
    assert search is not None and search.costs.shape == (1, 16) and search.latents.shape == (1, 16, 5, 2)
    assert torch.equal(search.imagined(), plans[0].actions.cumsum(1))


@pytest.mark.parametrize("name", ["push_t", "block", "cartpole", "humanoid-walk", "quadruped-walk"])
def test_solids_are_what_mujoco_draws(name):
    world = envs.make(name)
    world.restart(seed=1)
    solids, data = Solids(world.scene.model), world.scene.data
    for solid in solids.now(data):
        if solid.geom >= 0:
            assert solid.position == pytest.approx(data.geom_xpos[solid.geom], abs=1e-4)
            assert np.reshape(solid.rotation, (3, 3)) == pytest.approx(
                data.geom_xmat[solid.geom].reshape(3, 3), abs=1e-3
            )
    moving = solids.at(data.qpos)
    assert {solid.geom for solid in moving} <= {solid.geom for solid in solids.now(data)}
    places = solids.path(data.qpos[None])
    assert all(any(np.allclose(place[0], xipos) for xipos in data.xipos) for place in places)
    assert moving
    world.close()


def test_a_free_camera_gives_the_first_viewpoint_too():
    with envs.make("gym:Reacher-v5", image_size=8) as world:
        camera = world.scene.view_of(world.camera)
        assert isinstance(camera, FreeCamera)
        view = Solids(world.scene.model).viewpoint(world.scene.data, camera)
    towards = np.array(view.centre) - np.array(view.eye)
    assert towards / np.linalg.norm(towards) == pytest.approx(-camera.rotation[:, 2], abs=1e-3)


def test_a_world_without_a_mujoco_model_is_refused(home, monkeypatch):
    def drawn(*arguments):
        world = trusted_world(*arguments)
        picture = {"picture": lambda self, size: np.zeros((size, size, 3), np.uint8)}
        world.scene.__class__ = type("Drawn", (type(world.scene),), picture)
        return world

    monkeypatch.setattr(start, "trusted_world", drawn)
    with pytest.raises(UserError, match="view moves and draws a MuJoCo model, and reacher holds none"):
        open_session(ViewConfig(run="zoo/reacher"))


def test_a_linear_latent_is_read_exactly():
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((3, 5))
    encoded = []
    for _ in range(8):
        angle, x = rng.uniform(-3, 3, 30), rng.uniform(-1, 1, 30)
        velocity = np.diff(x, prepend=x[0])
        states = np.stack([angle, x, velocity], 1).astype(np.float32)
        latents = (np.stack([np.cos(angle), np.sin(angle), x], 1) @ mixing).astype(np.float32)
        none = np.zeros((30, 0), np.float32)
        frames, rewards = np.zeros((30, 0, 0, 3), np.uint8), np.zeros(29, np.float32)
        encoded.append(Encoded(envs.Episode(frames, states, none[1:], rewards, none, 0), latents))
    units = {"angle": "rad", "x": "m", "x_vel": "m/s"}
    reader = StateReadout(encoded, ["angle", "x", "x_vel"], {"angle"}, units, lag=1)
    one = encoded[0]
    turned = one.episode.states[9] + np.array([2 * np.pi, 0, 0])
    readings = reader.readings(one.latents[9], one.latents[8], turned)
    for reading in readings:
        assert reading.read == pytest.approx(reading.truth, abs=1e-3)
    assert max(reader.errors.values()) < 1e-3
