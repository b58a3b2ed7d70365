"""`probe mode=design`: what worlds let be known, what the command writes, what it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from worldmodel import envs
from worldmodel.cli import compose as config
from worldmodel.cli.main import main
from worldmodel.design.information import posterior_covariance, r2_bounds, readable_combinations
from worldmodel.design.policy_search import PolicySearch
from worldmodel.design.study import Study, choose_differences, excite, objective, open_study, overrides
from worldmodel.settings import DesignConfig

COMMAND = ["probe", "mode=design"]
SMALL = ["num_trajectories=4", "episode_steps=24", "window=12", "search=0"]


def study(*overrides: str) -> Study:
    return open_study(config.compose("design", ["mode=design", *overrides], DesignConfig))


def test_a_pendulum_without_torque_shows_ratios_and_no_mass():
    asked = study(
        "env=varied_pendulum",
        "env.randomize=[mass,length,damping,gravity]",
        "policy.std=0",
        "window=60",
        "episode_steps=60",
    )
    differences = choose_differences(asked)
    excited = excite(asked, differences, {"name": "ou", "std": 0.0}, range(8))
    found = readable_combinations(excited.covariance, asked.constants, asked.scales)
    assert [item.text for item in found] == ["gravity^1 length^-1", "damping^1 mass^-1 length^-2"]
    assert all(item.r2 > 0.95 for item in found)
    # what the two ratios and the priors (.2, .1, .2, .2 of ln m, l, b, g) say of the mass: b/m l^2 alone
    assert r2_bounds(excited.covariance)[0] == pytest.approx(1 / 3, abs=0.05)


def test_torque_shows_the_mass_and_more_noise_hides_it():
    asked = study("env=varied_pendulum", "env.randomize=[mass]", "window=20", "episode_steps=40")
    excited = excite(asked, choose_differences(asked), {"name": "ou"}, range(6), "given")
    bounds = [1 - posterior_covariance(information[-1])[0, 0] for information in excited.information]
    assert bounds[0] > 0.7 and list(bounds) == sorted(bounds, reverse=True)
    by_steps = [1 - posterior_covariance(information)[0, 0] for information in excited.information[0]]
    assert by_steps == sorted(by_steps) and excited.prefixes == (8, 16, 20)
    assert (excited.trajectory == np.repeat(np.arange(6), 2)).all()
    together = r2_bounds(posterior_covariance(excited.episodes))[0]
    assert together > r2_bounds(excited.covariance)[0]


def test_unknown_states_between_segments_cost_information():
    whole = study("env=varied_pendulum", "window=24", "episode_steps=24", "segment_steps=24")
    parts = study("env=varied_pendulum", "window=24", "episode_steps=24", "segment_steps=8")
    informations = [excite(s, choose_differences(s), {"name": "ou"}, range(3)).windows for s in (whole, parts)]
    for more, less in zip(*informations, strict=True):
        assert np.linalg.eigvalsh(more - less).min() > -1e-3 * np.linalg.norm(more)


def test_objectives_prefer_more_information():
    little, much = (scale * np.stack([np.diag([1.0, 5.0]), np.diag([2.0, 3.0])]) for scale in (1.0, 2.0))
    for name in ("logdet", "trace", "worst"):
        assert objective(name, much) > objective(name, little)
    assert objective("worst", little) == pytest.approx(1 - (1 / 2 + 1 / 3) / 2)


def test_the_search_finds_a_better_policy_and_never_loses_the_given_one():
    world = envs.make("varied_pendulum", image_size=8)

    def wanted(policy: dict[str, Any], num: int) -> float:
        return -abs(np.log(policy["std"] / 2.0)) if policy["name"] == "ou" else -9.0

    def new_search() -> PolicySearch:
        return PolicySearch({"name": "ou", "std": 0.5}, world, 2.0, np.random.default_rng(0))

    steps = []
    best = new_search().run(wanted, 60, 2, 3, steps.append)
    assert best.policy["name"] == "ou" and best.policy["std"] == pytest.approx(2.0, rel=0.1) and sum(steps) == 60
    kept = new_search().run(lambda policy, num: float(policy == {"name": "ou", "std": 0.5}), 20, 2, 3, steps.append)
    assert kept.policy == {"name": "ou", "std": 0.5}
    arguments = overrides(best.policy).split()
    assert config.compose("design", ["mode=design", "env=varied_pendulum", *arguments], DesignConfig).policy == {
        "name": "ou", **best.policy
    }  # fmt: skip


def test_the_command_writes_figures_and_says_what_to_use(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = [*SMALL[:3], "search=4", "out=results/design.json"]
    assert main([*COMMAND, "env=varied_pendulum", "env.randomize=[mass,gravity]", "noise_rad=0.02", *small]) == 0
    printed = capsys.readouterr().out
    content = json.loads((tmp_path / "results/design.json").read_text())
    summary = json.loads((tmp_path / "runs/varied_pendulum-design/summary.json").read_text())
    assert (
        summary["design"] == content
        and (tmp_path / "runs/varied_pendulum-design/figures/design.png").stat().st_size > 9000
    )
    assert content["observed"] == {"hinge": 0.02} and content["given"]["policy"]["name"] == "coasting"
    for name in ("mass", "gravity"):
        low, high = content["given"]["r2_bound_interval"][name]
        assert low <= content["given"]["r2_bound"][name] <= high and f"  {name}" in printed
    if "designed" in content:
        assert content["designed"]["overrides"] in printed


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["env=puck_ou"], "kinematic"),
        (["env=puck", "window=90"], "window must lie in 1..episode_steps=80"),
        (["env=puck", "noise_m=0"], "noise_m must be > 0"),
        (["env=varied_pendulum", "noise_rad=-1"], "noise_rad must be > 0"),
        (["env=point_mass-hard", "policy=ou_tracking", *SMALL], "drives one joint"),
        (["env=puck", "policy=ou", "policy.std=-1", *SMALL], "std"),
        (["env=puck", "env.randomize=[weight]", *SMALL], "unknown factor 'weight'"),
        (["env=puck", "observed=[w]", *SMALL], "the positions of puck are x, y, z"),
        (["env=puck", "objective=best"], "logdet, trace, worst"),
        (["env=puck", "num_trajectories=1"], "num_trajectories must be >= 2"),
        (["env=puck", "episodes=3"], "unknown option 'episodes' of worldmodel probe mode=design"),
        (["env=puk"], "did you mean puck?"),
    ],
)
def test_bad_input_is_one_clear_line(arguments: list[str], named: str, capsys, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*COMMAND, *arguments]) == 1
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and named in lines[0], error
    assert not (tmp_path / "runs").exists()


def test_a_mode_that_does_not_exist_is_named(capsys):
    assert main(["probe", "mode=plan"]) == 1
    assert "mode is run, design or state, got 'plan'" in capsys.readouterr().err


def test_help_tells_of_every_mode(capsys):
    assert main(["probe", "--help"]) == 0
    of_a_run, of_design = capsys.readouterr().out.split("worldmodel probe mode=design:")
    assert "mode: run" in of_a_run
    of_design, of_state = of_design.split("worldmodel probe mode=state:")
    assert "noise_m: 0.002" in of_design and "\nepisodes:" not in of_design and "\nepisodes:" in of_state
