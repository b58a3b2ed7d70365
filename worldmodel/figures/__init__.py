"""Pictures and videos, drawn from plain arrays and numbers; knows no stage.

    latent_figures     latents against the truth; the demo's one picture
    training_figures   what training logged; error by horizon
    picture_figures    rows of frames, real, decoded and imagined; errors of the imagined state
    probe_figures      probes, window lengths, canonical correlations
    control_figures    goals reached, convergence of plans, surprise
    look_figures       looks, and goals reached under them
    contact_sheet      pictures side by side, each with a name
    design_figure, comparison   figures of those studies
    videos             films of control
    style, geometry    palette, type and axes of every figure; projections of latents

`videos` and the two studies' figures are imported from their modules.
"""

from worldmodel.figures import style
from worldmodel.figures.contact_sheet import contact_sheet
from worldmodel.figures.control_figures import Rate, planner_cost, success_bars, surprise_curves
from worldmodel.figures.latent_figures import hero, latents_against_truth
from worldmodel.figures.look_figures import looks_sheet, looks_success
from worldmodel.figures.picture_figures import filmstrip, state_errors, state_paths
from worldmodel.figures.probe_figures import canonical_correlations, probe_bars, probe_scatter, sharpening
from worldmodel.figures.style import drawing
from worldmodel.figures.training_figures import (
    logged_curves,
    predictor_error,
    running_median,
    spans_decades,
    training_curves,
)

__all__ = [
    "Rate",
    "canonical_correlations",
    "contact_sheet",
    "drawing",
    "filmstrip",
    "hero",
    "latents_against_truth",
    "logged_curves",
    "looks_sheet",
    "looks_success",
    "planner_cost",
    "predictor_error",
    "probe_bars",
    "probe_scatter",
    "running_median",
    "sharpening",
    "spans_decades",
    "state_errors",
    "state_paths",
    "style",
    "success_bars",
    "surprise_curves",
    "training_curves",
]
