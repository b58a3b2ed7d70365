"""Tasks of dm_control by their reward: `python -m benchmarks.rewards`."""

from typing import Any

from benchmarks.results.markdown import Row, digits, grid
from benchmarks.results.sources import read

_FILE = "rewards-dm_control.json"


def rows() -> list[Row]:
    """The return of every task beside the better of the published ones, and in how many it is reached."""
    found = read(_FILE)
    if not found:
        return []
    rows: list[Row] = []
    for task, of in found["tasks"].items():
        num, best = len(of["seeds"]), max(of["published"].values(), default=None)
        label = f"{task} by its reward from pixels, {found['control_steps']:,} control steps of data"
        value = f"{of['return']:.0f} of 1,000, {num} {'seed' if num == 1 else 'seeds'} (random {of['random']:.0f})"
        command = f'`python -m benchmarks.rewards "tasks=[{task}]" out=docs/results/{_FILE}`'
        rows.append((label, value, "–" if best is None else str(best), command))
    return rows


def details() -> str:
    """Every training: what it earned round by round, how well it foresees rewards, and what it cost."""
    found = read(_FILE)
    if not found:
        return ""
    columns = ["task, seed", "return", "random", "oracle", *_published(found), "recorded, then by round"]
    columns += ["R² of rewards: seen", "imagined", "CPU-hours", "chosen settings"]
    body = {
        f"{task} {seed}": _line(found, of, cell)
        for task, of in found["tasks"].items()
        for seed, cell in of["seeds"].items()
    }
    head = (
        f"A training in {found['rounds']} rounds, {found['control_steps']:,} control steps of the suite in all, then "
        f"{found['episodes']} episodes of 1,000 steps.\nRecorded and by round: mean reward of 1,000 steps of what was "
        "recorded, by random motion first and with noise in rounds.\nThe oracle is a planner that knows simulator and "
        "reward and looks as far ahead, one episode. Published figures are those of\narXiv:2203.04955 as others quote "
        "them.\n"
    )
    return f"\n## Tasks by their reward\n\n{head}\n{grid(columns, body)}\n"


def _published(found: dict[str, Any]) -> list[str]:
    """The methods of which figures are published."""
    return list(dict.fromkeys(name for of in found["tasks"].values() for name in of["published"]))


def _line(found: dict[str, Any], of: dict[str, Any], cell: dict[str, Any]) -> list[str]:
    returns, interval = cell["returns"]["mean"], cell["returns"]["interval"]
    hours = None if cell["train_cpu_h"] is None else cell["train_cpu_h"] + cell["control_cpu_h"]
    chosen = ", ".join(f"{name.rsplit('.', 1)[-1]} {value:g}" for name, value in cell["chosen"].items())
    return [
        f"{returns:.0f}" + (f" [{interval[0]:.0f}, {interval[1]:.0f}]" if interval else ""),
        f"{cell['random']:.0f}",
        digits(of["oracle"], ".0f"),
        *(digits(of["published"].get(name), ".0f") for name in _published(found)),
        ", ".join(f"{value:.0f}" for value in cell["by_round"]),
        digits(cell["reward_r2"], ".2f"),
        digits(cell["reward_r2_ahead"], ".2f"),
        digits(hours, ".2f"),
        chosen or "as they stand",
    ]
