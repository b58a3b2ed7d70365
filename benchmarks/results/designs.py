"""What the simulator alone says can be identified: `worldmodel design`."""

from typing import Any

from benchmarks.results.sources import read_all


def details() -> str:
    """Bounds on any probe's R2 that the simulator gives, by window and noise, before and after the design."""
    designs = read_all("design-*.json")
    if not designs:
        return ""
    lines = [
        "",
        "## What can be identified before anything is learned",
        "",
        "Bounds on the R2 of any reader of one window, from `worldmodel design` (Fisher information of",
        "observed positions, initial state unknown, prior included), for windows of 40 and 64 control steps and",
        "positions seen within the noise stated or twice as much. Commands: docs/LOG.md.",
        "",
        "| world (noise) | excitation | constant | 40 | 40, noise x 2 | 64 | 64, noise x 2 | readable together |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for content in designs:
        for part in ("given", "designed"):
            lines += _design_rows(content, part) if part in content else []
    return "\n".join(lines) + "\n"


def _design_rows(content: dict[str, Any], part: str) -> list[str]:
    judged = content[part]
    noise = " / ".join(f"{sigma:g}" for sigma in sorted(set(content["observed"].values())))
    policy = judged["policy"]["name"] if part == "given" else f"`{judged['overrides']}`"
    grid = {
        (item["window_steps"], item["noise_ratio"]): item["r2_bound"] for item in judged["r2_bound_by_noise_and_steps"]
    }
    weak = len(judged["identifiable"]) < len(judged["r2_bound"])
    together = ", ".join(item["text"] for item in judged["combinations"]) if weak else ""
    rows = []
    for index, name in enumerate(judged["r2_bound"]):
        cells = [grid.get((steps, ratio), {}).get(name) for steps in (40, 64) for ratio in (1.0, 2.0)]
        values = " | ".join("" if cell is None else f"{cell:.3f}" for cell in cells)
        first = index == 0
        world = f"{content['env']} ({noise})" if first else ""
        rows.append(f"| {world} | {policy if first else ''} | {name} | {values} | {together if first else ''} |")
    return rows
