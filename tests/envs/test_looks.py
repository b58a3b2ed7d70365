"""Looks change what is seen and nothing else; each does what its name says, at its strength."""

import msgspec
import numpy as np
import pytest

from worldmodel import envs
from worldmodel.data.index import WorldRecord
from worldmodel.envs import looks, rollout
from worldmodel.envs.excitation import Uniform
from worldmodel.envs.looks import KINDS, Appearance, robot_mask
from worldmodel.envs.looks.camera import CameraShift
from worldmodel.envs.looks.distracting_suite import (
    GROUND_KEPT,
    NUM_FILMS,
    SCALES,
    SuiteBackground,
    SuiteCamera,
    SuiteColours,
    rotation_between,
    suite_level,
)
from worldmodel.envs.looks.look import View
from worldmodel.envs.rendering import FreeCamera
from worldmodel.envs.scene import FREE

STRENGTHS = {
    "texture": 0.6, "cloud": 0.6, "stripes": 0.5, "video": 0.5, "pictures": 0.7, "tint": 0.6, "robot_colour": 1.0,
    "light": 0.4, "light_direction": 60, "patch": 10, "distractor": 5, "bar": 6, "camera_tilt": 2, "camera_shift": 3,
    "camera_roll": 5, "camera_zoom": 5, "field_of_view": 10, "noise": 25, "speckle": 0.05, "blur": 2, "compression": 80,
    "suite_background": 1.0, "suite_camera": 0.3, "suite_colours": 0.3,
}  # fmt: skip
SIZE = 48
PICTURES = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def world():
    made = envs.make("reacher", image_size=SIZE)
    made.restart(seed=3, state=np.array([0.4, 1.2, 0.0, 0.0]))
    yield made
    made.close()


def seen(world: envs.MujocoWorld, kind: str, strength: float, seed: int = 1) -> np.ndarray:
    world.appearance = Appearance([looks.make(kind, strength, PICTURES)], seed)
    frame = world.frame()
    world.appearance = None
    return frame


def test_every_kind_is_tried_here():
    assert STRENGTHS.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_a_look_changes_what_is_seen_and_nothing_else(world, kind):
    plain, state = world.frame(), world.state()
    model = world.scene.model
    before = [model.cam_fovy.copy(), model.light_diffuse.copy(), model.light_dir.copy(), model.mat_rgba.copy()]
    shown = seen(world, kind, STRENGTHS[kind])
    assert shown.shape == plain.shape and shown.dtype == np.uint8 and not np.array_equal(shown, plain)
    assert np.array_equal(world.frame(), plain) and np.array_equal(world.state(), state)
    after = [model.cam_fovy, model.light_diffuse, model.light_dir, model.mat_rgba]
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_an_instance_stays_what_it_is_and_goals_share_it(world, kind):
    first = seen(world, kind, STRENGTHS[kind])
    assert np.array_equal(seen(world, kind, STRENGTHS[kind]), first)
    world.appearance = Appearance([looks.make(kind, STRENGTHS[kind], PICTURES)], 1)
    assert np.array_equal(world.goal_frame(world.state()), first)
    world.appearance = None
    instances = {seen(world, kind, STRENGTHS[kind], seed).tobytes() for seed in range(6)}
    assert (len(instances) > 1) == (kind not in ("blur", "compression"))


@pytest.mark.parametrize("kind", KINDS)
def test_strength_0_changes_nothing(world, kind):
    difference = np.abs(seen(world, kind, 0).astype(int) - world.frame())
    assert difference.max() <= (2 if kind == "compression" else 0), "JPEG of quality 100 still rounds"


