"""Settings: recipes compose, options are found and checked, runs come back, and stages see what their weights need."""

import dataclasses
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from worldmodel import settings as public
from worldmodel.cli.help import help_text
from worldmodel.cli.overrides import parse, quoted, values
from worldmodel.envs.excitation import make_policy
from worldmodel.planners import PLANNERS, make_planner
from worldmodel.settings import (
    METHODS,
    CollectConfig,
    CompareConfig,
    ControlConfig,
    DataConfig,
    DesignConfig,
    EncoderConfig,
    KinematicConfig,
    PlanConfig,
    PositionsConfig,
    RunsConfig,
    TrainConfig,
    read_run_config,
    recipe,
    write_run_config,
)
from worldmodel.settings.arguments import configure
from worldmodel.settings.base import field_docs, settings_class
from worldmodel.settings.convert import option_paths, with_options
from worldmodel.settings.method import LEWM_SIGREG
from worldmodel.settings.recipes import folder, preset, preset_names, sizes
from worldmodel.settings.stored import GONE
from worldmodel.system.digest import CHECKSUM
from worldmodel.system.errors import CheckpointError, UserError

RECIPES = [(env, size) for env in preset_names("env") for size in [None, *sizes(env)]]
CONFIG_CLASSES = [
    cls for cls in map(public.__dict__.get, public.__all__) if isinstance(cls, type) and dataclasses.is_dataclass(cls)
]


def training(**chosen: Any) -> TrainConfig:
    """Settings of `train`; an option's dots are written as two underscores."""
    return configure(TrainConfig, {name.replace("__", "."): value for name, value in chosen.items()})


# ---------------------------------------------------------------------------------------------------------------------
# recipes


@pytest.mark.parametrize(("env", "size"), RECIPES)
def test_a_recipe_says_what_its_world_trains_with_and_collects(env: str, size: str | None):
    config = recipe(env, size)
    chosen: dict[str, Any] = {"env": env} | ({} if size is None else {"size": size})
    assert configure(TrainConfig, chosen) == config
    assert configure(CollectConfig, chosen) == config.collection
    if config.env.kinematic is None:
        assert configure(DesignConfig, chosen).training == config
    assert config != TrainConfig() or env == "reacher_ou"
    make_policy(**config.collection.policy)
    make_planner(**config.plan.planner)


@pytest.mark.parametrize("env", preset_names("env"))
def test_every_size_but_the_default_has_a_name_and_data_of_its_own(env: str):
    named = {size: recipe(env, size).run_name for size in sizes(env)}
    assert len(set(named.values())) == len(named)
    assert all(recipe(env, size).env.label == label for size, label in named.items())
    assert recipe(env).run_name in {env, *named.values()}
    if named:
        (default,) = [size for size, label in named.items() if label == env]
        assert recipe(env, default) == recipe(env)


def test_the_text_of_every_recipe_is_plain_yaml_of_known_sections():
    sections = {item.name for item in dataclasses.fields(TrainConfig)}
    for path in (folder() / "env").glob("*.yaml"):
        assert set(yaml.safe_load(path.read_text())) <= sections | {"sizes", "default_size", "inherits"}, path


@pytest.mark.parametrize("name", preset_names("policy"))
def test_named_policies_can_be_made(name: str):
    make_policy(**preset("policy", name))


@pytest.mark.parametrize("name", [*PLANNERS, *preset_names("planner")])
def test_named_planners_can_be_made(name: str):
    planner = make_planner(**preset("planner", name))
    assert name not in PLANNERS or planner == PLANNERS[name]()


def test_an_atlas_is_what_the_recipe_of_that_name_collects():
    poses = recipe("puck_ou").collection
    assert recipe("puck").atlas == poses
    assert recipe("puck", "base").atlas == dataclasses.replace(poses, episodes=40_000)
    config = training(env="puck", data="elsewhere", workers=3, atlas__workers=1)
    assert config.atlas == dataclasses.replace(poses, data="elsewhere", workers=1)
    assert config.collection.workers == 3


def test_a_size_is_built_from_another():
    base, wide = recipe("puck", "base"), recipe("puck", "wide")
    changed = dataclasses.replace(
        base.collection,
        episodes=1600,
        env=dataclasses.replace(base.env, name="puck-wide", factor_spread={"physical": 1.6}),
    )
    assert wide == dataclasses.replace(base, name="puck-wide", collection=changed)


