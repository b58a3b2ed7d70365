"""Every figure is a picture of the expected size with something in it, and its geometry is right."""

from pathlib import Path

import imageio.v3 as imageio
import matplotlib
import numpy as np
import pytest
import report_fakes as fakes

from worldmodel import figures
from worldmodel.figures import geometry, style
from worldmodel.runs import ProbedVariable

RATES = fakes.CONTROL.labelled_rates()


def assert_picture(path: Path, width_in: float, height_in: float) -> np.ndarray:
    """The picture at `path`, which has the given size and is neither blank nor one flat colour."""
    picture = imageio.imread(path)[..., :3]
    expected = (round(height_in * style.DPI), round(width_in * style.DPI))
    assert np.abs(np.subtract(picture.shape[:2], expected)).max() <= 1
    assert 0.01 < (picture < 250).any(-1).mean() < 0.9
    return picture


def has_colour(picture: np.ndarray, colour: str) -> bool:
    wanted = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return bool((picture == wanted).all(-1).sum() > 20)


@pytest.mark.parametrize(("num_variables", "width_in", "height_in"), [(2, 11.0, 2.95), (3, 8.25, 2.95), (5, 11.0, 5.9)])
def test_latents_against_truth_has_a_panel_a_variable_and_two_planes(tmp_path, num_variables, width_in, height_in):
    generator = np.random.default_rng(0)
    truth = generator.normal(size=(900, num_variables))
    latents = truth @ generator.normal(size=(num_variables, 7))
    names, units = [f"v{index}" for index in range(num_variables)], ["m"] * num_variables
    r2 = [0.9, None, 0.8, 0.7, 0.6][:num_variables]
    path = figures.latents_against_truth(tmp_path / "latents.png", truth, truth + 0.1, latents, names, units, r2)
    assert_picture(path, width_in, height_in)


def test_latents_against_truth_names_the_shapes_that_do_not_fit(tmp_path):
    truth, latents = np.zeros((9, 2)), np.zeros((8, 5))
    with pytest.raises(ValueError, match=r"\(9, 2\), \(9, 2\), \(8, 5\)"):
        figures.latents_against_truth(tmp_path / "a.png", truth, truth, latents, ["a", "b"], ["", ""], [1.0, 1.0])
    assert not list(tmp_path.iterdir())


def test_training_curves_has_a_panel_per_stage_and_quantity(tmp_path):
    path = figures.training_curves(tmp_path / "training.png", fakes.metrics())
    assert_picture(path, 11.0, 2 * 2.05)


def test_training_curves_leaves_out_what_is_not_finite(tmp_path):
    rows = [{"stage": "encoder", "step": step, "loss": 1 / (1 + step), "bad": float("nan")} for step in range(9)]
    assert_picture(figures.training_curves(tmp_path / "training.png", rows), 2.75, 2.05)
    with pytest.raises(ValueError, match="at least one row"):
        figures.training_curves(tmp_path / "none.png", [{"stage": "encoder", "step": 1, "loss": float("nan")}])


@pytest.mark.parametrize(("r2", "interval"), [(0.91, None), (0.91, (0.88, 0.94)), (None, None)])
def test_probe_scatter(tmp_path, r2, interval):
    truth = np.random.default_rng(0).uniform(0.5, 2, 400) if r2 else np.full(400, 0.1)
    path = figures.probe_scatter(tmp_path / "mass.png", "mass", "kg", truth, truth + 0.1, r2, interval)
    assert_picture(path, 3.2, 3.3)


def test_a_probe_of_a_logarithm_is_drawn_on_logarithmic_axes(tmp_path):
    truth = np.exp(np.random.default_rng(0).normal(size=400))
    path = figures.probe_scatter(tmp_path / "mass.png", "mass", "kg", truth, 1.1 * truth, 0.9, (0.8, 0.95), log=True)
    straight = figures.probe_scatter(tmp_path / "other.png", "mass", "kg", truth, 1.1 * truth, 0.9, (0.8, 0.95))
    assert_picture(path, 3.2, 3.3)
    assert path.read_bytes() != straight.read_bytes()


STILL = ProbedVariable("state", "m", None, None, None, None, {"raw_pixels": None})
BARE = ProbedVariable("state", "", 0.5, None, None, None)


@pytest.mark.parametrize("probes", [{"still": STILL}, {"still": STILL, "bare": BARE}])
def test_probe_bars_say_what_cannot_be_told(tmp_path, probes):
    picture = assert_picture(figures.probe_bars(tmp_path / "probes.png", probes), 8.4, 1.15 + 0.62 * len(probes))
    assert has_colour(picture, style.BLUE) == ("bare" in probes)


