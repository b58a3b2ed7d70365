"""`worldmodel compare`: runs a study part by part, and writes the result after each."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from worldmodel.comparing import study_figures
from worldmodel.comparing.candidates import Candidate, check_names, choose
from worldmodel.comparing.claims import verdicts
from worldmodel.comparing.compare_result import CompareResult, LitBallResult, MethodRow, PairCondition, StudySetup
from worldmodel.comparing.constant_reading import CONTEXTS, ConstantsStudy
from worldmodel.comparing.laboratory import Laboratory, baselines
from worldmodel.comparing.light_study import conditions, training
from worldmodel.comparing.measurements import (
    SWEPT,
    convergence,
    looks,
    measure,
    memory,
    planning,
    sweep_batch,
    sweep_data,
    tune,
)
from worldmodel.comparing.planning_success import refusal_of_looks
from worldmodel.comparing.scale import Scale, scale_of
from worldmodel.figures import drawing
from worldmodel.learning.judging import r2_ceiling
from worldmodel.runs import check_out, write_record
from worldmodel.settings import CompareConfig, EncoderConfig
from worldmodel.system.devices import torch_kept
from worldmodel.system.errors import UserError
from worldmodel.system.files import inner_folder

_SWEPT = {**SWEPT, "constants": tuple(CONTEXTS)}
"""Part -> the methods that it covers; parts that are not listed cover all."""
CONVERGED = 0.95
"""Share of supervised training's final R2 at which a training counts as converged."""


@torch_kept()
def compare(config: CompareConfig) -> CompareResult | LitBallResult:
    """Run the study that `config` names; writes compare.json after each part, and a figure.

    Finished trainings are kept, so that the same command continues after an interruption.

    Raises:
        UserError: a method or a part does not exist or is not allowed by the world; or no variable of the world moves.
    """
    kind = LitBallResult if config.study == "lit_ball" else CompareResult
    check_out(config.out, kind, config.overwrite)
    check_out(str(_result_file(config)), kind, overwrite=True)
    check_names(config.methods)
    _figures(config)
    return _lit_ball(config) if config.study == "lit_ball" else _methods(config)


def study_folder(config: CompareConfig) -> Path:
    """Where a study keeps its cells, its result and its figure."""
    label = "lit-ball-study" if config.study == "lit_ball" else config.training.env.label
    return Path(config.training.runs) / f"compare-{label}"


def _result_file(config: CompareConfig) -> Path:
    return study_folder(config) / "compare.json"


def _figures(config: CompareConfig) -> Path:
    return inner_folder(study_folder(config) / "figures")


def _methods(config: CompareConfig) -> CompareResult:
    scale = scale_of(config, config.training)
    lab = Laboratory(config.training, scale, study_folder(config))
    candidates = choose(config.methods, lab.poses.data.actions.shape[1] > 0)
    _check_parts(config, lab)
    beside = baselines(lab, "constants" in config.parts)
    chosen: dict[str, int] = {}
    rows: dict[str, MethodRow] = {}
    for candidate in candidates:
        setting, tried = tune(lab, candidate)
        chosen[candidate.name] = setting
        seeds, untrained_std = range(config.num_seeds), beside.random_encoder.latent_std
        rows[candidate.name] = measure(lab, candidate, setting, tried, seeds, untrained_std)
    threshold = _threshold(rows)
    result = CompareResult(
        env=lab.label,
        setup=_setup(config, scale, config.training.encoder),
        variables=lab.variables.names,
        r2_ceiling=r2_ceiling(lab.poses.data, lab.variables.names),
        tuning="4 settings per method, chosen by R2 on validation episodes with a seed of its own",
        baselines=beside,
        methods={name: replace(row, convergence=convergence(row.curve, threshold)) for name, row in rows.items()},
        convergence_threshold=threshold,
    )
    result = _written(config, result)
    for part, work in _parts(config, lab).items():
        if part in config.parts and part not in _not_allowed(lab):
            swept = [candidate for candidate in candidates if candidate.name in _SWEPT.get(part, (candidate.name,))]
            found = {candidate.name: work(candidate, chosen[candidate.name]) for candidate in swept}
            result = _written(config, _with_part(result, part, found))
    with drawing("the figure of the study"):
        study_figures.draw_methods(_figures(config) / f"compare-{lab.label}.png", result)
    return result