def test_a_recipe_that_sets_part_of_an_optional_section_keeps_the_rest_at_its_defaults():
    found = recipe("varied_pendulum").context_training_or_default
    default = TrainConfig().context_training_or_default
    assert found == dataclasses.replace(default, optim=dataclasses.replace(default.optim, lr=3e-3))


@pytest.mark.parametrize("world", ["walker-walk", "my_world.py:make"])
def test_a_world_without_a_recipe_has_the_default_one_however_it_is_named(world: str):
    config = recipe(world)
    assert config == training(env=world) == training(env__world=world)
    other = recipe("cheetah-run")
    env = dataclasses.replace(other.env, world=world, name=config.env.name)
    assert config == dataclasses.replace(other, collection=dataclasses.replace(other.collection, env=env))
    assert (config.method.lag, config.method.sigreg_end, config.encoder.input_size, config.goal_s) == (5, 0.005, 32, 1)
    assert config.collection.policy == preset("policy", "uniform_and_ou")


def test_a_recording_from_elsewhere_is_trained_on_like_a_world_without_a_recipe():
    recorded, world = recipe("recorded"), recipe("walker-walk")
    needs_neither_actions_nor_goals = {"method.controlled": False, "goal_heads": False, "plan.metric": "l2"}
    expected = with_options(world, needs_neither_actions_nor_goals)
    assert dataclasses.replace(recorded, collection=world.collection) == expected


def test_worlds_with_recipes_set_goals_in_steps_as_their_figures_were_measured():
    in_seconds = {env: found for env in preset_names("env") if env != "recorded" and (found := recipe(env).goal_s)}
    assert in_seconds == {"point_mass": 1.0}, "50 control steps of 20 ms"
    assert recipe("ou-reacher").goal_s is None


def test_the_names_of_runs_and_data_sets():
    assert recipe("walker-walk").run_name == "walker-walk"
    assert recipe("my_world.py:make").env.label == "my_world-make"


# ---------------------------------------------------------------------------------------------------------------------
# options


@pytest.mark.parametrize(
    ("cls", "given", "same"),
    [
        (TrainConfig, {"env.world": "puck"}, {"env": "puck"}),
        (TrainConfig, {"collection.env.world": "puck"}, {"env": "puck"}),
        (CollectConfig, {"world": "puck"}, {"env": "puck"}),
        (DesignConfig, {"env.world": "puck", "window": 9}, {"env": "puck", "window": 9}),
        (TrainConfig, {"episodes": 7, "image_size": 32}, {"collection.episodes": 7, "collection.env.image_size": 32}),
        (TrainConfig, {"policy.std": 0.3, "policy": "ou"}, {"collection.policy": {"name": "ou", "std": 0.3}}),
        (ControlConfig, {"planner.horizon": 9, "planner": "cem"}, {"plan.planner": {"name": "cem", "horizon": 9}}),
    ],
)  # fmt: skip
def test_an_option_may_be_written_by_any_end_of_its_path(cls: type[Any], given: dict[str, Any], same: dict[str, Any]):
    assert configure(cls, given) == configure(cls, same)
    assert configure(cls, given) != configure(cls, {})


@pytest.mark.parametrize("text", ["nan", "1e3", "007", "true", "été", "a=b", "#1", "it's", "{x}", "my run"])
def test_paths_and_names_are_taken_as_they_are_written_alone_and_in_a_sweep(text: str):
    for option, cls in (
        ("name", TrainConfig),
        ("collection.data", TrainConfig),
        ("out", DataConfig),
        ("run", RunsConfig),
    ):
        assert values([f"{option}={text}"], cls) == {option: text}
        argument = quoted(f"{option}={text}", cls)
        assert values([argument], cls) == {option: text}
        (override,) = parse([argument])
        assert override.value() == text
    assert values([f"others=[data/{text},b]"], DataConfig) == {"others": [f"data/{text}", "b"]}
    swept = parse([quoted(f"name=a,{text}", TrainConfig)])[0].sweep_string_iterator()
    assert [values([f"name={one}"], TrainConfig)["name"] for one in swept] == ["a", text]


