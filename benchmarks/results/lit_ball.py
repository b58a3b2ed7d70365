"""The lit ball: `worldmodel compare study=lit_ball`, its figure and its tables."""

from benchmarks.results.markdown import Row, digits, grid, lowest_first, mean_interval
from benchmarks.results.sources import records
from worldmodel.comparing import LitBallResult, PairCondition


def rows() -> list[Row]:
    """How well the factor read worse is read, after LeJEPA and after the others."""
    found = [record.result.conditions for record in records("lit-ball.json", LitBallResult)]
    if not found or "OU pairs" not in found[0]:
        return []
    methods = found[0]["OU pairs"].methods
    worst = {name: min(of.x, of.light, key=lambda r2: lowest_first(r2.mean)) for name, of in methods.items()}
    others = ", ".join(f"{name} {digits(of.mean, '.2f')}" for name, of in worst.items() if name != "lejepa")
    label = "ball and light told apart, R2 of the one read worse"
    value = f"{mean_interval(worst['lejepa'])} ({others})"
    return [(label, value, "", "`worldmodel compare study=lit_ball`")]


def details() -> str:
    """Ball and light by kind of pairs and method."""
    found = records("lit-ball.json", LitBallResult)
    if not found:
        return ""
    setup = found[0].result.setup
    blocks = [
        "## The lit ball: position and light, told apart?",
        f"`{found[0].command}`: {setup.scale} scale, {setup.num_seeds} seeds. Linear R2 on test episodes, then of the "
        "ball's position on frames out of the training distribution.",
    ]
    for name, condition in found[0].result.conditions.items():
        blocks += [f"**{name}**: {condition.explanation}.", _condition_grid(condition)]
    return "\n" + "\n\n".join(blocks) + "\n"


def _condition_grid(condition: PairCondition) -> str:
    shifts = list(next(iter(condition.methods.values())).x_under_shift)
    rows = {
        method: [
            mean_interval(row.x),
            mean_interval(row.light),
            *(digits(row.x_under_shift[shift].r2.mean) for shift in shifts),
        ]
        for method, row in condition.methods.items()
    }
    return grid(["method", "ball", "light", *shifts], rows)