def _parts(config: CompareConfig, lab: Laboratory) -> dict[str, Callable[[Candidate, int], Any]]:
    """Field of a method's row -> the function that measures it, in the order of the study."""
    seeds, constants = range(config.num_seeds), ConstantsStudy(lab)
    return {
        "memory": lambda candidate, setting: memory(lab, candidate, setting),
        "planning": lambda candidate, setting: planning(lab, candidate, setting, seeds),
        "looks": lambda candidate, setting: looks(lab, candidate, setting, seeds),
        "constants": lambda candidate, setting: constants.read(candidate, setting, seeds),
        "batch": lambda candidate, setting: sweep_batch(lab, candidate, setting, seeds),
        "data": lambda candidate, setting: sweep_data(lab, candidate, setting, seeds),
    }


def _with_part(result: CompareResult, part: str, found: dict[str, Any]) -> CompareResult:
    rows = {name: replace(result.methods[name], **{part: value}) for name, value in found.items()}
    return replace(result, methods=result.methods | rows)


def _not_allowed(lab: Laboratory) -> dict[str, str]:
    """Parts that the world does not allow -> what they need."""
    found = {}
    if not lab.has_dynamics:
        need = f"actions, and {lab.label} is a kinematic world without any; use env=reacher"
        found |= {"planning": need, "looks": need}
    elif refused := refusal_of_looks(lab.config.env):
        found["looks"] = f"a world that can look different: {refused}"
    if not lab.constants:
        found["constants"] = f"physical constants, and none varies in {lab.label}; use env=puck"
    return found


def _check_parts(config: CompareConfig, lab: Laboratory) -> None:
    needs = _not_allowed(lab)
    if config.parts and all(part in needs for part in config.parts):
        raise UserError(f"parts=[{','.join(config.parts)}] needs {needs[config.parts[0]]}")


def _threshold(rows: dict[str, MethodRow]) -> float:
    """R2 at which a training counts as converged."""
    ends = {name: row.r2_h_to_z.mean or 0.0 for name, row in rows.items()}
    return CONVERGED * (ends["supervised"] if "supervised" in ends else max(ends.values()))


def _setup(config: CompareConfig, scale: Scale, encoder: EncoderConfig) -> StudySetup:
    network = f"{encoder.kind} {encoder.input_size}x{encoder.input_size}, {scale.hidden} x {encoder.depth}"
    return StudySetup(config.scale, network, scale.steps, scale.batch_size, config.num_seeds)


def _written(config: CompareConfig, result: CompareResult) -> CompareResult:
    """The result with the verdicts that it allows, after writing it."""
    judged = replace(result, claims=verdicts(result))
    _write(config, judged)
    return judged


def _write(config: CompareConfig, result: CompareResult | LitBallResult) -> None:
    for path in (_result_file(config), *([Path(config.out)] if config.out else [])):
        write_record(path, result)


def _lit_ball(config: CompareConfig) -> LitBallResult:
    # its worlds bring settings of their own, those of `config.training` do not matter
    ball = training(config, "lit_ball")
    setup = _setup(config, scale_of(config, ball), ball.encoder)
    found: dict[str, PairCondition] = {}
    for name, condition in conditions(config, Path(config.training.runs)):
        found[name] = condition
        _write(config, LitBallResult(setup, dict(found)))
    result = LitBallResult(setup, found)
    with drawing("the figure of the study"):
        study_figures.draw_lit_ball(_figures(config) / "lit-ball.png", result)
    return result
