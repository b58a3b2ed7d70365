"""What commands say at their end: the figures of the summary, one under the other."""

from typing import Any

from report_fakes import SUMMARY

from worldmodel.cli.terminal import control_lines, probe_lines, surprise_lines

CONTROL: dict[str, Any] = {
    "protocol": {"name": "lewm", "rewarded": False},
    "num_tasks": 40,
    "goal_steps": 25,
    "budget_steps": 50,
    "success_rate": 0.95,
    "success_interval": [0.835, 0.986],
    "random_success_rate": 0.1,
    "random_success_interval": [0.04, 0.231],
    "cpu_ms_per_decision": 0.815,
}


def test_control_says_what_each_run_reached_and_who_stood_beside_it():
    worse = CONTROL | {"success_rate": 0.5, "success_interval": [0.352, 0.648]}
    assert control_lines({"runs/a": CONTROL, "runs/b": worse}).splitlines() == [
        "protocol lewm, 40 tasks of 50 steps: goals reached, 25 steps ahead",
        "  latent MPC, runs/a        95.0% [83.5%, 98.6%]",
        "  latent MPC, runs/b        50.0% [35.2%, 64.8%]",
        "  random actions            10.0% [4.0%, 23.1%]",
        "  CPU time of one decision  0.81 ms",
    ]


def test_control_says_the_return_where_the_world_rewards():
    rewarded = {
        "protocol": {"name": "reward", "rewarded": True},
        "num_tasks": 2,
        "budget_steps": 1000,
        "return": 812.4,
        "return_interval": [700.2, 900.9],
        "oracle_return": 950.0,
        "oracle_return_interval": None,
        "cpu_ms_per_decision": 2.0,
    }
    first, *rows = control_lines({"runs/a": rewarded}).splitlines()
    assert first == "protocol reward, 2 tasks of 1000 steps: return"
    assert [row.split("  ")[-1].strip() for row in rows] == ["812 [700, 901]", "950", "2.00 ms"]


def test_probe_says_every_variable_and_how_many_constants_it_found():
    lines = probe_lines(SUMMARY | {"canonical_correlations": {"values": [0.9, 0.8, 0.1], "num_constants": 2}})
    for name, found in SUMMARY["probes"].items():
        row = next(line for line in lines.splitlines() if line.split()[0] == name)
        assert f"{found['r2_linear']:.3f}" in row and f"{found['r2_mlp']:.3f}" in row
    assert lines.splitlines()[-1].split()[-1] == "2"
    assert "constants" not in probe_lines(SUMMARY)


def test_probe_says_what_cannot_be_told():
    still = {"r2_linear": None, "r2_linear_interval": None, "r2_mlp": None, "r2_mlp_interval": None}
    rare = still | {"r2_linear": 0.5, "r2_mlp": 0.625}
    few = {"num_constants": None, "one_after_another": {"reason": "5 episodes are too few"}}
    assert probe_lines({"probes": {"block": still, "hand": rare}, "canonical_correlations": few}).splitlines()[1:] == [
        "  block                           –, MLP –",
        "  hand                            0.500, MLP 0.625",
        "  constants found without labels  cannot be told: 5 episodes are too few",
    ]
    events = {"teleport": {"auroc": None, "p_wilcoxon": None}}
    assert surprise_lines({"num_trajectories": 12, "events": events}).splitlines()[1] == "  teleport  AUROC –, p = –"


def test_surprise_says_what_was_noticed():
    events = {"teleport": {"auroc": 1.0, "p_wilcoxon": 7.2e-35}, "mass": {"auroc": 0.497, "p_wilcoxon": 0.69}}
    assert surprise_lines({"num_trajectories": 12, "events": events}).splitlines() == [
        "12 pairs of trajectories with and without an event",
        "  teleport  AUROC 1.000, p = 7.2e-35",
        "  mass      AUROC 0.497, p = 6.9e-01",
    ]
