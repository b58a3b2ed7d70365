"""The sections of a page about pictures: what the model imagines, and what a latent looks like."""

from pathlib import Path

from worldmodel.reporting.elements import Cell, Chart, Line, Section, Table, interval, number, percent, plain, short
from worldmodel.reporting.reported_run import ReportedRun
from worldmodel.reporting.sections import command
from worldmodel.reporting.verdicts import decoding_verdict, imagine_verdict
from worldmodel.runs import DecodingResult, ImagineResult, StateErrors


def imagination_section(run: ReportedRun, figures: list[Path]) -> Section:
    """What the model expects to happen."""
    found = run.summary.imagine
    last = ""
    if found and found.disagreement:
        last = f" The last video shows what {len(found.runs)} runs imagine of the same episodes."
    elif found and len(found.videos) > 1:
        last = " The last video shows plans that the controller chose, carried out without a further look."
    return Section(
        "imagination",
        "What it imagines",
        "Held-out episodes: the camera's frames above what the model imagines, from the first frames and the actions "
        f"taken alone.{last}",
        "From +1 on the model sees nothing more. Blur is what it does not know. An error is read from the imagined "
        "latent; no forecast can be expected to be better than what is read from the true frame. A band is "
        "calibrated on validation episodes: it should hold the truth of 95 % of forecasts."
        if found
        else "From +1 on the model sees nothing more. Blur is what it does not know.",
        command(run, "imagine"),
        [
            *(figure for figure in figures if not found or not figure.stem.endswith(("errors", "paths"))),
            *(_charts(found) if found else []),
            *(_error_tables(found) if found else []),
        ],
        imagine_verdict(found) if found else "the command below measures how far off it is",
        run.videos["imagination"],
    )


def _charts(found: ImagineResult) -> list[Chart]:
    """The state along the futures that are drawn; then mean errors by how far it looks ahead."""
    paths = [
        Chart(
            f"Future {number}: {_with_unit(name, found.errors[name])}",
            "steps ahead",
            [Line("true", found.steps, of.true, "second"), Line("imagined", found.steps, of.imagined, "accent", *ends)],
            from_zero=False,
        )
        for number, future in enumerate(found.paths, 1)
        for name, of in future.items()
        for ends in [_band(of.imagined, found.errors[name].within)]
    ]
    return [*paths, *_error_charts(found)]


def _with_unit(name: str, of: StateErrors) -> str:
    return f"{plain(name)} ({of.unit})" if of.unit else plain(name)


def _band(values: list[float], half: list[float]) -> tuple[list[float], list[float]] | tuple[None, None]:
    if not half:
        return None, None
    pairs = list(zip(values, half, strict=True))
    return [value - width for value, width in pairs], [value + width for value, width in pairs]


def _error_charts(found: ImagineResult) -> list[Chart]:
    return [
        Chart(
            f"{_with_unit(name, of)}: mean error",
            "steps ahead",
            [
                Line("persistence", found.steps, of.persistence, "quiet"),
                Line("read from the true frame", found.steps, of.read, "second"),
                Line("imagined", found.steps, of.imagined, "accent", *_ends(of)),
            ],
        )
        for name, of in found.errors.items()
    ]


def _ends(of: StateErrors) -> tuple[list[float | None], list[float | None]]:
    low, high = zip(*(ends or (None, None) for ends in of.imagined_interval), strict=True)
    return list(low), list(high)


def _error_tables(found: ImagineResult) -> list[Table]:
    """Every error, a table a variable; and at the last step, all variables side by side."""
    headers = (
        "Variable",
        "Imagined",
        "Persistence",
        "True frame",
        "Imagined over true frame",
        "95 % interval",
        "95 % of errors below",
        "Covered in test",
    )
    rows = [
        [
            Cell(_with_unit(name, of)),
            *(short(values[-1]) for values in (of.imagined, of.persistence, of.read)),
            number(of.times_read, 2),
            interval(of.times_read_interval, 2),
            short(of.within[-1] if of.within else None),
            percent(of.coverage[-1] if of.coverage else None),
        ]
        for name, of in found.errors.items()
    ]
    windows = f"{found.num_windows} windows of {found.num_episodes} held-out episodes"
    seen = f"after {found.num_seen} frames that were seen; seed {found.seed}"
    tables = [Table(f"Mean error {found.steps[-1]} steps ahead, {windows}, {seen}", headers, rows)] if rows else []
    if found.disagreement:
        tables.append(_disagreement_table(found))
    return [*tables, *(_by_step(name, of, found) for name, of in found.errors.items())]


