"""Factors by MJCF name: each reaches the number that it names, acts, and leaves nothing behind."""

import mujoco
import numpy as np
import pytest

from worldmodel import envs
from worldmodel.envs.effects import effect
from worldmodel.envs.excitation import make_policy
from worldmodel.envs.factors import FactorError
from worldmodel.envs.model_paths import PROPERTIES, nameable

MJCF = """<mujoco><option timestep="0.01" density="1.2" viscosity="0.1"/>
<asset><texture name="t" type="2d" builtin="checker" width="8" height="8" rgb1="1 0 0" rgb2="0 1 0"/>
<material name="paint" texture="t" rgba=".5 .6 .7 1" texrepeat="2 3" specular=".4" emission=".2"/></asset>
<worldbody>
<light name="top" pos="0 -1 2" dir="0 .4 -1" diffuse=".3 .4 .5" ambient=".1 .1 .1" specular=".2 .2 .2"/>
<camera name="front" pos="0 -2 .1" xyaxes="1 0 0 0 0 1" fovy="50"/>
<geom name="floor" type="plane" size="3 3 .1" pos="0 0 -.25" material="paint"/>
<site name="spot" pos=".2 -.3 -.2" size=".05" rgba=".1 .9 .2 1"/>
<body name="arm.1" pos="0 0 .3"><joint name="h" type="hinge" axis="0 1 0" damping=".1" stiffness="1" armature=".01"
 frictionloss=".02"/><geom name="rod" type="capsule" size=".05" fromto="0 0 0 .3 0 -.3" rgba=".8 .2 .1 1"/>
<site name="tip" pos=".3 0 -.3"/></body>
<body name="ball" pos=".15 0 -.19"><freejoint name="free"/><geom name="ball" size=".06" rgba=".2 .2 .9 1"/>
<site name="mid"/></body></worldbody>
<contact><pair name="touch" geom1="ball" geom2="rod" friction=".6 .6 .1 .1 .1"/></contact>
<tendon><spatial name="string" range="0 .5" limited="true" stiffness="1" damping=".1" frictionloss=".01">
<site site="tip"/><site site="mid"/></spatial></tendon>
<actuator><position name="servo" joint="h" kp="3" kv=".1" gear="2"/></actuator></mujoco>"""


def world_with(**factors):
    scene = envs.MjcfScene(MJCF, name="toy", camera="front", control_dt_s=0.05)
    envs._FACTORIES["toy"] = lambda: scene  # a world of one scene, made anew around it
    try:
        return envs.make("toy", image_size=32, factors=factors)
    finally:
        del envs._FACTORIES["toy"]


def test_every_property_is_offered_by_a_model_that_has_it():
    offered = {tuple(path.split(".")[:: len(path.split(".")) - 1]) for path in nameable(world_with().scene.model)}
    assert offered == {(kind, prop) for kind, properties in PROPERTIES.items() for prop in properties}


@pytest.mark.parametrize(
    ("of", "read"),
    [
        ("body.arm.1.mass", lambda m: m.body("arm.1").mass[0]),
        ("body.arm.1.inertia.y", lambda m: m.body("arm.1").inertia[1]),
        ("body.arm.1.com.z", lambda m: m.body("arm.1").ipos[2]),
        ("geom.floor.friction", lambda m: m.geom("floor").friction[0]),
        ("geom.floor.friction.rolling", lambda m: m.geom("floor").friction[2]),
        ("pair.touch.friction", lambda m: m.pair("touch").friction[0]),
        ("joint.h.damping", lambda m: m.joint("h").damping[0]),
        ("joint.h.stiffness", lambda m: m.joint("h").stiffness[0]),
        ("actuator.servo.gear", lambda m: m.actuator("servo").gear[0]),
        ("actuator.servo.gain", lambda m: -m.actuator("servo").biasprm[1]),
        ("tendon.string.length", lambda m: m.tendon_range[0, 1]),
        ("option.gravity", lambda m: -m.opt.gravity[2]),
        ("option.density", lambda m: m.opt.density),
        ("light.top.diffuse", lambda m: m.light("top").diffuse.mean()),
        ("light.top.diffuse.red", lambda m: m.light("top").diffuse[0]),
        ("camera.front.pos.y", lambda m: m.camera("front").pos[1]),
        ("camera.front.fovy", lambda m: m.camera("front").fovy[0]),
        ("geom.rod.rgba.red", lambda m: m.geom("rod").rgba[0]),
        ("material.paint.rgba.blue", lambda m: m.material("paint").rgba[2]),
        ("headlight.specular", lambda m: m.vis.headlight.specular.mean()),
    ],
)
def test_a_path_reads_and_writes_the_number_that_it_names_and_goes_back(of, read):
    world = world_with(thing={"of": of})
    world.restart(seed=0)
    (factor,) = world.factors.values()
    assert factor.nominal == pytest.approx(read(world.scene.model)) and factor.description == of
    compiled = mujoco.MjModel.from_xml_string(MJCF)
    for value in (factor.value(0.7), factor.value(-1.2)):
        world.set_factors({"thing": value})
        assert read(world.scene.model) == pytest.approx(value, rel=1e-6)
    world.set_factors({"thing": factor.nominal})
    assert read(world.scene.model) == pytest.approx(read(compiled), rel=1e-6)