@pytest.mark.parametrize("text", ["~/runs", "'~/runs'"])
def test_the_home_directory_is_meant_in_every_shell(text: str):
    """zsh and programs pass it on as it stands, and a folder called ~ would be made."""
    home = str(Path.home() / "runs")
    assert values([f"runs={text}"], TrainConfig) == {"runs": home}
    assert values([f"others=[{text},a~/b]"], DataConfig) == {"others": [home, "a~/b"]}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"seed": 2**63}, "seed must be a number below 2\\^63, got 9223372036854775808"),
        ({"method.optim.lr": float("inf")}, r"method\.optim\.lr must be a number > 0, got inf"),
    ],
)
def test_a_number_that_nothing_can_hold_is_refused(value: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        configure(TrainConfig, value)


def test_what_is_no_text_is_read_as_before():
    arguments = ["seed=1", "env.randomize=[mass]", "name=null", "policy={name: ou, std: 1}", "goal_heads=true"]
    assert values(arguments, TrainConfig) == {
        "seed": 1, "env.randomize": ["mass"], "name": None, "policy": {"name": "ou", "std": 1}, "goal_heads": True
    }  # fmt: skip
    assert quoted("seed=0,1", TrainConfig) == "seed=0,1" and quoted("wings=a,b", TrainConfig) == "wings=a,b"


def test_the_path_of_a_world_is_kept_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for world in ("my_world.py:make", f"{tmp_path}/my_world.py:make"):
        write_run_config(tmp_path, recipe(world))
        assert read_run_config(tmp_path).env.world == f"{tmp_path}/my_world.py:make"
    write_run_config(tmp_path, recipe("puck"))
    assert read_run_config(tmp_path) == recipe("puck")


def test_a_world_beside_a_recipe_is_put_into_it():
    known = recipe("point_mass")
    env = dataclasses.replace(known.env, world="my_world.py:make")
    expected = dataclasses.replace(known, collection=dataclasses.replace(known.collection, env=env))
    assert training(env="point_mass", env__world="my_world.py:make") == expected


@pytest.mark.parametrize(
    ("cls", "chosen", "message"),
    [
        (TrainConfig, {"env": "pukc"}, r"unknown env 'pukc' \(did you mean puck\?\); worldmodel worlds lists"),
        (TrainConfig, {"size": "huge"}, r"env=reacher has no size=huge; it has small, base, lewm"),
        (TrainConfig, {"env": "two_room", "size": "base"}, r"env=two_room has no size=base; it has one size only"),
        (TrainConfig, {"episods": 3}, r"unknown option 'episods' \(did you mean collection\.episodes\?\)"),
        (TrainConfig, {"encoder.hiden": 3}, r"unknown option 'encoder\.hiden' \(did you mean encoder\.hidden\?\)"),
        (TrainConfig, {"nonsense_word": 3}, r"unknown option 'nonsense_word'$"),
        (TrainConfig, {"steps": 3}, r"'steps' may mean .*method\.optim\.steps.* or decoder_training\.steps"),
        (TrainConfig, {"hidden": 3}, r"'hidden' may mean encoder\.hidden or predictor\.hidden or context\.hidden"),
        (TrainConfig, {"encoder.kind": "cnnn"}, r"encoder\.kind must be one of mlp, .* cnn, strided, paired, vit, got"),
        (TrainConfig, {"episodes": "many"}, r"collection\.episodes must be a whole number >= 1, got 'many'"),
        (TrainConfig, {"method.rho": 1.5}, r"method\.rho must be a number > 0 and < 1 or null, got 1\.5"),
        (TrainConfig, {"encoder": "cnn"}, r"encoder is a group of options, got 'cnn'; set one as encoder\.NAME=VALUE"),
        (TrainConfig, {"method.drop": 1.0}, r"method\.drop must be a number >= 0 and < 1, got 1\.0"),
        (TrainConfig, {"method": "lejepaa"}, r"method\.name must be one of lejepa, "),
        (TrainConfig, {"method": "infonce", "method.options.temprature": 1.0}, r"temprature of method=infonce; it has"),
        (TrainConfig, {"env.kinematic.rho": 2.0}, r"kinematic\.rho must be a number >= 0 and <= 1"),
        (TrainConfig, {"context.window": 5}, r"context\.window must be more than twice the longest stride"),
        (ControlConfig, {"protocol": "lwm"}, r"protocol must be one of lewm, strict, reward, .*, got 'lwm'"),
        (ControlConfig, {"planner": "follow"}, r"planner=follow only follows proposals; add proposal=true"),
        (DesignConfig, {"env": "reacher_ou"}, r"env=reacher_ou is kinematic"),
        (PositionsConfig, {"context.window": 300}, r"do not fit into episodes of 200 steps"),
        (CompareConfig, {"scale": "slow"}, r"scale must be one of recipe, quick, got 'slow'"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_are_one_line(cls: type[Any], chosen: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message) as caught:
        configure(cls, chosen)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EncoderConfig(hidden="wide"), "hidden must be a whole number >= 1, got 'wide'"),  # type: ignore[arg-type]
        (lambda: EncoderConfig(hidden=True), "hidden must be a whole number"),
        (lambda: TrainConfig(name="../up"), "name is one folder's name"),
        (lambda: TrainConfig(threads=0), "threads must be a whole number >= 1 or null, got 0"),
        (lambda: CollectConfig(restart_midway=True, warp_worlds=8), "MuJoCo Warp cannot record restart_midway"),
    ],
)
def test_settings_made_in_python_check_themselves(make: Any, message: str):
    with pytest.raises(UserError, match=message):
        make()


def test_a_policy_planner_or_method_replaces_the_one_of_the_recipe():
    assert training(env="puck", policy="uniform").collection.policy == {"name": "uniform"}
    assert training(env="puck", policy__std=0.5).collection.policy["stiffness"] == 20.0
    assert training(env="push_t").plan.planner["num_samples"] == 128
    assert training(env="push_t", planner="cem").plan.planner == {"name": "cem"}
    lewm = training(env="puck", method="lewm", method__options__block=2).method
    assert lewm.options == {"block": 2} and {name: getattr(lewm, name) for name in LEWM_SIGREG} == LEWM_SIGREG
    assert {training(method=name).method.name for name in METHODS} == set(METHODS)


def test_a_world_becomes_kinematic_by_naming_what_moves():
    latents = {"shoulder": 0.5}
    assert training(env__kinematic__latents=latents).env.kinematic == KinematicConfig(latents)
    assert training(env="reacher_ou", kinematic__rho=0.5).env.kinematic == KinematicConfig(
        {"shoulder": 0.7, "wrist": 0.7}, 0.5
    )


@pytest.mark.parametrize("cls", CONFIG_CLASSES)
def test_every_option_says_what_it_means(cls: type[Any]):
    assert {item.name for item in dataclasses.fields(cls)} == set(field_docs(cls))
    assert all(field_docs(cls).values())


def test_settings_need_no_heavy_library():
    heavy = {"torch", "mujoco", "dm_control", "hydra", "omegaconf", "scipy"}
    code = f"import sys; from worldmodel.settings import recipe; recipe('push_t'); print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# ---------------------------------------------------------------------------------------------------------------------
# runs


@pytest.mark.parametrize(
    "config",
    [
        recipe("reacher"),
        recipe("puck", "wide"),
        recipe("reacher", "lewm"),
        recipe("lit_ball_ou"),
        TrainConfig(plan=PlanConfig(planner={"name": "cem"})),
        training(method="jepa", method__options__momentum=0.5, context__window=17, predictor__history=[0, 2]),
    ],
)
def test_the_settings_of_a_run_come_back(config: TrainConfig, tmp_path: Path):
    write_run_config(tmp_path, config)
    assert read_run_config(tmp_path) == config
    assert read_run_config(tmp_path).stage_settings() == config.stage_settings()


@pytest.mark.parametrize("text", ["nonsense: 1", "episodes: many", "method: {rho: 2}", "a: [", "- 1", "schema: 99"])
@pytest.mark.parametrize("schema", ["", "schema: 2\n"])
def test_settings_of_another_version_are_named(text: str, schema: str, tmp_path: Path):
    (tmp_path / "config.yaml").write_text(text if text.startswith(("-", "schema")) else schema + text)
    with pytest.raises(CheckpointError, match=r"config\.yaml holds settings of another version") as caught:
        read_run_config(tmp_path)
    assert "\n" not in str(caught.value)


def test_settings_of_version_0_1_mean_what_they_did(tmp_path: Path):
    """One flat group; zeros and empty text meant "choose for me"; an atlas was the name of its recipe."""
    old = {
        "env": {"world": "puck", "name": "", "encoder_env": "puck_ou", "quality": "fast", "factor_shell": {}},
        "policy": {"name": "ou", "std": 0.3}, "episodes": 40, "encoder_episodes": 400, "workers": 0, "name": "mine",
        "engine": "classic", "worlds": 128, "threads": 0, "checkpoint_every_s": 30.0, "heads": {"reach": 25},
        "encoder": {"kind": "vit", "latent_dim": 0, "vit_name": "vit_tiny_patch16_224", "vit_patch": 8},
        "method": {"name": "infonce", "rho": 0.0, "lag_end": 0, "infonce": {"temperature": 2.0}, "block": 5},
        "predictor": {"kind": "transformer", "history": [0], "block": 5, "window": 3, "conditioned": True},
        "context": {"dim": 0, "window": 20}, "predictor_training": {"steps": 80, "grad_clip": 1.0},
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(old))
    found = read_run_config(tmp_path)
    assert found.env.name is None and found.collection.episodes == 40 and found.collection.workers is None
    assert found.atlas == dataclasses.replace(recipe("puck_ou").collection, episodes=400)
    assert found.encoder.latent_dim is None and found.encoder.vit_or_default.patch == 8
    assert found.method.rho is None and found.method.own().temperature == 2.0
    assert found.predictor.transformer_or_default.window == 3 and found.context_or_default.dim is None
    assert found.predictor_training == dataclasses.replace(TrainConfig().predictor_training, steps=80)
    with pytest.raises(CheckpointError, match=r"optim\.grad_clip is no longer an option and was not 1\.0"):
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({**old, "predictor_training": {"grad_clip": 2.0}}))
        read_run_config(tmp_path)


