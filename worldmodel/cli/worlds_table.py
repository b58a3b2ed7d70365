"""The text of `worldmodel worlds`: a table of worlds, or a closer look at one."""

import textwrap
from collections.abc import Sequence
from functools import partial
from itertools import groupby

from worldmodel.cli.terminal import aligned, table
from worldmodel.designing import FactorView, WorldsResult, WorldSummary, WorldView
from worldmodel.system.printable import terminal_width


def worlds_lines(found: WorldsResult) -> str:
    """A table of worlds, or what one world is."""
    lines = [_view_lines(found.view) if found.view else table([_HEADS, *map(_row, found.worlds)])]
    if found.others:
        domains = groupby(found.others, key=lambda name: name.partition("-")[0])
        lines += ["", 'dm_control\'s tasks (worldmodel worlds env="walker-*" lists some of them like those above)']
        for domain, names in domains:
            told = f"{domain}: {', '.join(name.removeprefix(f'{domain}-') for name in names)}"
            lines.append(textwrap.fill(told, terminal_width(), initial_indent="  ", subsequent_indent="    "))
        told = f"recipes with another name than their world: {', '.join(found.recipes)}"
        lines += ["", textwrap.fill(told, terminal_width(), subsequent_indent="  ")]
        lines += ["any environment of Gymnasium: env=gym:ID, of another package env=gym:MODULE/ID"]
        lines += ["a scene or an environment of your own: env=path/to/file.py:FUNCTION"]
    if found.picture:
        lines.append(f"picture: {found.picture}")
    name = found.worlds[0].name
    lines.append(f"next: worldmodel train env={name}" if found.view else f"next: worldmodel worlds env={name}")
    return "\n".join(lines)


_SHOWN = 3
_NO_RECIPE = "none: train takes the default settings, and chooses the lag by short training runs (choose=[] keeps it)"
_EFFECT = (
    "effect: how far apart a random episode is with the factor 1.5 deviations of its prior below and above nominal, by "
    "the largest difference of a state variable, or the mean difference of a picture in levels of 255"
)
_HEADS = ("env", "about", "sizes", "actions", "state", "factors")


def _row(world: WorldSummary) -> tuple[str, ...]:
    known = ", ".join(world.sizes) if world.sizes else "default settings"
    return (world.name, world.kind, known, str(world.num_actions), str(world.num_states), _few(world.factors))


def _few(names: Sequence[str]) -> str:
    """The first names, and how many more there are: `worlds env=NAME` lists all of them."""
    shown = names if len(names) <= _SHOWN + 1 else names[:_SHOWN]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _view_lines(view: WorldView) -> str:
    summary = view.summary
    goals = ", ".join(f"{name} within {value:g}" for name, value in view.goal_tolerance.items())
    kind = {"goals": "goals", "reward": "a reward of its own", "poses": "poses, without physics"}[summary.kind]
    rows = [
        ("about", kind + (", and tells success" if view.tells_success else "")),
        ("recipe", f"sizes {', '.join(summary.sizes)}" if summary.sizes else _NO_RECIPE),
        (
            "actions",
            f"{summary.num_actions} numbers in [-1, 1], every {view.control_dt_s:g} s, for {view.time_limit_s:g} s",
        ),
        ("state", f"{summary.num_states} numbers: {', '.join(view.state_names)}"),
        (
            "goal reached",
            goals or "within a quarter of what each position moves in a second (control goal_tolerance={NAME: VALUE})",
        ),
        ("camera", f"{view.camera} (env.camera={' | '.join(view.cameras)})"),
    ]
    lines = [summary.name, aligned(_wrapped(rows))]
    if view.factors:
        lines += ["", "factors, randomised with env.randomize=[NAME]", _factor_table(view.factors)]
    if view.paths:
        lines += ["", "paths that become factors with env.factors={NAME: PATH}", _factor_table(view.paths)]
    if any(factor.effect for factor in (*view.factors, *view.paths)):
        lines.append(textwrap.fill(_EFFECT, terminal_width(), subsequent_indent="  "))
    return "\n".join(lines)


def _wrapped(rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Labels and values, long values on several lines: an arm with a gripper has forty numbers of state."""
    indent = 4 + max(len(label) for label, _ in rows)
    room = terminal_width() - indent
    wrap = partial(textwrap.wrap, width=room, break_long_words=False, break_on_hyphens=False)
    return [(label, f"\n{'':{indent}}".join(wrap(value))) for label, value in rows]


def _factor_table(factors: Sequence[FactorView]) -> str:
    """Those that act, a row each; the names of the others, which would be most of the lines."""
    acting = [factor for factor in factors if factor.effect]
    heads = ("name", "nominal", "unit", "what it changes", "effect")
    lines = [table([heads, *map(_factor_row, acting)])] if acting else []
    others = {
        "no effect seen under random actions": [factor.name for factor in factors if factor.effect == 0],
        "not measured, for want of seconds=": [factor.name for factor in factors if factor.effect is None],
    }
    for why, names in others.items():
        if names:
            told = f"{why}: {', '.join(_by_element(names))}"
            lines.append(textwrap.fill(told, terminal_width(), subsequent_indent="  ", break_on_hyphens=False))
    return "\n".join(lines)


def _by_element(paths: Sequence[str]) -> list[str]:
    """Paths with those of one element together, as a shell would write them: body.arm.{mass,com}."""
    found = []
    for element, group in groupby(paths, key=lambda path: path.rpartition(".")[0]):
        paths_of = list(group)
        properties = ",".join(path.rpartition(".")[2] for path in paths_of)
        found += [f"{element}.{{{properties}}}"] if element and len(paths_of) > 1 else paths_of
    return found


def _factor_row(factor: FactorView) -> tuple[str, ...]:
    unit = "of a state" if factor.kind == "physical" else "levels of a picture"
    what = "motion" if factor.kind == "physical" else "picture"
    if factor.description not in (factor.name, ""):
        what += f": {factor.description}"
    return (factor.name, f"{factor.nominal:.4g}", factor.unit, what, f"{factor.effect:.2g} {unit}")
