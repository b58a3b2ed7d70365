"""What default runs decode and imagine: `python -m benchmarks.imagined`."""

from typing import Any

from benchmarks.results.markdown import Row, digits, with_interval
from benchmarks.results.sources import read_all

_COMMAND = '`python -m benchmarks.imagined run="runs/{}-s?"`'


def rows() -> list[Row]:
    """State that decoded frames keep, and imagined errors over what one frame allows, beside their targets."""
    rows: list[Row] = []
    for found in read_all("imagined-*.json"):
        world, command = found["world"], _COMMAND.format(found["world"])
        kept = found["share_kept"]
        label = f"{world}: R2 of the state read from decoded frames, over that from the camera's"
        rows.append((label, with_interval(kept["mean"], kept["interval"]), "0.97", command))
        for name, of in found["times_read"].items():
            label = f"{world}: imagined {name} {found['steps_ahead']} steps ahead, error over that of reading the frame"
            rows.append((label, with_interval(of["mean"], of["interval"], ".2f"), "1.5", command))
        if untrained := found.get("untrained_encoder"):
            seconds = untrained["cpu_s_of_the_command_that_adds_the_decoder"]
            label = f"{world}: CPU-seconds of the command that adds a decoder to a finished run"
            rows.append((label, f"{seconds:.0f}", "90", command))
    return rows


def details() -> str:
    """Seed by seed: pictures beside the nearest training frame, and errors in degrees or millimetres."""
    lines = [line for found in read_all("imagined-*.json") for line in _lines(found)]
    if not lines:
        return ""
    head = [
        "",
        "## Pictures and imagination",
        "",
        "Held-out frames decoded from their latents, beside the training frame of the nearest latent; mean R² of the",
        "state that the encoder reads from them, over that from the camera; mean error of the imagined state at the",
        "predictor's horizon with its 95 % interval, over that of reading the true frame; and how often the 95 %",
        "interval of a forecast holds the truth.",
        "",
        "| world | run | PSNR (dB) | nearest | SSIM | nearest | state kept | imagined error | over the true frame "
        "| covered |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *lines]) + "\n"


def _lines(found: dict[str, Any]) -> list[str]:
    lines = []
    for seed, (pictures, errors) in enumerate(zip(found["pictures"], found["errors"], strict=True)):
        imagined = ", ".join(
            f"{name} {with_interval(of['imagined'], of['imagined_interval'], '.2f')} {of['unit']}".strip()
            for name, of in errors.items()
        )
        ratios = ", ".join(digits(of["times_read"], ".2f") for of in errors.values())
        covered = ", ".join(digits(of.get("coverage"), ".0%") for of in errors.values())
        lines.append(_line(found["world"], f"seed {seed}", pictures, imagined, ratios, covered))
    if untrained := found.get("untrained_encoder"):
        lines.append(_line(found["world"], "untrained encoder", untrained, "–", "–", "–"))
    return lines


def _line(world: str, run: str, pictures: dict[str, Any], *rest: str) -> str:
    quality = (digits(pictures[name], ".1f") for name in ("psnr_db", "nearest_psnr_db"))
    alike = (digits(pictures[name], ".3f") for name in ("ssim", "nearest_ssim", "share_kept"))
    return f"| {' | '.join([world, run, *quality, *alike, *rest])} |"