def with_gone(values: dict[str, Any], worth: Callable[[object], object]) -> dict[str, Any]:
    """Settings of a run as an earlier version wrote them, with the options that are constants now."""
    values.pop(CHECKSUM)
    for option, constant in GONE.items():
        *sections, name = option.split(".")
        place = values
        for section in sections:
            place[section] = place = place.get(section) or {}
        place[name] = worth(constant)
    return values


def test_a_run_opens_that_has_options_which_are_constants_now(tmp_path: Path):
    write_run_config(tmp_path, recipe("puck"))
    file = tmp_path / "config.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(yaml.safe_dump(with_gone(yaml.safe_load(text), lambda constant: constant)))
    with warnings.catch_warnings(action="error"):
        assert read_run_config(tmp_path).stage_settings() == recipe("puck").stage_settings()
    file.write_text(yaml.safe_dump(with_gone(yaml.safe_load(text), lambda _: "another")))
    with pytest.warns(UserWarning, match="in every run now") as said:
        assert read_run_config(tmp_path).stage_settings() == recipe("puck").stage_settings()
    assert len(said) == len(GONE)


MOST_SHOWN, MOST_OPTIONS = 74, 105


def test_train_has_few_options():
    """An option that nobody sets is a constant: let one go, before one is added."""
    shown = re.findall(r"^  [a-z_.]+=", help_text("train", "", TrainConfig, (), {"env": "reacher"}), re.M)
    assert len(shown) < MOST_SHOWN
    every = [path for path, hint, _ in option_paths(TrainConfig) if settings_class(hint) is None]
    own = [path for path in every if not path.startswith("atlas.")]  # an atlas is a second collection
    assert len(own) < MOST_OPTIONS


