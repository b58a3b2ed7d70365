"""Bounds on the identification of constants, from the simulator alone: `worldmodel design`."""

from benchmarks.results.sources import records
from worldmodel.designing import DesignResult, ExcitationBounds


def details() -> str:
    """Bounds on any probe's R2 that the simulator gives, by window and noise, before and after the design."""
    designs = [record.result for record in records("design-*.json", DesignResult)]
    if not designs:
        return ""
    lines = [
        "",
        "## What can be identified before anything is learned",
        "",
        "Bounds on the R2 of any estimator from one window, from `worldmodel design` (Fisher information of observed",
        "positions, initial state unknown, prior included), for windows of 40 and 64 control steps and positions seen",
        "within the noise stated or twice as much. Commands: docs/LOG.md.",
        "",
        "| world (noise) | excitation | constant | 40 | 40, noise x 2 | 64 | 64, noise x 2 | readable together |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for found in designs:
        noise = " / ".join(f"{sigma:g}" for sigma in sorted(set(found.observed.values())))
        for part, bounds in found.excitations.items():
            policy = bounds.policy.name if part == "given" else f"`{bounds.policy.options}`"
            lines += _design_rows(f"{found.env} ({noise})", policy, bounds)
    return "\n".join(lines) + "\n"


def _design_rows(world: str, policy: str, bounds: ExcitationBounds) -> list[str]:
    """A row for each constant; world, policy and combinations stand in the first."""
    grid = {(item.window_steps, item.noise_ratio): item.r2_bound for item in bounds.r2_bound_by_noise_and_steps}
    weak = len(bounds.identifiable) < len(bounds.r2_bound)
    together = ", ".join(item.text for item in bounds.combinations) if weak else ""
    rows = []
    for index, name in enumerate(bounds.r2_bound):
        cells = [grid.get((steps, ratio), {}).get(name) for steps in (40, 64) for ratio in (1.0, 2.0)]
        values = " | ".join("" if cell is None else f"{cell:.3f}" for cell in cells)
        head, excitation, readable = (world, policy, together) if index == 0 else ("", "", "")
        rows.append(f"| {head} | {excitation} | {name} | {values} | {readable} |")
    return rows