@pytest.mark.parametrize("kind", ["texture", "cloud", "stripes", "video", "pictures", "tint"])
def test_a_background_lies_behind_the_robot(world, kind):
    plain = world.frame()
    world.frame()
    empty = world._renderer.render(world.scene.data, world.camera, moving=False)
    robot = robot_mask(plain.astype(np.float32), empty.astype(np.float32))[..., 0]
    shown = seen(world, kind, 1.0)
    assert 20 < (robot == 1).sum() < 300 and np.array_equal(shown[robot == 1], plain[robot == 1])
    assert (shown[robot == 0] != plain[robot == 0]).mean() > 0.5
    if kind == "pictures":
        assert any(np.array_equal(shown[robot == 0], picture[robot == 0]) for picture in PICTURES)


def test_what_can_move_is_left_out_of_the_empty_scene(world):
    world.frame()
    renderer, data = world._renderer, world.scene.data
    empty = renderer.render(data, world.camera, moving=False)
    world.set_state(np.array([2.0, -1.0, 0.0, 0.0]))
    assert np.array_equal(renderer.render(data, world.camera, moving=False), empty)
    assert not np.array_equal(world.frame(), empty)
    world.set_state(np.array([0.4, 1.2, 0.0, 0.0]))


def test_the_robot_is_found_again_where_the_light_changes(world):
    """The empty scene is rendered again under other lights; the robot does not grow."""
    world.appearance = Appearance([looks.make("texture", 1.0)], 1)
    dark = world.goal_frame(world.state(), {"light": 0.7})
    bright = world.goal_frame(world.state(), {"light": 1.2})
    world.appearance = None
    assert (dark != bright).any(-1).mean() < 0.1, "the picture behind the robot is not lit"


def test_a_film_and_a_distractor_move_and_a_patch_stands(world):
    for kind in ("video", "distractor", "bar", "noise", "patch"):
        world.appearance = Appearance([looks.make(kind, STRENGTHS[kind])], 1)
        world.restart(seed=3, state=np.array([0.4, 1.2, 0.0, 0.0]))
        first = world.frame()
        world.advance(np.zeros(2))
        world.set_state(np.array([0.4, 1.2, 0.0, 0.0]))
        assert np.array_equal(world.frame(), first) == (kind == "patch"), kind
    world.appearance = None


def test_half_a_turn_of_an_overhead_camera_turns_the_picture(world):
    turned = seen(world, "camera_roll", 180)
    difference = np.abs(turned[::-1, ::-1].astype(int) - world.frame())
    assert (difference.max(-1) > 8).mean() < 0.02


def test_looks_apply_together(world):
    together = Appearance([looks.make("texture", 1.0), looks.make("patch", 10)], 1)
    world.appearance = together
    frame = world.frame()
    world.appearance = None
    textured = seen(world, "texture", 1.0)
    assert 0 < (frame != textured).any(-1).sum() <= round(10 * SIZE / 64) ** 2


OVERHEAD = View(np.array([0.0, 0.0, 0.75]), np.eye(3), 0.75, np.zeros(3), False)  # straight down at the origin
FROM_THE_SIDE = View(
    np.array([0.0, -4.0, 1.0]), np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), 4.0, np.array([0.0, 0, 1]), False
)  # horizontally, as the cartpole's camera does


def course(view: View, beta: float, seed: int, steps: int) -> list[tuple[np.ndarray, np.ndarray]]:
    aim = SuiteCamera(beta, moving=True).aimer(np.random.default_rng(seed))
    return [aim(view, step) for step in range(steps)]


