"""Physical constants from pixels and from true positions, without labels: `worldmodel probe`."""

from collections.abc import Callable
from typing import Any

from benchmarks.results.markdown import Row, lowest_first, mean_interval, spread, told
from benchmarks.results.sources import read, read_all, read_named

_SHIFT_KEYS = ("r2", "r2_averaged")


def rows() -> list[Row]:
    """The figures of each study that have a target."""
    return [*_pixel_rows(), *_wide_rows(), *_state_rows(), *_methods_rows()]


def details() -> str:
    """Every reader of every constant, beside its controls and the bound."""
    return _puck() + _from_state()


def _pixel_rows() -> list[Row]:
    """How well the puck's constants are read, and what the predictor makes of them."""
    puck = read_all("puck-seed*.json")
    if not puck:
        return []
    rows: list[Row] = []
    for name in ("mass", "friction"):
        values = [run["probes"][name]["r2_linear"] for run in puck]
        label = f"puck's log {name} from pixels, no labels, linear R2, one window"
        rows.append((label, spread(values, ".3f"), ".95", "`worldmodel train experiment=puck_full`"))
    if errors := _context_errors(puck):
        value = spread([of["learned"][-1] / of["true"][-1] for of in errors], ".2f")
        label = f"… predictor's error after {len(errors[0]['true'])} steps, learned context over true constants"
        rows.append((label, f"{value} x", "1.2 x", "`worldmodel probe run=runs/puck_full-s0`"))
    return rows


