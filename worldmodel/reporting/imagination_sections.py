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
    plans = " The last film shows plans that the controller chose, carried out without a further look." if found else ""
    return Section(
        "imagination",
        "What it imagines",
        "Held-out episodes: the camera's frames above what the model imagines, from the first frames and the actions "
        f"taken alone.{plans if found and len(found.videos) > 1 else ''}",
        "From +1 on the model sees nothing more. A blur is what it cannot tell. An error is read from the imagined "
        "latent; no forecast can be expected to be better than what is read from the frame itself."
        if found
        else "From +1 on the model sees nothing more. A blur is what it cannot tell.",
        command(run, "imagine"),
        [
            *(figure for figure in figures if not found or not figure.stem.endswith("errors")),
            *(_charts(found) if found else []),
            *(_error_tables(found) if found else []),
        ],
        imagine_verdict(found) if found else "",
        run.videos["imagination"],
    )


def _charts(found: ImagineResult) -> list[Chart]:
    return [
        Chart(
            f"{plain(name)}{f' ({of.unit})' if of.unit else ''}: mean error",
            "steps ahead",
            [
                Line("nothing moves", found.steps, of.persistence, "quiet"),
                Line("read from the frame itself", found.steps, of.read, "second"),
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
    headers = ("Variable", "Imagined", "Nothing moves", "Frame itself", "Imagined over frame itself", "95 % interval")
    headers = (*headers, "95 % of errors below", "Covered in test")
    rows = [
        [
            Cell(plain(name) + (f" ({of.unit})" if of.unit else "")),
            *(short(values[-1]) for values in (of.imagined, of.persistence, of.read)),
            number(of.times_read, 2),
            interval(of.times_read_interval, 2),
            *_bounds(of)[-1],
        ]
        for name, of in found.errors.items()
    ]
    windows = f"{found.num_windows} windows of {found.num_episodes} held-out episodes"
    seen = f"after {found.num_seen} frames that were seen; seed {found.seed}"
    tables = [Table(f"Mean error {found.steps[-1]} steps ahead, {windows}, {seen}", headers, rows)] if rows else []
    for name, of in found.errors.items():
        columns = zip(found.steps, of.imagined, of.imagined_interval, of.persistence, of.read, _bounds(of), strict=True)
        rows = [
            [number(step, 0), short(imagined), interval(ends, 2), short(still), short(read), *bound]
            for step, imagined, ends, still, read, bound in columns
        ]
        caption = f"{plain(name)}{f', {of.unit}' if of.unit else ''}"
        headers = ("Steps ahead", "Imagined", "95 % interval", "Nothing moves", "Frame itself")
        headers = (*headers, "95 % of errors below", "Covered in test")
        tables.append(Table(caption, headers, rows, folded=True))
    return tables


def _bounds(of: StateErrors) -> list[tuple[Cell, Cell]]:
    """At every step, what 95 % of errors should stay below, and how many did."""
    unknown = [None] * len(of.imagined)
    columns = zip(of.within or unknown, of.coverage or unknown, strict=True)
    return [(short(within), percent(coverage)) for within, coverage in columns]


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
