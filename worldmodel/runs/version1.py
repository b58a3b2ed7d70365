"""Results of version 0.1 converted to those of this version: plain values in, plain values out.

Every function takes what it knows out of its argument. What is left is handed on, for the reader to name as unknown.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from worldmodel.runs.version1_studies import compare_file, design_file, lit_ball_file, positions_file

Values = dict[str, Any]
_PREFIXES = {"latent": "", "random": "random_", "oracle": "oracle_", "supervised": "supervised_"}
_PLAN = ("planner", "reduction", "shrinking", "metric", "proposal", "replan_every", "lead_steps")
_NEVER_READ = "unconditioned_predictor"  # an entry that version 0.1 wrote and nothing used


def upgraded(kind: str, old: Mapping[str, Any]) -> Values:
    """A file of version 0.1 as one of this version.

    Raises:
        ValueError: it is not what version 0.1 wrote of this kind.
    """
    upgrades: dict[str, Callable[[Values], Values]] = {
        "run": _summary,
        "control": _control_file,
        "surprise": _surprise_file,
        "demo": _demo_file,
        "design": design_file,
        "positions": positions_file,
        "compare": compare_file,
        "lit_ball": lit_ball_file,
    }
    if kind not in upgrades:
        raise ValueError(f"version 0.1 wrote no file of kind {kind!r}")
    rest = copy.deepcopy(dict(old))
    try:
        result = upgrades[kind](rest)
    except KeyError as error:
        raise ValueError(f"no result of kind {kind!r}, which holds {error.args[0]!r}") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(f"no result of kind {kind!r}") from error
    return result | rest


def _take(old: Values, *names: str) -> Values:
    """Entries out of `old`, as far as they are there."""
    return {name: old.pop(name) for name in names if name in old}


def _summary(old: Values) -> Values:
    """`summary.json` of a run."""
    old.pop(_NEVER_READ, None)
    name = old.pop("name")
    train = {key: old.pop(key) for key in ("env", "method", "seed", "data", "model")}
    train |= {"run": f"runs/{name}", **_take(old, "seconds", "peak_memory_mb"), **_evaluated(old)}
    found: Values = {"name": name, "train": train}
    if "control" in old:
        found["control"] = _control(old.pop("control"), train["env"], [train["run"]])
    if "probes" in old:
        found["probe"] = _probe(old)
    if "surprise" in old:
        found["surprise"] = _surprise(old.pop("surprise"), train["env"])
    return found


def _control_file(old: Values) -> Values:
    """What `control out=FILE` wrote."""
    made = _take(old, "versions", "hardware")
    world, rest = old.pop("world"), dict(old)
    old.clear()
    return {"result": _control(rest, world, []), **made}


def _surprise_file(old: Values) -> Values:
    """What `surprise out=FILE` wrote."""
    world, rest = old.pop("env"), dict(old)
    old.clear()
    return {"result": _surprise(rest, world)}


def _demo_file(old: Values) -> Values:
    """`summary.json` of `worldmodel demo`."""
    old.pop("name")
    result = {
        **_take(old, "seconds", "stage_seconds"),
        **_evaluated(old),
        "control": _control(old.pop("control"), "reacher", []),
    }
    probed = _probe(old)
    result |= {"variables": probed["variables"], "correlations": probed["correlations"]}
    return {"result": result, "command": old.pop("commands")["demo"], **_take(old, "versions", "hardware")}


# ---------------------------------------------------------------------------------------------------------------------
# sections


def _evaluated(old: Values) -> Values:
    """What training said of the latents and of the predictor."""
    found: Values = {}
    if "identifiability" in old:
        measured = old.pop("identifiability")
        by_variable = {name: value["r2"] for name, value in measured.pop("per_variable").items()}
        found["identifiability"] = measured | {"per_variable": by_variable}
    if "predictor" in old:
        predictor = old.pop("predictor")
        found["prediction"] = {"ratio_to_persistence": predictor.pop("error_ratio_to_persistence"), **predictor}
    return found


def _control(old: Values, world: str, runs: list[str]) -> Values:
    """A "control" section; what was not recorded at first is what it was then, or None."""
    protocol, num_tasks, num_runs = (old.pop(name) for name in ("protocol", "num_tasks", "num_runs"))
    for repeated in ("goal_steps", "budget_steps"):  # the protocol has them
        old.pop(repeated)
    counts: dict[str, tuple[int, int]] = dict.fromkeys(_PREFIXES, (num_tasks, 1))
    counts |= {"latent": (num_tasks, num_runs), "oracle": (old.pop("oracle_num_tasks", num_tasks), 1)}
    if "supervised_success_by_run" in old:
        counts["supervised"] = num_tasks, len(old["supervised_success_by_run"])
    achieved = {name: _controller(old, prefix) for name, prefix in _PREFIXES.items()}
    found: Values = {
        "world": world,
        "runs": runs,
        "protocol": protocol,
        "plan": _take(old, *_PLAN),
        "context": old.pop("context", "online"),
        "drift_rho": old.pop("drift_rho", None),
        "dtype": old.pop("dtype", "float32"),
        "device": old.pop("device", None),
        "split": None,
        "seed": None,
        "controllers": {
            name: {"num_tasks": counts[name][0], "num_runs": counts[name][1], **values}
            for name, values in achieved.items()
            if values
        },
        **_take(old, "cpu_ms_per_decision", "solved_at_start", "videos"),
    }
    if "regret" in old:
        found["regret"] = {"value": old.pop("regret"), "interval": old.pop("regret_interval")}
    return found | old


def _controller(old: Values, prefix: str) -> Values:
    """What one controller achieved; empty where it was not run."""
    if f"{prefix}return" in old:
        return {
            "returns": {"mean": old.pop(f"{prefix}return"), "interval": old.pop(f"{prefix}return_interval")},
        }
    if f"{prefix}success_rate" in old:
        names = {"rate": "success_rate", "interval": "success_interval", "by_run": "success_by_run"}
        names["median_steps"] = "median_steps_to_goal"
        return {"success": {new: old.pop(f"{prefix}{name}") for new, name in names.items()}}
    return {}


def _probe(old: Values) -> Values:
    """The sections of a probe, which version 0.1 wrote side by side."""
    variables = old.pop("probes")
    found: Values = {"variables": variables, **_take(old, "context_errors", "shifts")}
    if "canonical_correlations" in old:
        correlations = old.pop("canonical_correlations")
        counted = correlations.pop("one_after_another", {"values": [], "interval": [], "shuffled": []})
        count = {"num_constants": correlations.pop("num_constants"), **counted}
        found["correlations"] = {"count": count, **correlations}
    if "window_length" in old:
        lengths = old.pop("window_length")
        found["window_lengths"] = {"steps": lengths.pop("steps"), "r2": lengths}
    if "bound" in old:
        bound = old.pop("bound")
        bound.pop("r2_bound")  # the variables have it
        for name, interval in bound.pop("r2_bound_interval").items():
            variables[name]["r2_bound_interval"] = interval
        found["position_errors"] = {"rmse": bound.pop("position_error"), **bound}
    return found


def _surprise(old: Values, world: str) -> Values:
    """A "surprise" section."""
    return {"world": world, "horizon": None, "seed": None, **old}