def test_cameras_of_the_suite_stay_on_their_sphere_and_look_at_their_target():
    beta = SCALES["hard"]
    for seed in range(20):
        for moved, turned in course(OVERHEAD, beta, seed, 30):
            distance = np.linalg.norm(moved)
            assert (1 - 0.5 * beta) * 0.75 - 1e-9 <= distance <= (1 + 1.5 * beta) * 0.75 + 1e-9
            assert np.arccos(moved[2] / distance) <= beta * np.pi / 2 + 1e-6
            assert np.allclose(turned @ turned.T, np.eye(3)) and np.allclose(-turned[:, 2] * distance, -moved)
        radius, place = np.hypot(4, 1), np.array([0.0, 0, 1])
        for moved, turned in course(FROM_THE_SIDE, beta, seed, 30):
            assert moved[2] >= -1e-9 and moved[1] <= 1e-9, "above the ground, and in front"
            assert (1 - 0.5 * beta) * radius - 1e-9 <= np.linalg.norm(moved) <= (1 + 1.5 * beta) * radius + 1e-9
            away = (moved - place) / np.linalg.norm(moved - place)
            assert np.allclose(turned[:, 2], away)
            roll = np.arctan2(turned[2, 0], turned[2, 1])  # of its upper edge about its axis
            assert abs(roll) <= beta * np.pi / 2 + 1e-9


def test_cameras_behind_the_scene_move_too():
    turn = np.diag([-1.0, -1, 1])  # half a turn about the vertical
    behind = View(turn @ FROM_THE_SIDE.position, turn @ FROM_THE_SIDE.rotation, 4.0, FROM_THE_SIDE.agent, False)
    places = np.array([moved for moved, _ in course(behind, SCALES["hard"], 0, 30)])
    assert (places[:, 1] > 0).all() and (places[:, 2] >= -1e-9).all()


def test_moving_cameras_are_no_faster_than_the_suites():
    beta, radius = SCALES["hard"], np.hypot(4, 1)
    places = np.array([moved for moved, _ in course(FROM_THE_SIDE, beta, 0, 60)])
    speeds = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert 0 < speeds.max() <= 0.4 * beta * radius / 4 + 1e-9
    still = SuiteCamera(beta).aimer(np.random.default_rng(0))
    assert np.array_equal(still(FROM_THE_SIDE, 0)[0], still(FROM_THE_SIDE, 40)[0])


def test_a_camera_that_follows_keeps_its_place_beside_the_agent():
    def seen_from(agent: np.ndarray) -> View:
        return View(FROM_THE_SIDE.position + agent, FROM_THE_SIDE.rotation, 4.0, FROM_THE_SIDE.agent + agent, True)

    away = np.array([3.0, 0, 0])
    aim = SuiteCamera(0.2, moving=True).aimer(np.random.default_rng(0))
    first, then = aim(seen_from(np.zeros(3)), 5), aim(seen_from(away), 5)
    assert np.allclose(first[0] + away, then[0]) and np.allclose(first[1], then[1])


def test_a_shifted_camera_keeps_its_distance_and_direction():
    rotation = rotation_between(np.array([0.0, 0, 1]), np.array([0.0, 0.6, 0.8]))
    view = View(np.zeros(3), rotation, 2.0, np.zeros(3), False)
    moved, turned = CameraShift(10).aimer(np.random.default_rng(0))(view, 0)
    assert np.array_equal(turned, rotation) and np.linalg.norm(moved) == pytest.approx(0.2)
    assert moved @ rotation[:, 2] == pytest.approx(0)


SEEN_FROM = FreeCamera((0.1, 0.0, 0.2), 1.6, 60.0, -30.0)
SOMEWHERE = """<mujoco><visual><headlight diffuse=".5 .5 .5"/><global fovy="50"/></visual><worldbody>
<camera name="fixed" pos="{pos}" xyaxes="{axes}" fovy="50"/><geom type="plane" size="2 2 .1" rgba=".2 .4 .3 1"/>
<body pos="0 0 .2"><joint name="h" axis="0 1 0"/><geom size=".05" type="capsule" fromto="0 0 0 .3 0 0"/></body>
</worldbody><actuator><motor joint="h"/></actuator></mujoco>"""


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "camera" in kind or kind == "field_of_view"])
def test_a_free_camera_is_moved_as_one_of_the_model_is(kind):
    numbers = {"pos": SEEN_FROM.position, "axes": SEEN_FROM.rotation[:, :2].T.reshape(-1)}
    text = SOMEWHERE.format(**{name: " ".join(map(repr, value.tolist())) for name, value in numbers.items()})
    scene = envs.MjcfScene(text, name="somewhere", camera="fixed", control_dt_s=0.02)
    scene.free_camera, frames = SEEN_FROM, []
    with envs.MujocoWorld(scene, image_size=SIZE) as world:
        world.restart(seed=0)
        for world.camera in ("fixed", FREE):
            frames += [
                world.frame().astype(int),
                seen(world, kind, STRENGTHS[kind]).astype(int),
                world.frame().astype(int),
            ]
    fixed, moved, _, free, free_moved, free_again = frames
    assert np.abs(fixed - free).mean() < 0.1 and np.abs(moved - free_moved).mean() < 0.1 < np.abs(fixed - moved).mean()
    assert np.array_equal(free, free_again), "it goes back"


