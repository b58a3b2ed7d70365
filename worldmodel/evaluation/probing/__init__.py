"""`worldmodel probe`: what can be read from a run's latents and contexts, beside the controls that keep it honest."""

from pathlib import Path
from typing import Any

import numpy as np

from worldmodel.evaluation.probing.constant_probes import probe_constants
from worldmodel.evaluation.probing.state_probes import probe_states
from worldmodel.evaluation.probing.subject import open_subject
from worldmodel.figures import figures
from worldmodel.runs.run_directory import RunDirectory
from worldmodel.settings import ProbeConfig

__all__ = ["probe"]


def probe(config: ProbeConfig) -> Path:
    """Probe state variables, and physical constants where they vary; adds "probes" to the run's summary."""
    run = RunDirectory.open(Path(config.run))
    subject = open_subject(config, run)
    rng = np.random.default_rng(config.seed)
    probes = probe_states(subject, config, run, rng)
    sections: dict[str, Any] = {}
    if subject.model.context_encoder is not None:
        constants, sections = probe_constants(subject, config, run, rng)
        probes = constants | probes
    figures.probe_bars(run.figures / "probes.png", probes)
    run.update_summary("probe", probes=probes, **sections)
    return run.path
