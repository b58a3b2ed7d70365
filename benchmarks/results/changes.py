"""Goals reached by robots that change in the middle of a task: `worldmodel control change=…`."""

from benchmarks.results.markdown import Row, digits, with_interval
from benchmarks.results.sources import read_changes
from worldmodel.runs import Success


def rows() -> list[Row]:
    """Every change that costs goals: what is left of them, and what adaptation wins back."""
    rows: list[Row] = []
    for found, of in read_changes():
        if of.won_back is None or of.unchanged.interval[0] <= of.fixed.rate:
            continue
        label = f"{found.world}, {of.change.in_words}: share of the lost success won back by adaptation"
        reached = f"goals held: {of.unchanged.rate:.0%}, changed {of.fixed.rate:.0%}, adapting {of.adapting.rate:.0%}"
        value = f"{with_interval(of.won_back, of.won_back_interval, '.2f')} ({reached})"
        asked = ".8" if any("mass" in name for name in of.change.times) else ""
        rows.append((label, value, asked, _command(found.runs)))
    return rows


def _command(runs: list[str]) -> str:
    several = f'"{runs[0][:-1]}?"' if len(runs) > 1 else runs[0]
    return f"`python -m benchmarks.changed_robots run={several}`"


def details() -> str:
    """Every evaluation of `control change=… out=docs/results/change-*.json`."""
    found = read_changes()
    if not found:
        return ""
    head = [
        "",
        "## Robots that change",
        "",
        "`python -m benchmarks.changed_robots run=…`: share of goals reached by the robot as it is, changed, and",
        "changed with `adapt=true`. Changes begin with the first step where no other is named. Mean constants: for",
        "runs that know constants, without estimating them. Possible: by the same planner on the true simulator of",
        "the changed robot. ms: of CPU for one decision, adapting.",
        "",
        "| world, runs x tasks | change | as it is | changed | mean constants | adapting | won back | possible | ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result, of in found:
        size = f"{result.world}, {len(result.runs)} x {result.latent.num_tasks}"
        cells = [size, of.change.in_words, _rate(of.unchanged), _rate(of.fixed), _rate(of.mean_context)]
        won_back = with_interval(of.won_back, of.won_back_interval, ".2f") if of.won_back is not None else digits(None)
        knowing = result.controllers.get("changed_oracle")
        cells += [
            _rate(of.adapting),
            won_back,
            _rate(knowing.success if knowing else None),
            f"{of.cpu_ms_per_decision:.2f}",
        ]
        head.append(f"| {' | '.join(cells)} |")
    return "\n".join(head) + "\n"


def _rate(of: Success | None) -> str:
    return with_interval(of.rate, of.interval, ".2f") if of else digits(None)