# ---------------------------------------------------------------------------------------------------------------------
# what the weights of each stage depend on


@pytest.mark.parametrize(
    ("stage", "changes"),
    [
        ("encoder", {"seed": 1}),
        ("encoder", {"data_seed": 1}),
        ("encoder", {"episodes": 7}),
        ("encoder", {"env.image_size": 48}),
        ("encoder", {"env.randomize": ["light"]}),
        ("encoder", {"policy": "ou"}),
        ("encoder", {"drift_rho": 0.5}),
        ("encoder", {"encoder.hidden": 7}),
        ("encoder", {"encoder.vit.pool": "tokens"}),
        ("encoder", {"method": "infonce"}),
        ("encoder", {"method.controlled": True}),
        ("encoder", {"method.optim.lr": 1e-4}),
        ("context", {"context.window": 17}),
        ("context", {"context_training.optim.lr": 1e-4}),
        ("predictor", {"predictor.horizon": 7}),
        ("predictor", {"predictor_training.steps": 7}),
        ("heads", {"goal_heads": True}),
        ("looks", {"robust": True}),
        ("looks", {"distillation.kinds": ["noise"]}),
        ("decoder", {"decoder": False}),
        ("decoder", {"decoder_training.steps": 7}),
        ("reward", {"reward_head": False}),
        (None, {"runs": "elsewhere"}),
        (None, {"name": "other"}),
        (None, {"collection.data": "elsewhere"}),
        (None, {"collection.workers": 3}),
        (None, {"threads": 2}),
        (None, {"devices": 2}),
        (None, {"plan.replan_every": 2}),
    ],
)
def test_a_stage_s_settings_hold_what_its_weights_depend_on(stage: str | None, changes: dict[str, Any]):
    before = recipe("two_room").stage_settings()
    after = configure(TrainConfig, {"env": "two_room", **changes}).stage_settings()
    assert list(after) == ["encoder", "context", "predictor", "heads", "decoder", "looks", "reward"]
    assert [name for name in after if after[name] != before[name]] == ([] if stage is None else [stage])


