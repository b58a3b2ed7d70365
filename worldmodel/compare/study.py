"""The verb: runs a study part by part, and writes what stands after each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from worldmodel.compare import light_study as lit_ball
from worldmodel.compare.candidates import Candidate, check_names, choose
from worldmodel.compare.claims import verdicts
from worldmodel.compare.laboratory import Laboratory, random_and_pixels
from worldmodel.compare.measurements import SWEPT, convergence, measure, memory, planning, sweep_batch, sweep_data, tune
from worldmodel.compare.scale import SCALES, Scale
from worldmodel.figures import comparison as figures
from worldmodel.learning.train import r2_ceiling
from worldmodel.measures.wording import told
from worldmodel.runs import command_line, hardware, versions
from worldmodel.settings import CompareConfig, EncoderConfig
from worldmodel.system.errors import UserError
from worldmodel.system.files import write_json

CONVERGED = 0.95  # of what supervised training reaches in the end


def compare(config: CompareConfig) -> str:
    """Run the study that `config` names; returns its table and where its files are."""
    check_names(config.methods)
    scale = SCALES[config.scale]
    study = {"methods": _methods_study, "lit_ball": _lit_ball_study}[config.study]
    return study(config, scale)


def _folder(config: CompareConfig, label: str) -> Path:
    return Path(config.training.runs) / f"compare-{label}"


def _methods_study(config: CompareConfig, scale: Scale) -> str:
    label = config.training.env.label
    folder = _folder(config, label)
    lab = Laboratory(config.training, scale, folder)
    candidates = choose(config.methods, lab.poses.data.actions.shape[1] > 0)
    _check_parts(config, lab)
    seeds = range(config.num_seeds)
    content: dict[str, Any] = {
        **_header(config, scale, config.training.encoder),
        "variables": lab.variables.names,
        "r2_ceiling": r2_ceiling(lab.poses.data, lab.variables.names),
        "tuning": "4 settings per method, chosen by R2 on validation episodes with a seed of its own",
        "methods": {},
        "baselines": random_and_pixels(lab),
    }
    table: dict[str, Any] = content["methods"]
    untrained_std = content["baselines"]["random_encoder"]["latent_std"]
    chosen: dict[str, int] = {}
    for candidate in candidates:
        chosen[candidate.name], tried = tune(lab, candidate)
        row = measure(lab, candidate, chosen[candidate.name], seeds, untrained_std)
        table[candidate.name] = {**row, "tried": tried}
    best = table["supervised"] if "supervised" in table else max(table.values(), key=lambda r: r["r2_h_to_z"]["mean"])
    content["convergence_threshold"] = CONVERGED * best["r2_h_to_z"]["mean"]
    for row in table.values():
        row["convergence"] = convergence(row, content["convergence_threshold"])
    _write(config, folder, content)

    parts: dict[str, Callable[[Candidate, int], Any]] = {
        "memory": lambda candidate, setting: memory(lab, candidate, setting),
        "planning": lambda candidate, setting: planning(lab, candidate, setting, seeds),
        "batch": lambda candidate, setting: sweep_batch(lab, candidate, setting, seeds),
        "data": lambda candidate, setting: sweep_data(lab, candidate, setting, seeds),
    }
    for part, work in parts.items():
        if part not in config.parts or (part == "planning" and not lab.has_dynamics):
            continue
        for candidate in candidates:
            if candidate.name in SWEPT.get(part, (candidate.name,)):
                table[candidate.name][part] = work(candidate, chosen[candidate.name])
        _write(config, folder, content)
    figures.draw_table(folder / "figures" / f"compare-{label}.png", content)
    return f"{_text(content)}\n\nnumbers: {folder / 'compare.json'}\nfigure:  {folder / 'figures'}/compare-{label}.png"


def _check_parts(config: CompareConfig, lab: Laboratory) -> None:
    if config.parts == ["planning"] and not lab.has_dynamics:
        raise UserError(
            f"parts=[planning] needs actions, and {lab.label} is a kinematic world without any; use a dynamic one "
            "(env=reacher)"
        )


def _header(config: CompareConfig, scale: Scale, encoder: EncoderConfig) -> dict[str, Any]:
    return {
        "study": config.study,
        "env": config.training.env.label,
        "scale": config.scale,
        "encoder": f"{encoder.kind} {encoder.input_size}x{encoder.input_size}, {scale.hidden} x {encoder.depth}",
        "steps": scale.steps,
        "batch_size": scale.batch_size,
        "num_seeds": config.num_seeds,
        "command": _command(),
        "versions": versions(),
        "hardware": hardware(),
    }


def _command() -> str:
    """The command that is running, without what its figures do not depend on."""
    places = ("data=", "runs=", "workers=", "threads=", "out=", "--traceback")
    return " ".join(word for word in command_line().split() if not word.startswith(places))


def _write(config: CompareConfig, folder: Path, content: dict[str, Any]) -> None:
    if content["study"] == "methods":
        content["claims"] = verdicts(content)
    for path in (folder / "compare.json", *([Path(config.out)] if config.out else [])):
        write_json(path, content)


def _text(content: dict[str, Any]) -> str:
    columns = ("R2 h->z", "R2 z->h", "rank corr.", "eff. rank", "steps", "MB", "success")
    lines = [f"  {'method':<20}" + "".join(f"{column:>12}" for column in columns)]
    for name, row in content["methods"].items():
        kept = row.get("memory", {}).get("kept", {})
        values = [
            f"{row['r2_h_to_z']['mean']:.4f}",
            f"{row['r2_z_to_h']['mean']:.4f}",
            told(row["rank_correlation"]["mean"]),
            f"{row['effective_rank']['mean']:.2f}",
            str(int(row["convergence"]["steps_to_threshold"] or 0) or "never"),
            f"{sum(kept['256'].values()) / 2**20:.1f}" if kept else "",
            f"{row['planning']['success_rate']['mean']:.1%}" if row.get("planning") else "",
        ]
        lines.append(f"  {name:<20}" + "".join(f"{value:>12}" for value in values))
    words = {True: "agrees", False: "disagrees", None: "undecided"}
    lines += [
        "",
        *(f"  {claim['claim']:<13} {words[claim['agrees']]}: {claim['seed_says']}" for claim in content["claims"]),
    ]
    return "\n".join(lines)


def _lit_ball_study(config: CompareConfig, scale: Scale) -> str:
    folder = _folder(config, "lit-ball-study")
    # its worlds bring settings of their own, those of `config.training` do not matter
    content = {**_header(config, scale, lit_ball.training(config, "lit_ball").encoder), "env": "lit_ball"}
    for condition, figure in lit_ball.conditions(config, scale, Path(config.training.runs)):
        content.setdefault("conditions", {})[condition] = figure
        _write(config, folder, content)
    figures.draw_separation(folder / "figures" / "lit-ball.png", content)
    return f"{lit_ball.text(content)}\n\nnumbers: {folder / 'compare.json'}\nfigure:  {folder / 'figures'}/lit-ball.png"