@pytest.mark.parametrize("values", [[0.2, 0.5, 0.8], [None, None, None], [None, -0.5, 0.8]])
def test_sharpening_leaves_out_what_cannot_be_told(tmp_path, values):
    names = [f"constant {k}" for k in range(8)]
    path = figures.sharpening(tmp_path / "s.png", [8, 16, 32], [values] * 8, names)
    assert_picture(path, 4.6, 2.9)


def test_probe_bars_grow_with_the_number_of_probes_and_bear_gaps(tmp_path):
    probes = {**fakes.PROBE.variables, "bare": BARE}
    picture = assert_picture(figures.probe_bars(tmp_path / "probes.png", probes), 8.4, 1.15 + 0.62 * 4)
    assert has_colour(picture, style.BLUE) and has_colour(picture, style.PALE_BLUE)


def test_planner_cost_leaves_out_steps_after_the_end(tmp_path):
    generator = np.random.default_rng(0)
    distance = generator.uniform(1, 2, (12, 5))
    distance[9:] = np.nan
    distance[6:, 1] = np.nan
    path = figures.planner_cost(tmp_path / "planner.png", generator.uniform(1, 2, (4, 5)), distance)
    picture = assert_picture(path, 7.8, 2.7)
    assert has_colour(picture, style.BLUE) and has_colour(picture, style.TEAL)


def test_predictor_error(tmp_path):
    path = figures.predictor_error(tmp_path / "p.png", [1, 5, 15], [0.1, 0.2, 0.3], [0.3, 0.9, 1.4])
    assert_picture(path, 5.4, 2.9)


def test_surprise_that_cannot_be_told_leaves_axes(tmp_path):
    nothing = np.full((6, 9), np.nan)
    path = figures.surprise_curves(tmp_path / "s.png", {"none": nothing, "teleport": nothing}, 3, 5, 0.02)
    assert_picture(path, 5.2, 2.9)


def test_success_bars(tmp_path):
    picture = assert_picture(figures.success_bars(tmp_path / "s.png", RATES), 5.0, 0.75 + 0.42 * 3)
    assert has_colour(picture, style.BLUE) and has_colour(picture, style.GREY)


def test_canonical_correlations_colour_the_rungs(tmp_path):
    path = figures.canonical_correlations(tmp_path / "c.png", [0.1, 0.91, 0.82, 0.9, 0.8], 0.9)
    picture = assert_picture(path, 4.6, 2.9)
    assert has_colour(picture, style.BLUE) and has_colour(picture, style.AMBER)
    assert_picture(figures.canonical_correlations(tmp_path / "none.png", [], 0.9), 4.6, 2.9)
    with pytest.raises(ValueError, match="drift_rho"):
        figures.canonical_correlations(tmp_path / "c.png", [0.1], 1.0)


def test_hero(tmp_path):
    truth, latents = fakes.world(1500)
    path = figures.hero(tmp_path / "hero.png", fakes.frames_of_a_ball(), truth, latents, ["a", "b"], RATES)
    assert_picture(path, 11.0, 5.0)


def test_figures_leave_global_settings_alone(tmp_path):
    before = dict(matplotlib.rcParams)
    figures.success_bars(tmp_path / "s.png", RATES)
    assert dict(matplotlib.rcParams) == before


def test_rotation_onto_the_truth_recovers_it_but_never_stretches():
    truth, latents = fakes.world(3000)
    standard = (truth - truth.mean(0)) / truth.std(0)
    assert np.mean((geometry.rotate_onto(truth, latents) - standard) ** 2) < 0.02
    stretched = geometry.rotate_onto(truth, 3 * latents)
    assert stretched.std() == pytest.approx(3, rel=0.05)


def test_truth_grid_of_the_truth_itself_is_regular():
    truth = np.random.default_rng(0).uniform(-1, 1, (40000, 2))
    lines = geometry.truth_grid(truth, truth, cells=6)
    assert len(lines) == 12
    steps = np.diff(np.stack(lines[:6]), axis=1)
    assert np.abs(steps[..., 0]).max() < 0.03
    assert steps[..., 1] == pytest.approx(0.96 * 2 / 6, abs=0.03)


def test_powers_on_a_logarithmic_axis_are_plain_numbers(tmp_path: Path):
    """Names of others may hold a $, so that no text is a formula; Matplotlib's own ticks of such axes are."""
    with style.styled():
        figure = style.new_figure(3, 2)
        axes = figure.add_subplot()
        axes.plot([1, 2], [0.02, 30])
        axes.set_yscale("log")
        style.save_png(figure, tmp_path / "log.png")
        shown = [tick.get_text() for tick in axes.get_yticklabels() if tick.get_text()]
    assert {"0.1", "1", "10"} <= set(shown)