def test_a_vector_is_a_factor_for_each_part_and_one_word_draws_them_all():
    world = envs.make(
        "puck",
        image_size=16,
        factors={"view": {"of": "camera.top.pos"}, "mass": {"of": "body.puck.mass", "nominal": 2.0}},
        randomize=["view"],
        factor_rho={"visual": 0.5, "view": 0.9},
    )
    assert world.randomize == ("view_x", "view_y", "view_z") and set(world.describe()["factor_rho"].values()) == {0.9}
    world.restart(seed=0)
    assert world.scene.model.camera("top").pos == pytest.approx([world.factor_values[n] for n in world.randomize])
    assert world.scene.model.body("puck").mass[0] == pytest.approx(2.0)  # in place of the world's own factor


def test_a_camera_turns_about_its_own_axes():
    world = world_with(turn={"of": "camera.front.rotation", "bounds": [-1, 1]})
    world.restart(seed=0, factors={"turn_pan": 0.3})
    model, data = world.scene.model, world.scene.data
    mujoco.mj_camlight(model, data)
    view = -data.cam_xmat[0].reshape(3, 3)[:, 2]
    assert view == pytest.approx([-np.sin(0.3), np.cos(0.3), 0.0])  # to the left of straight ahead
    world.set_factors({"turn_pan": 0.0})
    assert model.cam_quat[0] == pytest.approx(mujoco.MjModel.from_xml_string(MJCF).cam_quat[0], abs=0)


def test_a_pattern_is_a_ratio_and_multiplies():
    world = world_with(all={"of": "body.*.mass"}, ball={"of": "body.ball.mass"})
    world.restart(seed=0)
    before = world.scene.model.body_mass.copy()
    world.set_factors({"all": 1.2, "ball": world.factors["ball"].nominal * 1.1})
    ratio = world.scene.model.body_mass[1:] / before[1:]
    assert ratio == pytest.approx([1.2, 1.32]) and world.factors["all"].nominal == 1


def test_what_acts_is_measured():
    factors = {"mass": {"of": "body.ball.mass"}, "light": {"of": "light.top.diffuse"}, "far": {"of": "site.mid.pos.y"}}
    factors["idle"] = {"of": "geom.rod.friction"}  # the pair's own friction counts where the two touch
    world, policy = world_with(**factors), make_policy("uniform", hold_steps=5)
    found = {name: effect(world, name, policy) for name in world.factors}
    assert found["mass"] > 1e-4 and found["light"] > 1 and found["idle"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"of": "body.pukc.mass"}, r"unknown body 'pukc' in 'body.pukc.mass' \(did you mean puck\?\)"),
        ({"of": "bodi.puck.mass"}, r"unknown kind 'bodi' .*did you mean body"),
        ({"of": "body.puck.mas"}, r"unknown property 'mas' .*did you mean mass"),
        ({"of": "camera.top.pos.w"}, "unknown part 'w' .*there is x, y, z"),
        ({"of": "texture.a.rgb"}, "textures are fixed"),
        ({"of": "geom.disc"}, "write geom.NAME.PROPERTY"),
        ({"of": "body.puck.com.x"}, "its centre of mass at its origin"),
        ({"of": "joint.x.stiffness"}, "is 0, which has no logarithm; give it a nominal value"),
        ({"of": "body.puck.mass", "bounds": [2, 3]}, r"nominal 1 is outside its bounds \[2, 3\]; give bounds"),
        ({"of": "body.puck.mass", "bounds": [5, 0.2]}, r"bounds must be \[lowest, highest\], got \[5, 0.2\]"),
        ({"of": "body.puck.mass", "transform": "linear", "bounds": [-1, 2]}, "body.puck.mass is 0 or more"),
        ({"of": "camera.top.fovy", "bounds": [10, 400]}, r"camera.top.fovy is in \[1, 170\]"),
        ({"of": "body.puck.mass", "prior": -1}, "prior_scale must be > 0"),
        ({"of": "puck.mass"}, r"'puck.mass' does not say of what kind it is: write body.puck.mass$"),
        ({"of": "gravity"}, "write option.gravity$"),
        ({"of": "geom.disc.mass"}, "elsewhere there is body.NAME.mass$"),
        ({"of": "body.puck.mass.x"}, "mass is one number, which has no part 'x'"),
    ],
)
def test_a_path_that_names_nothing_is_refused_in_one_line(arguments, message):
    with pytest.raises(FactorError, match=message):
        envs.make("puck", factors={"thing": arguments})


def test_no_factor_is_called_as_what_redraws_the_looks():
    with pytest.raises(ValueError, match="a factor of puck is called looks"):
        envs.make("puck", factors={"looks": {"of": "body.puck.mass"}})


def test_a_world_that_a_free_camera_sees_says_so():
    with pytest.raises(FactorError, match=r"unknown camera 'front' .*none with a name; a free camera is no factor"):
        envs.make("gym:Reacher-v5", factors={"view": {"of": "camera.front.pos"}})


def test_a_path_alone_is_a_factor_and_unknown_options_are_refused():
    assert "heavy" in envs.make("puck", image_size=8, factors={"heavy": "body.puck.mass"}).factors
    for given in ({"off": "body.puck.mass"}, {"of": "body.puck.mass", "scale": 2.0}):
        with pytest.raises(FactorError, match="factor heavy takes of, prior, transform, bounds, nominal"):
            envs.make("puck", factors={"heavy": given})
