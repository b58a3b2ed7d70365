"""`design`: which constants worlds reveal, the command's output, and refused input."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from worldmodel import envs
from worldmodel.cli.main import main
from worldmodel.cli.overrides import values
from worldmodel.designing import ChosenPolicy, DesignResult, chosen_policy
from worldmodel.designing.differentiation import choose_differences, relative_change
from worldmodel.designing.information import posterior_covariance, r2_bounds, readable_combinations
from worldmodel.designing.judgement import bound_intervals, gain_of
from worldmodel.designing.policy_search import PolicySearch
from worldmodel.designing.problem import DesignProblem, open_problem
from worldmodel.designing.study import objective
from worldmodel.designing.windows import NOISE_RATIOS, WindowInformation, window_information
from worldmodel.runs.summary import read_record
from worldmodel.settings import DesignConfig, configure
from worldmodel.system.errors import ResultError, UserError

SMALL = ["num_trajectories=4", "episode_steps=24", "window=12", "search=0"]


def pendulum(**options: Any) -> DesignProblem:
    return open_problem(configure(DesignConfig, {"env": "varied_pendulum", **options}))


def test_a_pendulum_without_torque_shows_ratios_and_no_mass():
    randomize = ["mass", "length", "damping", "gravity"]
    asked = pendulum(**{"env.randomize": randomize, "policy.std": 0}, window=60, episode_steps=60)
    excited = window_information(asked, choose_differences(asked), ChosenPolicy("ou", {"std": 0.0}), range(8))
    found = readable_combinations(excited.covariance, asked.constants, asked.scales)
    assert [item.text for item in found] == ["gravity^1 length^-1", "damping^1 mass^-1 length^-2"]
    assert all(item.r2 > 0.95 for item in found)
    # what the two ratios and the priors (.2, .1, .2, .2 of ln m, l, b, g) say of the mass: b/m l^2 alone
    assert r2_bounds(excited.covariance)[0] == pytest.approx(1 / 3, abs=0.05)


def test_torque_shows_the_mass_and_more_noise_hides_it():
    asked = pendulum(**{"env.randomize": ["mass"]}, window=20, episode_steps=40)
    excited = window_information(asked, choose_differences(asked), ChosenPolicy("ou"), range(6), "given")
    bounds = [1 - posterior_covariance(information[-1])[0, 0] for information in excited.information]
    assert bounds[0] > 0.7 and list(bounds) == sorted(bounds, reverse=True)
    by_steps = [1 - posterior_covariance(information)[0, 0] for information in excited.information[0]]
    assert by_steps == sorted(by_steps) and excited.prefixes == (8, 16, 20)
    assert (excited.trajectory == np.repeat(np.arange(6), 2)).all()
    together = r2_bounds(posterior_covariance(excited.episodes))[0]
    assert together > r2_bounds(excited.covariance)[0]


def test_unknown_states_between_segments_cost_information():
    whole, parts = (pendulum(window=24, episode_steps=24, segment_steps=length) for length in (24, 8))
    ou = ChosenPolicy("ou")
    found = [window_information(asked, choose_differences(asked), ou, range(3)) for asked in (whole, parts)]
    for more, less in zip(*(information.windows for information in found), strict=True):
        assert np.linalg.eigvalsh(more - less).min() > -1e-3 * np.linalg.norm(more)


def test_objectives_prefer_more_information():
    little, much = (scale * np.stack([np.diag([1.0, 5.0]), np.diag([2.0, 3.0])]) for scale in (1.0, 2.0))
    for name in ("logdet", "trace", "worst"):
        assert objective(name, much) > objective(name, little)
    assert objective("worst", little) == pytest.approx(1 - (1 / 2 + 1 / 3) / 2)


def test_the_search_finds_a_better_policy_and_never_loses_the_given_one():
    world = envs.make("varied_pendulum", image_size=8)

    def wanted(policy: ChosenPolicy, num: int) -> float:
        return -abs(np.log(policy.parameters["std"] / 2.0)) if policy.name == "ou" else -9.0

    def new_search() -> PolicySearch:
        return PolicySearch(ChosenPolicy("ou", {"std": 0.5}), world, 2.0, np.random.default_rng(0))

    steps = []
    best = new_search().run(wanted, 60, 2, 3, steps.append)
    assert best.policy.name == "ou" and best.policy.parameters["std"] == pytest.approx(2.0, rel=0.1)
    assert sum(steps) == 60
    given = ChosenPolicy("ou", {"std": 0.5})
    assert new_search().run(lambda policy, num: float(policy == given), 20, 2, 3, steps.append).policy == given


def test_the_command_writes_figures_and_says_what_to_use(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = [*SMALL[:3], "policy=ou", "policy.std=0.1", "search=4", "out=results/design.json"]
    assert main(["design", "env=varied_pendulum", "env.randomize=[mass,gravity]", "noise_rad=0.02", *small]) == 0
    printed = capsys.readouterr().out
    folder = tmp_path / "runs/varied_pendulum-design"
    found = read_record(tmp_path / "results/design.json", DesignResult).result
    assert found == read_record(folder / "design.json", DesignResult).result
    assert (folder / "figures/design.png").stat().st_size > 9000
    assert found.observed == {"hinge": 0.02} and found.given.policy == ChosenPolicy("ou", {"std": 0.1})
    assert [constant.name for constant in found.constants] == ["mass", "gravity"]
    for name in ("mass", "gravity"):
        interval = found.given.r2_bound_interval[name]
        assert interval and interval[0] <= found.given.r2_bound[name] <= interval[1] and f"  {name}" in printed
    assert found.designed and found.gain and f"use: {found.designed.policy.options}" in printed
    told = {
        name: "identifiable" if name in found.designed.identifiable else "not identifiable"
        for name in found.designed.r2_bound
    }
    assert all(f"{said}: " in printed for said in told.values())
    assert printed.endswith(f"next: worldmodel train env=varied_pendulum {found.designed.policy.options}\n")
    options = values(found.designed.policy.options.split(), DesignConfig)
    chosen = configure(DesignConfig, {"env": "varied_pendulum", **options})
    assert found.designed.policy == chosen_policy(chosen.training.collection)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["env=puck_ou"], "kinematic"),
        (["env=puck", "window=90"], "window must lie in 1..episode_steps=80"),
        (["env=puck", "noise_m=0"], "noise_m must be a number > 0"),
        (["env=varied_pendulum", "noise_rad=-1"], "noise_rad must be a number > 0"),
        (["env=point_mass-hard", "policy=ou_tracking", *SMALL], "drives one joint"),
        (["env=puck", "policy=ou", "policy.std=-1", *SMALL], "std"),
        (["env=puck", "env.randomize=[weight]", *SMALL], "unknown factor 'weight'"),
        (["env=puck", "observed=[w]", *SMALL], "the positions of puck are x, y, z"),
        (["env=puck", "objective=best"], "logdet, trace, worst"),
        (["env=puck", "num_trajectories=1"], "num_trajectories must be >= 2"),
        (["env=puck", "episodez=3"], "unknown option 'episodez'"),
        (["env=puk"], "did you mean puck?"),
    ],
)
def test_bad_input_is_one_clear_line(arguments: list[str], named: str, capsys, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["design", *arguments]) == 1
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and named in lines[0], error
    assert not (tmp_path / "runs").exists()


def test_one_trajectory_has_no_interval_and_no_derivative_no_change():
    information = np.ones((len(NOISE_RATIOS), 1, 3, 2, 2)) * np.eye(2)
    one = WindowInformation(information, np.zeros(3, int), (8,), 0.0)
    assert bound_intervals(one, np.random.default_rng(0)) == [None, None]
    assert gain_of(one, one).logdet_nats_interval is None
    two = WindowInformation(information, np.array([0, 0, 1]), (8,), 0.0)
    assert bound_intervals(two, np.random.default_rng(0)) == [pytest.approx([0.5, 0.5])] * 2
    still = np.zeros((2, 6, 4, 3))
    assert relative_change(still, still).tolist() == [0, 0]


def test_a_gain_pairs_trajectories_by_their_number():
    """A trajectory that ended early under one policy alone is left out; the others are not moved up."""
    each = np.eye(2) * np.array([1.0, 4.0, 9.0])[:, None, None]
    numbers = np.arange(3)
    whole, ended = (
        WindowInformation(np.tile(each[rows], (len(NOISE_RATIOS), 1, 1, 1, 1)), numbers[rows], (8,), 0.0)
        for rows in (slice(None), slice(1, None))
    )
    for found in (gain_of(ended, whole), gain_of(whole, ended)):
        assert found.logdet_nats_per_episode == 0 and found.logdet_nats_interval == (0, 0)
    first = WindowInformation(whole.information[:, :, :1], numbers[:1], (8,), 0.0)
    with pytest.raises(UserError, match="under both policies; shorten the window"):
        gain_of(first, ended)


def test_committed_results_are_read():
    for path in sorted((Path(__file__).parents[2] / "docs/results").glob("design-*.json")):
        found = read_record(path, DesignResult).result
        assert set(found.given.r2_bound) == {constant.name for constant in found.constants}
        assert (found.designed is None) == (found.gain is None)


def test_a_file_of_another_kind_is_one_clear_line():
    results = Path(__file__).parents[2] / "docs/results"
    with pytest.raises(ResultError, match=r"state-puck\.json"):
        read_record(results / "state-puck.json", DesignResult)
