"""Write one self-contained HTML page over one or several run directories."""

import base64
import struct
import tempfile
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from worldmodel.figures import figures
from worldmodel.report.content import FIGURE_SECTIONS, RunContent, headline, overview, run_content, run_name
from worldmodel.report.run_files import ReportError, RunFiles, read_run
from worldmodel.system.files import write_atomically

MAX_VIDEOS_PER_RUN = 8
# Figures are drawn at 130 dots per inch and shown at 100, so that type has one size all over the page.
_PIXELS_PER_CSS_PIXEL = 1.3


def write_page(runs: Sequence[Path], out: Path, title: str | None = None) -> Path:
    """Write the report on `runs` (run directories) to `out`, one HTML file that needs no other file and no network.

    Figures that a run's numbers allow but its `figures/` lacks are drawn on the way. Raises ReportError, one line that
    names the file and the remedy, where a run's summary is missing, broken or of another schema.
    """
    if not runs:
        raise ReportError("a report needs at least one run directory, got none; pass run=runs/<name>")
    loaded = [read_run(Path(path)) for path in runs]
    with tempfile.TemporaryDirectory() as scratch:
        contents = [_content(run, index, Path(scratch) / str(index)) for index, run in enumerate(loaded)]
        html = _render(loaded, contents, title)

    def write(temporary: Path) -> None:
        temporary.write_text(html, encoding="utf-8")

    write_atomically(Path(out), write)
    return Path(out)


def _content(run: RunFiles, index: int, scratch: Path) -> RunContent:
    """The run's content, with the figures that its numbers allow added to its own."""
    return run_content(run, index, [*run.figures, *_drawn_figures(run, scratch)])


def _drawn_figures(run: RunFiles, scratch: Path) -> list[Path]:
    """Draw training curves, predictor error, success and probe bars under `scratch`, where a run has only numbers."""
    present = {key for key, words in FIGURE_SECTIONS.items() for file in run.figures if file.stem.startswith(words)}
    drawn = []
    if "training" not in present and figures.has_curves(run.metrics):
        drawn.append(figures.training_curves(scratch / "training.png", run.metrics))
    ratios = _finite_ratios(run.section("predictor").get("error_ratio_to_persistence") or {})
    if "predictor" not in present and len(ratios) > 1:
        steps, values = list(ratios), list(ratios.values())
        path = scratch / "predictor_error.png"
        drawn.append(
            figures.predictor_error(path, steps, values, [1.0] * len(steps), "error, as a share of persistence")
        )
    rates = _rates(run.section("control"))
    if rates and not any(file.stem.startswith("success") for file in run.figures):
        drawn.append(figures.success_bars(scratch / "success.png", rates))
    if run.section("probes") and not any(file.stem.startswith("probes") for file in run.figures):
        drawn.append(figures.probe_bars(scratch / "probes.png", run.section("probes")))
    return drawn


def _finite_ratios(ratios: Mapping[str, float | None]) -> dict[int, float]:
    """Horizon in control steps to error ratio, ascending; what is not a number is left out."""
    return {
        int(key): value
        for key, value in sorted(ratios.items(), key=lambda item: item[0].zfill(9))
        if key.isdigit() and value is not None
    }


def _rates(control: Mapping[str, Any]) -> dict[str, figures.Rate]:
    """Controllers that have been run, with their success rate and interval."""
    rates: dict[str, figures.Rate] = {}
    for prefix, label in (("", "latent MPC"), ("random_", "random"), ("oracle_", "simulator oracle")):
        rate = control.get(f"{prefix}success_rate")
        if rate is not None:
            low, high = control.get(f"{prefix}success_interval") or (rate, rate)
            rates[label] = (rate, low, high)
    return rates


def _render(runs: Sequence[RunFiles], contents: Sequence[RunContent], title: str | None) -> str:
    """The page as text."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.globals.update(picture=_picture, video_uri=_video_uri, caption=_caption)
    source = resources.files("worldmodel.report").joinpath("template.html").read_text(encoding="utf-8")
    return environment.from_string(source).render(
        title=title or (f"World model: {run_name(runs[0])}" if len(runs) == 1 else "World models"),
        headline=headline(runs),
        overview=overview(runs) if len(runs) > 1 else None,
        runs=contents,
        max_videos=MAX_VIDEOS_PER_RUN,
    )


def _picture(path: Path) -> dict[str, Any]:
    """A PNG as a data URI, with its width and height in CSS pixels, read from its header."""
    content = path.read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    return {
        "uri": "data:image/png;base64," + base64.b64encode(content).decode(),
        "width": round(width / _PIXELS_PER_CSS_PIXEL),
        "height": round(height / _PIXELS_PER_CSS_PIXEL),
    }


def _video_uri(path: Path) -> str:
    """An MP4 as a data URI."""
    return "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode()


def _caption(path: Path) -> str:
    """`control_000.mp4` to `control 000`."""
    return path.stem.replace("_", " ")
