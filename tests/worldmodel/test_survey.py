"""`worldmodel worlds`: a list, a closer look, and that what it offers can be used as it stands."""

import imageio.v3 as iio
import pytest

import worldmodel as wm
from worldmodel import envs
from worldmodel.cli.main import main
from worldmodel.cli.worlds_table import _by_element, worlds_lines
from worldmodel.designing.survey import _in_turn, _nameable_factors
from worldmodel.system.errors import UserError


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    picture = str(tmp_path_factory.mktemp("w") / "reacher.png")
    return wm.worlds(wm.WorldsConfig(env="gym:Reacher-v5", out=picture, seconds=100))


def test_a_world_never_seen_before_is_shown_with_what_acts(looked):
    view = looked.view
    effects = {factor.name: factor.effect for factor in view.factors + view.paths}
    assert effects["joint.joint0.damping"] > 0.1 and effects["light"] > 1
    assert effects["geom.target.friction"] == 0  # which nothing touches
    assert view.summary.kind == "reward" and view.summary.sizes is None and view.camera == "free"
    assert view.state_names[0] == "joint0" and iio.imread(looked.picture).std() > 10


def test_every_path_that_is_offered_makes_a_factor(looked):
    factors = {f"f{k}": {"of": path.name} for k, path in enumerate(looked.view.paths)}
    world = envs.make("gym:Reacher-v5", image_size=8, factors=factors)
    for k, path in enumerate(looked.view.paths):
        factor = next(factor for factor in world.factors.values() if factor.group == f"f{k}")
        assert (factor.nominal, factor.kind) == (path.nominal, path.kind)


def test_the_table_has_a_row_for_each_world_and_says_what_comes_next(looked):
    told = worlds_lines(looked)
    assert (
        "0.1 s" not in told and "next: worldmodel train env=gym:Reacher-v5" in told and "joint.joint0.damping" in told
    )
    listed = wm.worlds(wm.WorldsConfig(env="pend*"))
    assert [world.name for world in listed.worlds] == ["pendulum", "pendulum-swingup"]
    pendulum = listed.worlds[0]
    assert (pendulum.kind, pendulum.num_actions, pendulum.num_states) == ("goals", 1, 2)
    assert {"base", "small"} == {*pendulum.sizes} and "gravity" in pendulum.factors


def test_what_does_not_exist_is_refused(capsys):
    with pytest.raises(UserError, match="no world matches 'nothing-\\*'"):
        wm.worlds(wm.WorldsConfig(env="nothing-*"))
    assert main(["worlds", "env=reachr"]) == 1 and "did you mean reacher" in capsys.readouterr().err


def test_the_world_of_a_recipe_is_shown_under_the_recipes_name():
    found = wm.worlds(wm.WorldsConfig(env="reacher_ou", seconds=0))
    assert found.worlds[0].name == "reacher_ou" and found.worlds[0].kind == "poses" and found.view.factors


def test_where_time_is_short_something_of_every_kind_is_measured(looked):
    world = envs.make("gym:Reacher-v5", image_size=8)
    order = [factor.group for factor in _in_turn(_nameable_factors(world))]
    kinds = [(path.partition(".")[0], path.rpartition(".")[2]) for path in order]
    assert len(set(kinds[: len(set(kinds))])) == len(set(kinds)) < len(kinds)
    assert sorted(order) == sorted(path.name for path in looked.view.paths)


def test_paths_of_one_element_stand_together():
    paths = ["body.arm/1.mass", "body.arm/1.com", "geom.floor.rgba", "gravity", "light"]
    assert _by_element(paths) == ["body.arm/1.{mass,com}", "geom.floor.rgba", "gravity", "light"]
