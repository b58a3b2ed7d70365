"""The lit ball: `worldmodel compare study=lit_ball`, its figure and its tables."""

from benchmarks.results.markdown import Row, grid, lowest_first, mean_interval, told
from benchmarks.results.sources import read


def rows() -> list[Row]:
    """How well the factor read worse is read, after LeJEPA and after the others."""
    content = read("lit-ball.json")
    if not content or "OU pairs" not in content["conditions"]:
        return []
    methods = content["conditions"]["OU pairs"]["methods"]
    worst = {
        name: min((row["x"], row["light"]), key=lambda found: lowest_first(found["mean"]))
        for name, row in methods.items()
    }
    others = ", ".join(f"{name} {told(found['mean'], '.2f')}" for name, found in worst.items() if name != "lejepa")
    label = "ball and light told apart, R2 of the one read worse"
    value = f"{mean_interval(worst['lejepa'])} ({others})"
    return [(label, value, "", "`worldmodel compare study=lit_ball`")]


def details() -> str:
    """S4: ball and light by kind of pairs and method."""
    content = read("lit-ball.json")
    if content is None:
        return ""
    blocks = [
        "## The lit ball: position and light, told apart?",
        f"`{content['command']}`: {content['scale']} scale, {content['num_seeds']} seeds. Linear R2 on test episodes, "
        "then of the ball's position on frames out of the training distribution.",
    ]
    for name, condition in content["conditions"].items():
        shifts = list(next(iter(condition["methods"].values()))["x_under_shift"])
        rows = {
            method: [
                mean_interval(row["x"]),
                mean_interval(row["light"]),
                *(told(row["x_under_shift"][shift]["r2"]["mean"]) for shift in shifts),
            ]
            for method, row in condition["methods"].items()
        }
        blocks += [f"**{name}**: {condition['explanation']}.", grid(["method", "ball", "light", *shifts], rows)]
    return "\n" + "\n\n".join(blocks) + "\n"
