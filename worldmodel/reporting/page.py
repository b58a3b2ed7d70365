"""Write one self-contained HTML page over one or several runs."""

import base64
import functools
import json
import re
import struct
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from worldmodel import figures
from worldmodel.reporting.content import RunContent, headline, overview, run_content, settings_table
from worldmodel.reporting.elements import Chart
from worldmodel.reporting.reported_run import (
    MAX_PICTURE_BYTES,
    MAX_VIDEO_BYTES,
    ReportedRun,
    open_reported,
)
from worldmodel.runs import Run, find_runs
from worldmodel.settings import ReportConfig
from worldmodel.system.errors import ResultError, UserError
from worldmodel.system.files import check_replaceable, read_regular, write_text
from worldmodel.system.printable import printable

MAX_VIDEOS_PER_RUN = 8
_MARK = b"default-src 'none'; img-src data:; media-src data:"
"""Stands in the head of every page."""
_CAPTIONS = {
    "imagination": "held-out episodes: the camera's frames, and below them what the model imagined",
    "imagination_of_all": "the same episodes, as each run imagined them",
    "imagination_in_training": "the predictor in training: the recorded frames nearest to what it imagined",
    "imagined_plans": "first plans: the goal, the camera while they were carried out, what the model imagined",
    "decoded": "held-out frames, and what the decoder makes of their latents",
    "planner_cost": "left, the lowest cost found within one decision; right, how far each task came",
    "latents_against_truth": "each true variable against its value read from the latents",
    "surprise": "surprise before and after the event",
}
"""Name of a file that verbs leave -> what it shows."""
# Figures are drawn at 130 dots per inch and shown at 100, so that type has one size all over the page.
_PIXELS_PER_CSS_PIXEL = 1.3


def report(config: ReportConfig) -> Path:
    """Write the page of the runs that `config.run` names; by default into the run, or beside several.

    Raises:
        UserError: there is no such run, or its results cannot be read.
    """
    runs = [run.path for run in find_runs(config.run)]
    folder = runs[0] if len(runs) == 1 else runs[0].parent
    out = Path(config.out) if config.out else folder / "report.html"
    if (config.out or len(runs) > 1) and not config.overwrite:  # a run's own folder holds no other page
        check_replaceable(out, [_MARK], "page of a run", "choose another out=, or add overwrite=true")
    return write_page(runs, out)


def write_page(runs: Sequence[Path], out: Path, title: str | None = None) -> Path:
    """Write the report on `runs` (run directories) to `out`, one HTML file that needs no other file and no network.

    Figures that a run's numbers allow but its `figures/` lacks are drawn on the way.

    Raises:
        UserError: a run's results are missing or cannot be read; one line that names the file and the remedy.
    """
    if not runs:
        raise UserError("a report needs at least one run directory, got none; pass run=runs/NAME")
    loaded = [open_reported(Run(path)) for path in runs]
    with tempfile.TemporaryDirectory() as scratch:
        contents = [_content(run, index, Path(scratch) / str(index)) for index, run in enumerate(loaded)]
        html = _render(loaded, contents, title)
    if gone := [path for path in runs if not path.is_dir()]:
        raise ResultError(f"{gone[0]} was removed meanwhile, so that there is nothing to report")
    write_text(Path(out), html)
    return Path(out)


def _content(run: ReportedRun, index: int, scratch: Path) -> RunContent:
    """The run's content, with the figures that its numbers allow added to its own.

    Raises:
        ResultError: its numbers cannot be shown: they are of the right types, and beyond all bounds.
    """
    try:
        return run_content(run, index, [*run.figures, *_drawn_figures(run, scratch)])
    except (ValueError, ArithmeticError, LookupError, TypeError) as error:
        raise ResultError(f"{run.path} holds results that cannot be shown ({error}); run its commands again") from error


def _drawn_figures(run: ReportedRun, scratch: Path) -> list[Path]:
    """Draw success and probe bars under `scratch`, where a run has only numbers."""
    summary, drawn = run.summary, []

    def draw(name: str, function: Callable[..., Path], *of: Any) -> None:
        with figures.drawing(name):
            drawn.append(function(scratch / name, *of))

    rates = summary.control.labelled_rates() if summary.control else {}
    if rates and not any(file.stem.startswith("success") for file in run.figures):
        draw("success.png", figures.success_bars, rates)
    if summary.probe and not any(file.stem.startswith("probes") for file in run.figures):
        draw("probes.png", figures.probe_bars, summary.probe.variables)
    return drawn


@functools.cache
def _template() -> jinja2.Template:
    """The page's template; to compile it takes longer than to fill it."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, finalize=_shown
    )
    environment.globals.update(picture=_picture, video_uri=_video_uri, chart_data=_chart_data)
    environment.globals.update(caption=_caption, explained=lambda path: path.stem in _CAPTIONS)
    return environment.from_string(_packaged("template.html"))


def _packaged(name: str) -> str:
    """A text file of this folder."""
    return resources.files("worldmodel.reporting").joinpath(name).read_text(encoding="utf-8")


def _render(runs: Sequence[ReportedRun], contents: Sequence[RunContent], title: str | None) -> str:
    """The page as text."""
    return _template().render(
        title=title or (f"World model: {runs[0].summary.name}" if len(runs) == 1 else "World models"),
        headline=headline(runs),
        overview=overview(runs) if len(runs) > 1 else None,
        settings=settings_table(runs) if len(runs) > 1 else None,
        runs=contents,
        max_videos=MAX_VIDEOS_PER_RUN,
        chart_script=_packaged("charts.js"),
    )


def _shown(value: Any) -> Any:
    """What the page prints: text without control characters and marks of writing direction, markup as it is."""
    return printable(value) if type(value) is str else value


def _chart_data(chart: Chart) -> str:
    """What `charts.js` draws, as JSON in which no text can end the script element."""
    return json.dumps(asdict(chart), allow_nan=False).replace("<", "\\u003c")


def _picture(path: Path) -> dict[str, Any]:
    """A PNG as a data URI, with its width and height in CSS pixels, read from its header."""
    content = read_regular(path, MAX_PICTURE_BYTES)
    width, height = struct.unpack(">II", content[16:24])
    return {
        "uri": "data:image/png;base64," + base64.b64encode(content).decode(),
        "width": round(width / _PIXELS_PER_CSS_PIXEL),
        "height": round(height / _PIXELS_PER_CSS_PIXEL),
    }


def _video_uri(path: Path) -> str:
    """An MP4 as a data URI."""
    return "data:video/mp4;base64," + base64.b64encode(read_regular(path, MAX_VIDEO_BYTES)).decode()


def _caption(path: Path) -> str:
    """What a picture or a film shows; `control_000.mp4` is of task 1."""
    if task := re.fullmatch(r"control_(\d+)", path.stem):
        return f"task {int(task[1]) + 1}"
    return _CAPTIONS.get(path.stem) or path.stem.replace("_", " ")
