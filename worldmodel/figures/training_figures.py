"""Figures of training: logged quantities by step, and the predictor's error by horizon."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator

from worldmodel.figures import style

_TRAINING_ORDER = ("loss", "alignment", "sigreg", "prediction", "effective_rank")
_MARGINS_IN = (0.72, 0.1, 0.43, 0.28)
"""Room for numbers of eight characters at the left, the step below, and the title."""
_NOT_CURVES = {"stage", "step", "seconds", "epoch"}


def training_curves(path: Path, metrics: Sequence[Mapping[str, object]]) -> Path:
    """Draw every logged quantity of every stage against its step, a panel each; metrics are rows of `metrics.jsonl`."""
    curves = logged_curves(metrics)
    if not curves:
        raise ValueError(
            "training curves need at least one row with a stage, a step and a finite value; the metrics hold none"
        )
    with style.styled():
        figure, axes = style.panels(len(curves), 4, (2.75, 2.05), _MARGINS_IN)
        for panel, ((stage, key), (steps, values)) in zip(axes, curves.items(), strict=True):
            _curve_panel(panel, stage, key, steps, values)
        return style.save_png(figure, path)


def predictor_error(
    path: Path,
    horizons: Sequence[int] | np.ndarray,
    model_error: Sequence[float] | np.ndarray,
    persistence_error: Sequence[float] | np.ndarray,
) -> Path:
    """Draw the prediction error against the horizon (H,) in control steps, beside persistence."""
    model, still = np.asarray(model_error, float), np.asarray(persistence_error, float)
    style.require(len(horizons) == len(model) == len(still) > 0, "equally many horizons and errors", model, still)
    with style.styled():
        figure = style.new_figure(5.4, 2.9)
        axes = figure.add_subplot()
        axes.plot(horizons, still, color=style.GREY, marker="o", markersize=4, label="persistence")
        axes.plot(horizons, model, color=style.BLUE, marker="o", markersize=4, label="latent predictor")
        axes.fill_between(horizons, model, still, where=list(model < still), color=style.BLUE, alpha=0.08, linewidth=0)
        axes.set(xlabel="horizon (control steps)", ylabel="mean squared latent error")
        axes.set_ylim(bottom=0, top=1.08 * max(np.nanmax(model), np.nanmax(still)))
        if len(horizons) <= 12:
            axes.set_xticks(list(horizons))
        style.light_grid(axes)
        figure.legend(loc="outside upper left", ncols=2)
        return style.save_png(figure, path)


def logged_curves(metrics: Sequence[Mapping[str, object]]) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
    """(stage, quantity) to steps (M,) and values (M,), stages as they came, well-known quantities first.

    What is 0 throughout, such as the alarm `collapsed`, is left out.
    """
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in metrics:
        stage, step = str(row.get("stage", "training")), row.get("step")
        numbers = {key: value for key, value in row.items() if key not in _NOT_CURVES and _is_finite(value)}
        for key, value in numbers.items():
            points.setdefault((stage, key), []).append((_number(step), _number(value)))
    stages = list(dict.fromkeys(stage for stage, _ in points))
    rank = {key: position for position, key in enumerate(_TRAINING_ORDER)}
    ordered = sorted(
        (key for key, of in points.items() if any(value for _, value in of)),
        key=lambda item: (stages.index(item[0]), rank.get(item[1], len(rank)), item[1]),
    )
    return {key: (np.array(points[key])[:, 0], np.array(points[key])[:, 1]) for key in ordered}


def running_median(values: np.ndarray) -> np.ndarray | None:
    """The median around every value (M,); None of so few values that they need no smoothing."""
    if len(values) < 60:
        return None
    width = max(len(values) // 15, 5)
    padded = np.pad(values, (width // 2, width - 1 - width // 2), mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1)


def spans_decades(values: np.ndarray) -> bool:
    """Whether values are positive and range over more than a factor of ten, so that a logarithmic axis suits them."""
    return bool(np.all(values > 0) and np.max(values) > 10 * np.min(values))


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _curve_panel(axes: Axes, stage: str, key: str, steps: np.ndarray, values: np.ndarray) -> None:
    """One quantity against the step: values faint, a running median on top; logarithmic where it spans a decade."""
    median = running_median(values)
    axes.plot(
        steps,
        values,
        color=style.BLUE,
        linewidth=0.8 if median is not None else 1.6,
        alpha=0.3 if median is not None else 1.0,
    )
    if median is not None:
        axes.plot(steps, median, color=style.BLUE, linewidth=1.6)
    if spans_decades(values):
        axes.set_yscale("log")
    if np.ptp(values) == 0:
        axes.set_yticks([values[0]], [f"{values[0]:.3g}"])
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    style.light_grid(axes)
    axes.set_title(f"{stage} · {style.readable_name(key)}")
    axes.set_xlabel("step")