def test_what_drives_a_round_decides_what_it_sees():
    rounds = dataclasses.replace(recipe("cartpole-swingup"), rounds=1)
    without = dataclasses.replace(rounds, reward_head=False).stage_settings()
    assert without["encoder-1"] == {"round": 1, "reward_head": False}
    assert [name for name in without if without[name] != rounds.stage_settings()[name]] == ["encoder-1"]


def test_lewm_trains_the_predictor_with_the_encoder():
    own = training(method="lewm", predictor__horizon=7).stage_settings()
    assert own["predictor"] == {} and own["encoder"]["predictor.horizon"] == 7


def test_options_at_their_defaults_are_not_part_of_a_stage_s_settings():
    """So that an option that a later version adds does not make an earlier run another one."""
    assert not any(TrainConfig().stage_settings().values())


def test_options_may_stand_in_a_file(tmp_path: Path):
    path = tmp_path / "heavy.yaml"
    path.write_text(
        "env: puck\nenv.name: heavy\nepisodes: 50\nenv.factors:\n  heavy: {of: body.puck.mass, prior: 0.3}\n"
        "  view: camera.top.pos\ncollection:\n  env: {randomize: [heavy, view]}\npolicy: ou\n"
    )
    config = configure(TrainConfig, values([f"options={path}", "collection.episodes=70", "seed=3"], TrainConfig))
    env = config.env
    assert (env.world, env.name, env.randomize) == ("puck", "heavy", ["heavy", "view"])
    assert env.factors == {"heavy": {"of": "body.puck.mass", "prior": 0.3}, "view": "camera.top.pos"}
    assert (config.collection.episodes, config.seed, config.collection.policy["name"]) == (70, 3, "ou")
    same = [*values([f"options={path}"], TrainConfig).items()]
    written = ["env=puck", "env.name=heavy", "episodes=50", "policy=ou", "env.randomize=[heavy,view]"]
    written += ["env.factors={heavy: {of: body.puck.mass, prior: 0.3}, view: camera.top.pos}"]
    assert configure(TrainConfig, dict(same)) == configure(TrainConfig, values(written, TrainConfig))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: no such file"),
        ("- episodes", "a mapping was expected, not list; write one option a line"),
        ("episodes: [", "not YAML"),
        ("episods: 5", r"unknown option 'episods' \(did you mean"),
    ],
)
def test_a_file_that_holds_no_options_is_refused(tmp_path: Path, content: str | None, message: str):
    path = tmp_path / "mine.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        configure(TrainConfig, values([f"options={path}"], TrainConfig))
