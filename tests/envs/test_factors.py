"""Every declared factor is drawn from its prior, and written without residue; that it acts: test_contract.py."""

import mujoco
import numpy as np
import pytest

from worldmodel import envs
from worldmodel.envs.factors import FactorError, PhysicsFactor


@pytest.mark.parametrize("name", ["puck", "reacher", "quadruped-walk", "cartpole-two_poles"])
def test_setting_a_factor_back_restores_the_model(world_of, name):
    world = world_of(name)
    world.restart(seed=0)
    nominal = world.factor_values
    fields = ("body_mass", "body_inertia", "body_invweight0", "dof_damping", "dof_invweight0", "geom_friction")

    def model() -> list[np.ndarray]:
        return [getattr(world.scene.model, field).copy() for field in fields]

    before = model()
    world.set_factors({factor.name: factor.bounds[1] for factor in world.factors.values()})
    assert any(not np.array_equal(a, b) for a, b in zip(before, model(), strict=True))
    world.set_factors(nominal)
    assert all(np.allclose(a, b, rtol=1e-12) for a, b in zip(before, model(), strict=True))


def test_factors_on_one_field_multiply(world_of):
    world = world_of("reacher")
    world.restart(seed=0, factors={"arm_mass": 0.05, "mass_scale": 1.5})
    assert world.scene.model.body("arm").mass[0] == pytest.approx(0.075)


@pytest.mark.parametrize("mass", [0.5, 2.0])
@pytest.mark.parametrize("friction", [0.08, 0.3])
def test_the_puck_slides_at_mu_g_whatever_its_mass(world_of, mass, friction):
    world = world_of("puck")
    drag = world.factors["damping"].bounds[0]
    world.restart(seed=0, factors={"mass": mass, "friction": friction, "damping": drag})
    for _ in range(15):
        world.advance(np.zeros(2))  # settles
    world.set_state(np.concatenate([world.state()[:3], [1.6, 0.8, 0.0]]))
    speeds = np.linalg.norm([world.state()[3:5] for _ in range(4) if world.advance(np.zeros(2))], axis=1)
    viscous = drag * speeds.mean() / mass
    assert -np.diff(speeds[1:]).mean() / world.control_dt_s - viscous == pytest.approx(friction * 9.81, rel=0.02)


@pytest.mark.parametrize("name", ["pendulum", "cartpole", "cartpole-two_poles"])
def test_a_length_gives_the_model_that_is_compiled_with_it(world_of, name):
    world, factor = world_of(name), "length" if name == "pendulum" else "pole_1_length"
    value = world.factors[factor].bounds[1]
    world.restart(seed=0, factors={factor: value})
    fields = ("body_mass", "body_inertia", "body_ipos", "body_pos", "geom_pos", "geom_size", "geom_rbound", "geom_aabb")
    expected = _compiled_with_length(name, value)
    for field in (*fields, "body_subtreemass", "dof_invweight0"):
        assert getattr(world.scene.model, field) == pytest.approx(getattr(expected, field), rel=1e-6, abs=1e-9), field
    world.restart(seed=0)
    assert world.scene.model.geom_pos == pytest.approx(envs.make(name, image_size=8).scene.model.geom_pos, abs=0)


def _compiled_with_length(name: str, length: float) -> mujoco.MjModel:
    """The suite's own MJCF with its first rod, and what hangs on it, `length` long."""
    from dm_control.suite import cartpole, pendulum

    if name == "pendulum":
        xml, assets = pendulum.get_model_and_assets()
        changes = {b"0 0 0 0 0 0.5": f"0 0 0 0 0 {length}", b'pos="0 0 0.5"': f'pos="0 0 {length}"'}
    else:
        xml, assets = cartpole.get_model_and_assets(2 if name == "cartpole-two_poles" else 1)
        rod = f'<geom name="pole_1" fromto="0 0 0 0 0 {length}"/>'
        changes = {b'<geom name="pole_1"/>': rod, b'"pole_2" pos="0 0 1"': f'"pole_2" pos="0 0 {length}"'}
    for before, after in changes.items():
        xml = xml.replace(before, after.encode())
    return mujoco.MjModel.from_xml_string(xml.decode(), assets)


