"""`worldmodel probe`: what can be read from latents and contexts, beside baselines that would show a broken probe."""

from dataclasses import replace

import numpy as np

from worldmodel import figures
from worldmodel.evaluation.probing.constant_probes import probe_constants
from worldmodel.evaluation.probing.readings import Reading
from worldmodel.evaluation.probing.state_probes import probe_states
from worldmodel.evaluation.probing.subject import open_subject
from worldmodel.evaluation.trust import check_inside_project, check_trusted
from worldmodel.runs import ProbeResult, Run
from worldmodel.settings import ProbeConfig
from worldmodel.system.devices import torch_kept
from worldmodel.system.printable import file_name

__all__ = ["probe"]


@torch_kept()
def probe(config: ProbeConfig) -> ProbeResult:
    """Probe state variables, and physical constants where they vary; recorded in the run.

    Raises:
        UserError: there is no such run or data set, or no constant varies in it.
    """
    run = Run(config.run)
    with run.directory.locked():
        subject = open_subject(config, run)
        has_contexts, rng = subject.model.context_encoder is not None, np.random.default_rng(config.seed)
        if has_contexts and (config.bound_trajectories or config.shifts):  # which need the world
            check_trusted(subject.trained.env, config.trust_world)
        if has_contexts and config.shifts:
            check_inside_project(subject.trained.collection.data, config.data)
        states, readings = probe_states(subject, config, rng)
        result = ProbeResult(states)
        if has_contexts:
            result, of_constants = probe_constants(subject, config, rng)
            result = replace(result, variables=result.variables | states)
            readings += of_constants
        _draw(run, result, readings)
        run.directory.record(result)
    return result


def _draw(run: Run, result: ProbeResult, readings: list[Reading]) -> None:
    for reading in readings:
        found, path = result.variables[reading.name], run.figures / f"probe_{file_name(reading.name)}.png"
        with figures.drawing(path.name):
            figures.probe_scatter(
                path,
                reading.name,
                found.unit,
                reading.truth,
                reading.prediction,
                found.r2_linear,
                found.r2_linear_interval,
                reading.log,
            )
    with figures.drawing("probes.png"):
        figures.probe_bars(run.figures / "probes.png", result.variables)
    if lengths := result.window_lengths:
        with figures.drawing("probe_window_length.png"):
            path = run.figures / "probe_window_length.png"
            figures.sharpening(path, lengths.steps, list(lengths.r2.values()), list(lengths.r2))
    correlations = result.correlations
    if correlations and correlations.drift_rho and correlations.drift_rho < 1:
        with figures.drawing("canonical_correlations.png"):
            path = run.figures / "canonical_correlations.png"
            figures.canonical_correlations(path, correlations.values, correlations.drift_rho)
