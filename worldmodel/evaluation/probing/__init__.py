"""`worldmodel probe`: what can be read from a run's latents and contexts, beside the controls that keep it honest."""

from dataclasses import replace

import numpy as np

from worldmodel import figures
from worldmodel.evaluation.probing.constant_probes import probe_constants
from worldmodel.evaluation.probing.readings import Reading
from worldmodel.evaluation.probing.state_probes import probe_states
from worldmodel.evaluation.probing.subject import open_subject
from worldmodel.evaluation.trust import check_trusted
from worldmodel.runs import ProbeResult, Run
from worldmodel.settings import ProbeConfig

__all__ = ["probe"]


def probe(config: ProbeConfig) -> ProbeResult:
    """Probe state variables, and physical constants where they vary; recorded in the run.

    Raises:
        UserError: there is no such run or data set, or no constant varies in it.
    """
    run = Run(config.run)
    with run.directory.locked():
        subject = open_subject(config, run)
        rng = np.random.default_rng(config.seed)
        states, readings = probe_states(subject, config, rng)
        result = ProbeResult(states)
        if subject.model.context_encoder is not None:
            if config.bound_trajectories or config.shifts:
                check_trusted(subject.trained.env, config.trust_world)
            result, of_constants = probe_constants(subject, config, rng)
            result = replace(result, variables=result.variables | states)
            readings += of_constants
        _draw(run, result, readings)
        run.directory.record(result)
    return result


def _draw(run: Run, result: ProbeResult, readings: list[Reading]) -> None:
    for reading in readings:
        found = result.variables[reading.name]
        figures.probe_scatter(
            run.figures / f"probe_{reading.name.replace(' ', '_')}.png",
            reading.name,
            found.unit,
            reading.truth,
            reading.prediction,
            found.r2_linear,
            found.r2_linear_interval,
            reading.log,
        )
    figures.probe_bars(run.figures / "probes.png", result.variables)
    if result.window_lengths:
        lengths = result.window_lengths
        path = run.figures / "probe_window_length.png"
        figures.sharpening(path, lengths.steps, list(lengths.r2.values()), list(lengths.r2))
    correlations = result.correlations
    if correlations and correlations.drift_rho and correlations.drift_rho < 1:
        path = run.figures / "canonical_correlations.png"
        figures.canonical_correlations(path, correlations.values, correlations.drift_rho)