def test_colours_of_the_suite_are_those_of_materials_and_walk_in_their_range(world):
    model, beta = world.scene.model, SCALES["easy"]
    usual, geoms = model.mat_rgba.copy(), model.geom_rgba.copy()
    write, seen_colours = SuiteColours(beta, moving=True).writer(np.random.default_rng(0)), []
    try:
        for step in range(40):
            model.mat_rgba[:], model.geom_rgba[:] = usual, geoms
            write(model, step)
            seen_colours.append(model.mat_rgba[:, :3].copy())
            covered = model.geom_matid >= 0  # a colour of their own would hide their material's
            assert np.array_equal(model.geom_rgba[covered], geoms[covered])
    finally:
        model.mat_rgba[:], model.geom_rgba[:] = usual, geoms
    walk = np.array(seen_colours)
    assert np.abs(walk - usual[:, :3]).max() <= beta + 1e-6 and (walk >= 0).all() and (walk <= 1).all()
    steps = np.diff(walk, axis=0)
    inside = (walk[1:] > usual[:, :3] - 0.9 * beta) & (walk[1:] < usual[:, :3] + 0.9 * beta)
    inside &= (walk[1:] > 0.02) & (walk[1:] < 0.98)
    assert steps[inside].std() == pytest.approx(0.03 * beta, rel=0.15)


def test_the_ground_of_some_worlds_stays_before_the_film():
    films, frame = [np.full((1, 4, 4, 3), 200, np.uint8)], np.zeros((4, 4, 3), np.float32)
    frame[2:] = 100  # ground below, nothing above
    paint = SuiteBackground(1.0, False, GROUND_KEPT["finger"], films).painter(np.random.default_rng(0), 4)
    shown = paint(frame.copy(), np.zeros((4, 4, 1), np.float32), 0)
    assert np.allclose(shown[:2], 200) and np.allclose(shown[2:], 0.3 * 100 + 0.7 * 200)