@pytest.mark.parametrize("pushed", [0.05, -0.05])
def test_a_block_turns_about_its_centre_of_mass(world_of, pushed):
    world = world_of("block")
    state = np.zeros(16)
    state[7] = -0.06  # the finger below the middle of the block, moving up: it hits the wall's middle
    state[15] = 1.5
    world.restart(seed=0, factors={"centre": pushed, "friction": world.factors["friction"].bounds[0]}, state=state)
    for _ in range(10):
        world.advance(np.zeros(2))
    assert np.sign(world.state()[3]) == -np.sign(pushed) and abs(world.state()[3]) > 0.02


def test_setting_factors_leaves_the_state_alone(world_of):
    world = world_of("puck")
    world.reset(seed=0)
    state = world.state()
    world.set_factors({"mass": 2.0, "friction": 0.3})
    assert np.array_equal(world.state(), state)


def test_a_refused_value_changes_nothing(world_of):
    world = world_of("puck")
    world.reset(seed=0)
    with pytest.raises(FactorError, match="friction"):
        world.set_factors({"mass": 2.0, "friction": 9.0})
    assert world.factor_values["mass"] == 1.0


def test_draws_follow_the_prior():
    mass = envs.make("puck").factors["mass"]
    rng = np.random.default_rng(0)
    t = np.array([mass.standardize(mass.sample(rng)) for _ in range(4000)])
    assert abs(t.mean()) < 3 / np.sqrt(4000)
    assert abs(t.std() - 1) < 0.04  # 3 standard errors, and .4 % for the truncation at 3.2
    assert np.abs(t).max() <= 3.2 + 1e-9
    assert mass.value(mass.standardize(1.7)) == pytest.approx(1.7)


def test_a_spread_widens_draws_and_drift_within_the_bounds():
    world = envs.make("puck", image_size=8, randomize=["physical"], factor_spread={"physical": 1.5, "damping": 0.5})
    mass, damping, rows = world.factors["mass"], world.factors["damping"], []
    for seed in range(1500):
        world.restart(seed=seed)
        before = world.factor_values
        world.drift_factors(["mass", "damping"], 0.8)
        rows.append([f.standardize(v[f.name]) for f in (mass, damping) for v in (before, world.factor_values)])
    drawn = np.array(rows)
    # 1.5 and .5; the first is cut at 3.2, which takes .07 off, and has a standard error of .027
    assert np.abs(drawn.std(0) - [1.43, 1.43, 0.5, 0.5]).max() < 0.09
    assert np.abs(drawn).max() <= 3.2 + 1e-9
    # correlations of .8 have a standard error of .01
    assert np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1] == pytest.approx(0.8, abs=0.04)
    assert np.corrcoef(drawn[:, 2], drawn[:, 3])[0, 1] == pytest.approx(0.8, abs=0.04)


def test_randomisation_follows_the_seed_and_spares_the_start():
    plain, randomised = (envs.make("puck", image_size=8, randomize=names) for names in ((), ("physical",)))
    plain.restart(seed=7)
    randomised.restart(seed=7)
    drawn = randomised.factor_values
    assert np.array_equal(plain.state(), randomised.state())
    assert drawn["mass"] != 1.0 and drawn["light"] == 0.5
    randomised.restart(seed=7, factors={"friction": 0.2})
    assert randomised.factor_values == {**drawn, "friction": 0.2}


def test_factor_rho_sets_the_autocorrelation():
    rho = {"light": 0.8, "visual": 0.0}
    world = envs.make("lit_ball", image_size=8, randomize=["all"], factor_rho=rho)
    world.restart(seed=0)
    mass, rows = world.factor_values["mass"], []
    for _ in range(3000):
        world.advance(np.zeros(1))
        rows.append([world.factors[name].standardize(world.factor_values[name]) for name in ("light", "ball_blue")])
    assert world.factor_values["mass"] == mass
    light, blue = (np.corrcoef(column[:-1], column[1:])[0, 1] for column in np.array(rows).T)
    assert abs(light - 0.8) < 0.05  # 3 standard errors .033, and the clipping at the upper bound
    assert abs(blue) < 3 / np.sqrt(3000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nominal": 5.0}, "nominal 5 is outside its bounds"),
        ({"bounds": (0.0, 2.0)}, "log transform needs bounds above 0"),
        ({"prior_scale": 0.0}, "prior_scale must be > 0"),
        ({"transform": "sqrt"}, "transform must be log or linear"),
    ],
)
def test_impossible_factors_are_refused(change, message):
    good = {"name": "m", "unit": "kg", "nominal": 1.0, "bounds": (0.5, 2.0), "prior_scale": 0.3, "transform": "log"}
    with pytest.raises(FactorError, match=message):
        PhysicsFactor(**{**good, **change}, write=lambda *_: None)
