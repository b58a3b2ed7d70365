"""The audited board: `worldmodel control protocol=clear_…` on push_t, reacher, two_room and OGBench's cube."""

from benchmarks.results.commands import control_command, training
from benchmarks.results.markdown import rated, shown_possible
from benchmarks.results.sources import read_control

PUBLISHED = {
    "clear_moderate": {"push_t": "93 / 7", "reacher": "90 / 17", "two_room": "61 / 2", "cube": "43 / 4"},
    "clear_strict": {"push_t": "79 / 2", "reacher": "36 / 4", "two_room": "24 / 0", "cube": "18 / 3"},
    "clear08_moderate": {"push_t": "86.7", "reacher": "79.7", "two_room": "83.0", "cube": "50.3 / 15.7"},
    "clear08_strict": {"push_t": "70.7", "reacher": "87.0", "two_room": "51.3", "cube": "21.7 / 6.0"},
}
"""Protocol -> world -> success of LeWM's checkpoints and, where it is published beside it, of random actions, in
percent: CLEAR-LeWM 0.3 and 0.8."""


def details() -> str:
    """A table of every protocol and world that was measured."""
    lines = [
        "",
        "## The audited board",
        "",
        "[CLEAR-LeWM](https://github.com/DavidSunok/CLEAR-LeWM) audits the tasks that judge LeWM. Its rules are "
        "applied here to this toolkit's own worlds and tasks, with distances in proportion to the "
        "board's size; so compare each figure with its own random actions first. Version 0.3 (`clear_`) scores the "
        "block alone, which must move 25 or 50 px and be held for 3 or 5 steps; version 0.8 (`clear08_`) is nearer to "
        "LeWM's own rules in `moderate`. Success in percent, with its 95 % interval.",
        "",
        "| world | protocol | goals reached | random | oracle | LeWM / random, audited | command |",
        "|---|---|---|---|---|---|---|",
    ]
    num_lines = len(lines)
    for protocol, worlds in PUBLISHED.items():
        for world, theirs in worlds.items():
            if of := read_control(f"{world}-{protocol}"):
                command = control_command(of, training(world), f"{protocol=!s}")
                cells = [world, of.protocol.name, rated(of), rated(of, "random"), shown_possible(of), theirs]
                lines.append(f"| {' | '.join(cells)} | `{command}` |")
    return "\n".join(lines) + "\n" if len(lines) > num_lines else ""