def test_films_run_forwards_and_backwards_one_picture_a_step():
    films = [np.arange(5, dtype=np.uint8)[:, None, None, None].repeat(3, 3) * 10]
    frame, nowhere = np.zeros((1, 1, 3), np.float32), np.zeros((1, 1, 1), np.float32)
    paint = SuiteBackground(1.0, True, 0.0, films).painter(np.random.default_rng(0), 1)
    order = [int(paint(frame.copy(), nowhere, step)[0, 0, 0]) // 10 for step in range(20)]
    assert set(order) == set(range(5)) and np.abs(np.diff(order)).max() == 1
    still = SuiteBackground(1.0, False, 0.0, films).painter(np.random.default_rng(0), 1)
    assert len({float(still(frame.copy(), nowhere, step)[0, 0, 0]) for step in range(5)}) == 1


def test_the_suite_has_three_axes_and_all_of_them_at_its_levels():
    assert SCALES == {"easy": 0.1, "medium": 0.2, "hard": 0.3} and NUM_FILMS == {"easy": 4, "medium": 8, "hard": 60}
    found = suite_level("medium", "dynamic", "cartpole")
    assert list(found) == ["backgrounds", "cameras", "colours", "all"] and len(found["all"]) == 3
    assert found["cameras"] == [SuiteCamera(0.2, True)] and found["colours"] == [SuiteColours(0.2, True)]
    assert found["backgrounds"] == [SuiteBackground(1.0, True, 0.3, (), 8)]
    assert suite_level("hard", world="walker-walk")["backgrounds"] == [SuiteBackground(1.0, False, 1.0, (), 60)]
    assert suite_level("hard", world="reacher")["backgrounds"] == [SuiteBackground(1.0)]


def test_what_a_dynamic_setting_shows_moves_with_the_step_and_is_the_same_again(world):
    for axis, chosen in suite_level("hard", "dynamic", "reacher").items():
        frames = []
        for _ in range(2):
            world.appearance = Appearance(chosen, 3)
            for num_steps in (0, 12, 0):
                world.restart(seed=3, state=np.array([0.4, 1.2, 0.0, 0.0]))
                for _ in range(num_steps):
                    world.advance(np.zeros(2))
                frames.append(world.goal_frame(np.array([0.4, 1.2, 0.0, 0.0])))
        assert np.array_equal(frames[0], frames[2]) and not np.array_equal(frames[0], frames[1]), axis
        assert all(np.array_equal(one, other) for one, other in zip(frames[:3], frames[3:], strict=True)), axis
    world.appearance = None


def test_a_scene_can_be_seen_without_what_moves(world):
    states = [np.array([angle, 1.0, 0.0, 0.0]) for angle in (0.0, 2.0)]
    for look in (None, Appearance([looks.make("texture", 1.0), looks.make("patch", 10)], 1)):
        world.appearance = look
        first, second = (world.goal_frame(state, moving=False) for state in states)
        assert np.array_equal(first, second) and not np.array_equal(first, world.goal_frame(states[0]))
    world.appearance = None


def test_randomised_looks_redraw_every_frame_and_nothing_else():
    plain, drawn = (envs.make("puck", image_size=SIZE, randomize=["mass", *looks_too]) for looks_too in ([], ["looks"]))
    recorded = [rollout(one, Uniform(), seed=4, num_steps=12) for one in (plain, drawn)]
    again = rollout(drawn, Uniform(), seed=4, num_steps=12)
    clean, shown = (episode.frames for episode in recorded)
    assert np.array_equal(recorded[0].states, recorded[1].states)
    assert np.array_equal(recorded[0].factors, recorded[1].factors)
    assert np.array_equal(again.frames, shown), "the same arguments give the same frames"
    assert (clean != shown).any((1, 2, 3)).mean() > 0.8
    assert msgspec.convert(drawn.describe(), WorldRecord).randomize == ("mass", "looks"), "a data set says so"
    assert drawn.describe()["randomize"] == ["mass", "looks"] and plain.describe()["randomize"] == ["mass"]
    assert drawn.randomize == ("mass",), "looks are no factor"
    for one in (plain, drawn):
        one.close()


def test_all_factors_are_no_looks():
    assert envs.make("puck", image_size=SIZE, randomize=["all"]).appearance is None


@pytest.mark.parametrize(
    ("kind", "strength", "message"),
    [("texture", 1.5, "from 0 to 1; got 1.5"), ("patch", -1, "got -1"), ("fog", 1, "unknown look 'fog'")],
)
def test_wrong_looks_are_refused(kind, strength, message):
    with pytest.raises(ValueError, match=message):
        looks.make(kind, strength)


def test_pictures_must_be_there_and_fit_the_frames(world):
    with pytest.raises(ValueError, match="needs pictures"):
        looks.make("pictures", 0.5)
    world.appearance = Appearance([looks.make("pictures", 0.5, PICTURES[:, :10, :10])], 1)
    with pytest.raises(ValueError, match="pictures must be uint8"):
        world.frame()
    world.appearance = None
