"""Settings: every YAML composes, defaults live in the dataclasses, a fingerprint sees what training sees."""

import dataclasses
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from worldmodel.cli import compose as config
from worldmodel.envs.excitation import POLICIES
from worldmodel.planners import PLANNERS, make_planner
from worldmodel.settings import CollectConfig, ControlConfig, KinematicConfig, TrainConfig
from worldmodel.settings.verbs import SCHEMAS
from worldmodel.system.errors import CheckpointError, UserError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
OF_CONTROL = {"lewm_planner", "planner", "fast_planner"}
YAMLS = sorted((path.parent.name, path.stem) for path in CONFIGS.rglob("*.yaml"))


def training(*overrides: str) -> TrainConfig:
    return config.compose("train", list(overrides), TrainConfig)


def controlling(*overrides: str) -> ControlConfig:
    return config.compose("control", list(overrides), ControlConfig)


@pytest.mark.parametrize(("group", "name"), YAMLS)
def test_every_yaml_composes_and_changes_something(group: str, name: str):
    if OF_CONTROL & {group, name}:
        composed, plain = controlling(f"{group}={name}"), controlling()
    else:
        composed, plain = training(f"{group}={name}"), training()
    # the choices that are made without asking, and the experiment that only names its environment
    assert composed != plain or name in ("reacher", "lejepa", "uniform_and_ou", "demo_control")


def test_every_encoder_environment_composes():
    named = {training(f"env={name}").env.encoder_env for group, name in YAMLS if group == "env"} - {""}
    assert named
    for name in named:
        assert config.compose("collect", [f"env={name}"], CollectConfig).env.label == name


@pytest.mark.parametrize("name", PLANNERS)
def test_every_planner_has_its_dataclass_defaults(name: str):
    settings = controlling(f"planner={name}", "proposal=true").planner  # which `follow` asks for
    assert make_planner(**settings) == PLANNERS[name]()
    assert set(settings) == {"name"} | {item.name for item in dataclasses.fields(PLANNERS[name])}


@pytest.mark.parametrize("name", sorted(set(POLICIES) | {"uniform_and_ou"}))
def test_every_policy_composes(name: str):
    assert training(f"policy={name}").policy["name"] in POLICIES


@pytest.mark.parametrize("verb", ["control", "probe", "report", "demo"])
def test_defaults_are_those_of_the_dataclass(verb: str):
    schema = SCHEMAS[verb]
    composed, plain = (dataclasses.asdict(settings) for settings in (config.compose(verb, [], schema), schema()))
    for settings in (composed, plain):
        settings.pop("planner", None)  # composed: the default choice; its own defaults are tested above
    assert composed == plain


def test_training_defaults_are_those_of_the_dataclass():
    composed, plain = (dataclasses.asdict(settings) for settings in (training("env=puck_ou"), TrainConfig()))
    for key in ("env", "policy", "episodes", "episode_steps", "name"):  # what the YAML is about
        del composed[key], plain[key]
    assert composed == plain


def test_collect_reads_its_part_of_an_environment():
    settings = config.compose("collect", ["env=puck", "episodes=7"], CollectConfig)
    whole = training("env=puck", "episodes=7")
    for item in dataclasses.fields(CollectConfig):
        assert getattr(settings, item.name) == getattr(whole, item.name), item.name


@pytest.mark.parametrize("env", ["reacher", "puck", "lit_ball_ou"])
def test_a_run_s_settings_come_back(env: str, tmp_path: Path):
    settings = training(f"env={env}", "method.lag=3", "predictor.history=[0,2]", "seed=4")
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(settings))))
    again = config.read_run_config(tmp_path)
    assert again == settings and again.fingerprint() == settings.fingerprint()


@pytest.mark.parametrize("text", ["nonsense: 1", "episodes: many", "method: {rho: 2}", "a: [", "- 1"])
def test_settings_of_another_version_are_named(text: str, tmp_path: Path):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.yaml"):
        config.read_run_config(tmp_path)


@pytest.mark.parametrize(
    "override",
    [
        "seed=1", "data_seed=1", "episodes=7", "episode_steps=7", "env.image_size=32", "env.randomize=[light]",
        "policy=ou", "method=lewm", "method.rho=0.5", "method.optim.lr=1e-4", "encoder.hidden=7", "predictor.horizon=7",
        "predictor_training.steps=7", "context.window=17", "context_training.optim.steps=7", "drift_rho=0.5",
        "predictor_training.optimizer=muon", "context_training.optim.optimizer=muon", "method.controlled=true",
        "encoder.vit_pool=tokens",
    ],
)  # fmt: skip
def test_the_fingerprint_sees_what_weights_depend_on(override: str):
    assert training(override).fingerprint() != training().fingerprint()


def test_goal_heads_are_added_to_the_settings_that_made_the_rest():
    plain, with_heads = training("heads.reach=7"), training("goal_heads=true")
    assert plain.fingerprint() == training().fingerprint()
    assert with_heads.fingerprint().partition("+")[0] == training().fingerprint()
    assert with_heads.fingerprint() != training("goal_heads=true", "heads.reach=7").fingerprint()


@pytest.mark.parametrize("override", ["runs=elsewhere", "name=other", "workers=3", "data=elsewhere", "threads=2"])
def test_the_fingerprint_does_not_see_where_and_how_fast(override: str):
    assert training(override) != training()
    assert training(override).fingerprint() == training().fingerprint()


@pytest.mark.parametrize("override", ["env.kinematic={latents:{shoulder:1.0},rho:0.9}", "env.kinematic.rho=0.5"])
def test_an_argument_cannot_make_a_world_kinematic(override: str):
    with pytest.raises(UserError, match=r"env\.kinematic .*env=reacher_ou"):
        training(override)
    assert training("env=reacher_ou", "env.kinematic.rho=0.5").env.kinematic == KinematicConfig(
        {"shoulder": 0.7, "wrist": 0.7}, 0.5
    )