def _context_errors(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the runs whose episodes are long enough for them."""
    return [run["context_errors"] for run in runs if run["context_errors"]]


def _wide_rows() -> list[Row]:
    runs = read_all("puck_wide-seed*.json")
    if not runs:
        return []
    cells = [spread([run["shifts"]["constants"][name]["r2"] for run in runs], ".3f") for name in ("mass", "friction")]
    label = "… mass / friction 2 to 3 sd out, trained on a prior 1.6 times as wide"
    return [(label, " / ".join(cells), ".9", "`worldmodel train experiment=puck_wide`")]


def _state_rows() -> list[Row]:
    """The worst constant of each study from true positions, and how near the bound it comes."""
    rows: list[Row] = []
    for name, target in (
        ("puck", ".97"),
        ("puck-damping", ".9"),
        ("varied_pendulum", ".9 x bound"),
        ("varied_cartpole", ".9 x bound"),
    ):
        if study := read(f"state-{name}.json"):
            values = study["methods"]["lejepa"]["constants"]
            worst = min(values, key=lambda constant: lowest_first(values[constant]["r2_linear"]["mean"]))
            share = _share(values[worst]["r2_linear"]["mean"], study["r2_bound"][worst])
            label = f"{name} from true positions, no labels: {worst}, the worst of {len(values)} constants, linear R2"
            value = f"{mean_interval(values[worst]['r2_linear'])}, {share} x bound"
            rows.append((label, value, target, "`worldmodel probe mode=state`"))
    return rows


def _methods_rows() -> list[Row]:
    """The puck's constant read worse, by method."""
    study = read("state-puck-methods.json")
    if not study:
        return []
    worst = {
        method: min(lowest_first(values["r2_linear"]["mean"]) for values in of["constants"].values())
        for method, of in study["methods"].items()
    }
    others = ", ".join(f"{method} {value:.3f}" for method, value in worst.items() if method != "lejepa")
    label = f"puck from true positions, {len(worst)} methods equally tuned: linear R2 of the constant read worse"
    value = f"lejepa {worst['lejepa']:.3f} ({others})"
    return [(label, value, "", "`worldmodel probe mode=state experiment=puck_full`")]


def _share(value: float | None, bound: float | None) -> str:
    """What a reader reaches of its bound; a dash where there is none."""
    return told(value / bound if value is not None and bound else None, ".2f")


def _puck() -> str:
    """Mass and friction from pixels: `experiment=puck_full` over training seeds."""
    runs = read_all("puck-seed*.json")
    if not runs:
        return ""
    names = [name for name, probe in runs[0]["probes"].items() if probe["kind"] == "physical"]
    lines = [
        "",
        "## Physical constants of the puck, from pixels under light and colour nuisances",
        "",
        "`worldmodel train experiment=puck_full seed=N name=puck_full-sN`, then `worldmodel probe "
        'run=runs/puck_full-sN "shifts=[held,constants,nuisances,excitation]" shift_episodes=100`:',
        f"one window of 64 steps, no labels, {len(runs)} training seeds on one data set. Linear R2 on test episodes,",
        "median [lowest, highest]; under shifts by the same linear probe.",
        "",
        f"| reader | {' | '.join(names)} |",
        "|---" * (len(names) + 1) + "|",
    ]

    def row(label: str, get: Callable[[dict[str, Any], str], float | None]) -> str:
        return f"| {label} | " + " | ".join(spread([get(run, name) for run in runs], ".3f") for name in names) + " |"

    lines.append(row("**linear probe of the learned context**", lambda run, name: run["probes"][name]["r2_linear"]))
    lines.append(row("MLP probe of it", lambda run, name: run["probes"][name]["r2_mlp"]))
    for control in runs[0]["probes"][names[0]]["controls"]:
        label = f"control: {control.replace('_', ' ')}"
        lines.append(row(label, lambda run, name, c=control: run["probes"][name]["controls"][c]))
    for shift in runs[0]["shifts"]:
        for key, words in (("r2", "one window"), ("r2_averaged", "averaged over an episode")):
            label = f"shift: {shift}, {words}"
            lines.append(row(label, lambda run, name, s=shift, k=key: run["shifts"][s][name][k]))
    lines += _wide()
    if errors := _context_errors(runs):
        lines += ["", "Prediction error after 15 steps, by where the context comes from (latent RMSE):", ""]
        lines += ["| learned from the window before | true constants | mean context |", "|---|---|---|"]
        lines.append(f"| {' | '.join(spread([e[key][-1] for e in errors], '.3f') for key in errors[0])} |")
    return "\n".join(lines) + "\n"


def _wide() -> list[str]:
    """The same pixels' world with a wider prior in training: `experiment=puck_wide`."""
    runs = read_all("puck_wide-seed*.json")
    if not runs:
        return []
    names = [name for name, probe in runs[0]["probes"].items() if probe["kind"] == "physical"]
    lines = [
        "",
        "Trained on constants from a prior 1.6 times as wide (`experiment=puck_wide`), probed in range (the prior's "
        "own width) and 2 to 3 of the prior's sd out, both constants at once:",
        "",
        f"| test set | {' | '.join(f'{name}, one window | {name}, averaged' for name in names)} |",
        "|---" * (2 * len(names) + 1) + "|",
    ]
    for shift, words in (("held", "in range"), ("constants", "out of range")):
        cells = [spread([run["shifts"][shift][n][k] for run in runs], ".3f") for n in names for k in _SHIFT_KEYS]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return lines


def _from_state() -> str:
    """Constants from true positions, `worldmodel probe mode=state`, beside the bound."""
    found = read_named("state-")
    if not found:
        return ""
    lines = [
        "",
        "## Constants from true positions, beside the bound",
        "",
        "`worldmodel probe mode=state`: positions with the noise stated in place of frame latents; linear R2 of one "
        "window on test episodes, mean [95 % interval by Student's t over seeds]; the bound holds for any reader.",
        "",
        "| study | noise m / rad | method | constant | linear | MLP | 2 to 3 sd out | bound | linear / bound |",
        "|---" * 9 + "|",
    ]
    for name, study in found:
        noise = f"{study['noise']['m']:g} / {study['noise']['rad']:g}"
        for method, results in study["methods"].items():
            for constant, values in results["constants"].items():
                bound = study.get("r2_bound", {}).get(constant)
                far = values.get("r2_out_of_range")
                cells = [name, noise, method, constant, mean_interval(values["r2_linear"])]
                cells += [told(values["r2_mlp"]["mean"]), mean_interval(far) if far else "–"]
                cells += [told(bound), _share(values["r2_linear"]["mean"], bound)]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
