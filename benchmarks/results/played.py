"""How often policies touch and move objects: `python -m benchmarks.play`."""

from benchmarks.results.markdown import Row, grid, with_interval
from benchmarks.results.sources import read

_COMMAND = "`python -m benchmarks.play out=docs/results/bench-play.json`"


def rows() -> list[Row]:
    """A row for each world: under play, and under the default excitation."""
    found = read("bench-play.json")
    return [
        (
            f"{_short(world)}: control steps in which an object is touched, `policy=play` / default excitation",
            " / ".join(f"{policies[label]['touched']['mean']:.0%}" for label in ("play", "default")),
            "–",
            _COMMAND,
        )
        for world, policies in (found["worlds"] if found else {}).items()
    ]


def details() -> str:
    """Every world and policy."""
    found = read("bench-play.json")
    if not found:
        return ""
    columns = ["world, policy", "touched", "moved", "episodes in which it moved", "CPU-ms a control step, unrendered"]
    body = {
        f"{_short(world)}, {label}": [
            *(with_interval(of[what]["mean"], of[what]["interval"], ".1%") for what in ("touched", "moved")),
            f"{of['episodes_moved']:.0%}",
            f"{of['cpu_ms_per_step']:.1f}",
        ]
        for world, policies in found["worlds"].items()
        for label, of in policies.items()
    }
    text = (
        "Share of control steps in which the robot touches an object (a gap under 2 mm), and in which a part of one "
        "moves by more than 1 mm;\nmean over episodes with its 95 % interval. `default` is the excitation of worlds "
        "without a recipe, `recipe` that of the world's own.\n"
    )
    return "\n".join(["", "## Objects touched and moved, by policy", "", text, grid(columns, body)]) + "\n"


def _short(world: str) -> str:
    return world.partition("?")[0]