def _by_step(name: str, of: StateErrors, found: ImagineResult) -> Table:
    """All that is known of a variable, a row a step; also along the futures that are drawn, and of several runs."""
    unknown = [None] * len(found.steps)
    columns: dict[str, list[Cell]] = {
        "Steps ahead": [number(step, 0) for step in found.steps],
        "Imagined": [short(value) for value in of.imagined],
        "95 % interval": [interval(ends, 2) for ends in of.imagined_interval],
        "Persistence": [short(value) for value in of.persistence],
        "Frame itself": [short(value) for value in of.read],
        "95 % of errors below": [short(value) for value in of.within or unknown],
        "Covered in test": [percent(value) for value in of.coverage or unknown],
    }
    if runs := found.disagreement.get(name):
        columns |= {"Mean forecast of all runs": [short(value) for value in runs.mean_forecast]}
        columns |= {"Spread of the runs": [short(value) for value in runs.spread]}
    for index, future in enumerate(found.paths, 1):
        columns |= {f"Future {index}: true": [short(value) for value in future[name].true]}
        columns |= {f"Future {index}: imagined": [short(value) for value in future[name].imagined]}
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return Table(f"{_with_unit(name, of)}, mean error by step", tuple(columns), rows, folded=True)


def _disagreement_table(found: ImagineResult) -> Table:
    """At the last step, how runs that differ in their seed disagree."""
    headers = (
        "Variable",
        "Error of this run",
        "Error of the mean forecast",
        "Spread of the runs",
        "Rank correlation of spread and error",
    )
    rows = [
        [
            Cell(_with_unit(name, found.errors[name])),
            short(found.errors[name].imagined[-1]),
            short(of.mean_forecast[-1]),
            short(of.spread[-1]),
            number(of.foretells, 2),
        ]
        for name, of in found.disagreement.items()
    ]
    return Table(f"{found.steps[-1]} steps ahead, {', '.join(found.runs)} together", headers, rows)


def decoder_section(run: ReportedRun, figures: list[Path]) -> Section:
    """What comes back of a frame from its latent."""
    found = run.summary.train.decoding
    return Section(
        "decoder",
        "What a latent looks like",
        "Held-out frames, and what the decoder makes of their latents alone.",
        "What the latent does not hold is blurred: the decoder answers with the mean of all frames that it could be. "
        "State is read from a picture by the encoder and the same linear map; the camera's own is the most to expect.",
        command(run, "train"),
        [*figures, *(_picture_tables(found) if found else [])],
        decoding_verdict(found),
    )


def _picture_tables(found: DecodingResult) -> list[Table]:
    pictures = {"decoded from the latent": found.decoded, "training frame of the nearest latent": found.nearest}
    rows = [
        [Cell(label), number(of.psnr_db, 1), number(of.ssim, 3), number(of.mean_r2, 3, bar=True)]
        for label, of in pictures.items()
    ]
    caption = f"Pictures of {found.num_frames} held-out frames, {found.image_size} pixels a side"
    tables = [Table(caption, ("Picture", "PSNR (dB)", "SSIM", "State read from it, R²"), rows)]
    if found.camera_r2:
        readings = (found.camera_r2, found.decoded.state_r2 or {}, found.nearest.state_r2 or {})
        rows = [
            [Cell(plain(name)), *(number(of.get(name), 3, bar=of is found.camera_r2) for of in readings)]
            for name in found.camera_r2
        ]
        headers = ("Variable", "Camera", "Decoded", "Nearest")
        tables.append(Table("State that the encoder reads from each picture, R²", headers, rows))
    return tables
