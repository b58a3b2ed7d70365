"""What a command found, in a few aligned lines for the terminal; the same figures as on the page."""

from collections.abc import Mapping, Sequence
from typing import Any

# key prefix in a "control" section -> who decided
_BESIDE = {
    "supervised_": "the same with true states as labels",
    "random_": "random actions",
    "oracle_": "true simulator",
}


def aligned(rows: Sequence[tuple[str, str]]) -> str:
    """Labels and their values in two columns."""
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"  {label:<{width}}  {value}" for label, value in rows)


def told(value: float | None, form: str = ".3f") -> str:
    """A number, or a dash for one that could not be told."""
    return "–" if value is None else format(value, form)


def with_interval(value: float | None, interval: Sequence[float] | None, form: str = ".3f") -> str:
    """A number with its interval, where it has one."""
    ends = f" [{interval[0]:{form}}, {interval[1]:{form}}]" if interval else ""
    return told(value, form) + ends


def success(section: Mapping[str, Any], prefix: str = "") -> str:
    """Share of tasks solved with its interval."""
    return with_interval(section[f"{prefix}success_rate"], section[f"{prefix}success_interval"], ".1%")


def control_lines(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Run -> its "control" section: what the latent planner achieved with each, and who stood beside it."""
    *_, last = sections.values()
    rewarded = last["protocol"]["rewarded"]
    show = _mean_return if rewarded else success
    what = "return" if rewarded else f"goals reached, {last['goal_steps']} steps ahead"
    head = f"protocol {last['protocol']['name']}, {last['num_tasks']} tasks of {last['budget_steps']} steps: {what}"
    rows = [(f"latent MPC, {run}", show(section, "")) for run, section in sections.items()]
    measured = "return" if rewarded else "success_rate"
    rows += [(name, show(last, prefix)) for prefix, name in _BESIDE.items() if prefix + measured in last]
    rows.append(("CPU time of one decision", f"{last['cpu_ms_per_decision']:.2f} ms"))
    return f"{head}\n{aligned(rows)}"


def probe_lines(summary: Mapping[str, Any]) -> str:
    """R2 of every probed variable by a linear and an MLP probe, on held-out episodes."""
    rows = []
    for name, found in summary["probes"].items():
        linear = with_interval(found["r2_linear"], found["r2_linear_interval"])
        rows.append((name, f"{linear}, MLP {told(found['r2_mlp'])}"))
    if correlations := summary.get("canonical_correlations"):
        number = correlations["num_constants"]
        why = correlations.get("one_after_another", {}).get("reason")
        rows.append(("constants found without labels", f"cannot be told: {why}" if number is None else str(number)))
    return f"linear R2 on held-out episodes\n{aligned(rows)}"


def surprise_lines(section: Mapping[str, Any]) -> str:
    """How well surprise tells each event from its absence, over pairs of trajectories."""
    rows = [
        (name, f"AUROC {told(of['auroc'])}, p = {told(of['p_wilcoxon'], '.1e')}")
        for name, of in section["events"].items()
    ]
    return f"{section['num_trajectories']} pairs of trajectories with and without an event\n{aligned(rows)}"


def _mean_return(section: Mapping[str, Any], prefix: str) -> str:
    return with_interval(section[f"{prefix}return"], section[f"{prefix}return_interval"], ".0f")
