"""Results of `design`, `positions` and `compare` of version 0.1, converted to those of this version.

As in `version1`, every function takes what it knows out of its argument; what is left is named as unknown.
"""

from typing import Any

Values = dict[str, Any]


def design_file(old: Values) -> Values:
    """What `probe mode=design out=FILE` wrote: excitations also as options, and parameters beside the policy's name."""
    result = {**old}
    old.clear()
    if "given" not in result:
        raise KeyError("given")
    for part in ("given", "designed"):
        if part in result:
            bounds = {key: value for key, value in result[part].items() if key != "overrides"}
            result[part] = bounds | {"policy": _policy(bounds["policy"])}
    return {"result": result}


def compare_file(old: Values) -> Values:
    """What `compare out=FILE` wrote: what all trainings share has a section now, and the article's table its grades."""
    made = {key: old.pop(key) for key in ("command", "versions", "hardware")}
    result = {"setup": _setup(old), "claims": [_verdict(claim) for claim in old.pop("claims")]}
    result["methods"] = old.pop("methods")
    result |= old
    old.clear()
    return {"result": result, **made}


def lit_ball_file(old: Values) -> Values:
    """What `compare study=lit_ball out=FILE` wrote."""
    made = {key: old.pop(key) for key in ("command", "versions", "hardware")}
    old.pop("env")  # of the first condition's world
    return {"result": {"setup": _setup(old), "conditions": old.pop("conditions")}, **made}


def _setup(old: Values) -> Values:
    """What all trainings of a study share."""
    old.pop("study")
    return {key: old.pop(key) for key in ("scale", "encoder", "steps", "batch_size", "num_seeds")}


def _verdict(old: Values) -> Values:
    """A claim; grades stood among the other measurements."""
    claim = dict(old)
    found = {"article_says": claim.pop("seed_says"), "measured": claim.pop("measured")}
    grades = {name: of for name, of in found["measured"].items() if isinstance(of, dict) and "seed" in of}
    if grades:
        graded = {
            name: {"value": of["value"], "word": of["measured"], "article": of["seed"]} for name, of in grades.items()
        }
        found |= {"measured": {}, "graded": graded}
    return claim | found


def positions_file(old: Values) -> Values:
    """What `probe mode=state out=FILE` wrote: parameters of the policy stood beside its name."""
    result = {**old}
    old.clear()
    if "noise" not in result:
        raise KeyError("noise")
    result["policy"] = _policy(result["policy"])
    return {"result": result}


def _policy(old: Values) -> Values:
    """A policy: parameters stood beside its name."""
    return {"name": old["name"], "parameters": {key: value for key, value in old.items() if key != "name"}}
