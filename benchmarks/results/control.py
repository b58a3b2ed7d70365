"""Goals and rewards, by protocol and by world: `worldmodel control`."""

import re
from collections.abc import Sequence
from typing import Any

from benchmarks.results.markdown import Row, with_interval
from benchmarks.results.sources import read, read_named
from worldmodel.settings import ControlConfig


def rows() -> list[Row]:
    """What control says the toolkit is for: unknown constants, and reacher by protocol."""
    return [*_lead_rows(), *_reacher_rows(), *_lewm_size_rows()]


def world_rows() -> list[Row]:
    """Other worlds under LeWM's protocol, each beside its oracle or what is published; and tasks by reward."""
    return [*_goal_rows(), *_reward_rows()]


def details() -> str:
    """Every evaluation of `worldmodel control out=docs/results/control-*.json`, beside what it is measured against."""
    found = read_named("control-")
    success = [(name, of) for name, of in found if not of["protocol"]["rewarded"]]
    rewarded = [(name, of) for name, of in found if of["protocol"]["rewarded"]]
    judged = [(name, of) for name, of in success if "regret" in of]
    tables = ((_success_table, success), (regret_table, judged), (return_table, rewarded))
    return "".join(table(rows) for table, rows in tables if rows)


def _lead_rows() -> list[Row]:
    """What an estimate of unknown constants is worth to control, once it has watched for a while."""
    rows: list[Row] = []
    for kind, what in (("lead", "all constant"), ("drift", "redrawn after 10 steps")):
        online, known, blind = (read(f"control-puck-{kind}-{of}.json") for of in ("online", "known", "blind"))
        if not online or not blind:
            continue
        label = f"goals held by pucks of unknown mass and friction ({what}), replanned every half second"
        best = f", known constants {known['success_rate']:.1%}" if known else ""
        value = f"{_rated(online, '')} (no context {blind['success_rate']:.1%}{best})"
        command = (
            f"`worldmodel control protocol=strict replan_every=5 lead_steps={online['lead_steps']}`, "
            f"{online['num_tasks']} tasks x {online['num_runs']} seed{'s' * (online['num_runs'] > 1)}"
        )
        rows.append((label, value, "no context + 15 points, known - 3" if known else "", command))
    return rows


def _reacher_rows() -> list[Row]:
    """Goals reached and held, at growing distances."""
    rows: list[Row] = []
    for name, label, target in (
        ("lewm", "reacher from pixels, LeWM's protocol, goal images reached", "99 %"),
        ("strict25", "… goals held for 5 steps, 25 steps ahead", "98 %"),
        ("strict50", "… 50 steps ahead", "97 %"),
        ("strict100", "… 100 steps ahead", "95 %"),
        ("full-strict25", "… 25 steps ahead, after the longer training of reacher_full", "98 %"),
        ("full-strict50", "… 50 steps ahead, the same", "97 %"),
        ("full-strict100", "… 100 steps ahead, the same", "95 %"),
    ):
        if of := read(f"control-reacher-{name}.json"):
            protocol = f"protocol={of['protocol']['name']} goal_steps={of['goal_steps']}"
            run = f"run={_runs('reacher_full', of)} " if name.startswith("full") else ""
            command = f"`worldmodel control {run}experiment=fast_planner {protocol}{_own_options(of)}`"
            rows.append((label, _rated(of, ""), target, f"{command}, {of['num_tasks']} tasks x {of['num_runs']} seeds"))
    return rows


def _lewm_size_rows() -> list[Row]:
    """LeWM's planner on the same tasks: with the small model, and with one of LeWM's size."""
    rows: list[Row] = []
    for name, label, target, run in (
        (
            "lewm_planner",
            "the same tasks, the small model with LeWM's open-loop planner",
            "",
            "pretrained/reacher",
        ),
        ("lewm_size", "… a model of LeWM's size with LeWM's planner", "86 %", "runs/lewm_size"),
    ):
        if of := read(f"control-reacher-{name}.json"):
            options = f"tasks={of['num_tasks']}{_common_options(of)}"
            what = f"`worldmodel control run={run} experiment=lewm_planner {options}`"
            if trained := read(f"{name}-seed0.json"):
                seconds = trained["seconds"]["encoder"] + trained["seconds"]["predictor"]
                label += f" after {seconds:.0f} s of training on a GPU, {of['num_tasks']} tasks"
                what = f"`{trained['commands']['train']}`, then {what}"
            rows.append((label, _rated(of, ""), target, what))
    return rows


def _goal_rows() -> list[Row]:
    """Goal images reached, world by world."""
    rows: list[Row] = []
    for world, target in (
        ("two_room", "100 %"),
        ("push_t", "96 %"),
        ("push_t_full", "96 %"),
        ("push_t_large", "96 %"),
        ("push_t_cpu", "96 %"),
        ("pendulum", ""),
        ("cartpole", ""),
        ("cartpole_full", ""),
        ("ball_in_cup", ""),
        ("finger", ""),
        ("finger_full", ""),
        ("point_mass", ""),
    ):
        if of := read(f"control-{world}.json"):
            target = target or f"oracle's {of['oracle_success_rate']:.0%} less 5 points"
            seeds = f"{of['num_runs']} seed{'s' * (of['num_runs'] > 1)}"
            ahead = "" if of["goal_steps"] == 25 else f" goal_steps={of['goal_steps']}"
            command = f"`worldmodel control run={_runs(world, of)} experiment=fast_planner{ahead}{_own_options(of)}`"
            of_world = f"{_default_run(world)} from pixels, LeWM's protocol"
            label = _longer(world) or f"{of_world} (random {of['random_success_rate']:.0%})"
            if watched := of.get("lead_steps"):
                label += f", {watched} steps watched first"
            rows.append((label, _rated(of, ""), target, f"{command}, {of['num_tasks']} tasks x {seeds}"))
    return rows


def _reward_rows() -> list[Row]:
    """Returns, world by world."""
    rows: list[Row] = []
    for world in ("pendulum", "pendulum_full", "reacher", "point_mass"):
        if of := read(f"control-{world}-reward.json"):
            steps = f"{of['budget_steps']} steps"
            own = f"{world}'s own reward over {steps}, from pixels (random {of['random_return']:.0f})"
            label = _longer(world, "-reward") or own
            tasks = f"budget_steps={of['budget_steps']} tasks={of['num_tasks']}{_own_options(of)}"
            command = f"`worldmodel control run={_runs(world, of)} protocol=reward experiment=fast_planner {tasks}`"
            rows.append((label, _returned(of, "return"), f"oracle's {of['oracle_return']:.0f}", command))
    return rows


def _runs(name: str, of: dict[str, Any]) -> str:
    """What `run=` was: a run, or the runs of several seeds (`seed=0 name=…-s0` and so on)."""
    return f"runs/{name}" if of["num_runs"] == 1 else f'"runs/{name}-s?"'


def _longer(world: str, kind: str = "") -> str:
    """The label of an experiment's run under the default run's; empty for the latter, and where it is missing."""
    default = _default_run(world)
    below = world != default and read(f"control-{default}{kind}.json")
    return f"… after the longer training of {world}" if below else ""


def _default_run(experiment: str) -> str:
    """The world of `experiment=…_full`, `…_large` and `…_cpu`, which its default run is called after."""
    return re.sub("_(full|large|cpu)$", "", experiment)


def _common_options(of: dict[str, Any]) -> str:
    """Options that every evaluation may have: no oracle beside it, and another type of a plan's products."""
    oracle = "" if "oracle_success_rate" in of or "oracle_return" in of else " oracle=false"
    dtype = of.get("dtype", ControlConfig.dtype)  # evaluations of before it was recorded had the default
    return oracle + (f" dtype={dtype}" if dtype != ControlConfig.dtype else "")


def _own_options(of: dict[str, Any]) -> str:
    """The options of `worldmodel control experiment=fast_planner` by which an evaluation differs from it."""
    planner, all_or_default = of["planner"], min(of["num_tasks"], ControlConfig.oracle_tasks)
    options = {
        "reduction": (of["reduction"], "sum"),
        "metric": (of["metric"], "l2"),
        "planner.horizon": (planner["horizon"], 15),
        "planner.action_block": (planner["action_block"], 1),
        "planner.num_samples": (planner["num_samples"], 32),
        "planner.num_iterations": (planner["num_iterations"], 3),
        "planner.num_elites": (planner["num_elites"], 4),
        "lead_steps": (of.get("lead_steps", 0), 0),
        "oracle_tasks": (of.get("oracle_num_tasks", all_or_default), all_or_default),
    }
    changed = "".join(f" {name}={value}" for name, (value, default) in options.items() if value != default)
    return changed + _common_options(of)


def _success_table(found: Sequence[tuple[str, dict[str, Any]]]) -> str:
    lines = [
        "",
        "## Control by protocol",
        "",
        "Success with its 95 % Wilson interval, all training seeds together (in brackets: by seed); supervised: the "
        "same planner and predictor on latents of an encoder that was told the true state; at start: tasks that took "
        "nothing to solve.",
        "",
        "| evaluation | tasks x seeds | pixels | by seed | random | at start | oracle | supervised | ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, of in found:
        by_seed = ", ".join(f"{rate:.1%}" for rate in of["success_by_run"])
        cells = [
            name if of["metric"] == "l2" else f"{name} ({of['metric']})",
            f"{of['num_tasks']} x {of['num_runs']}",
            _rated(of, ""),
            by_seed,
            _rated(of, "random_"),
            f"{of['solved_at_start']:.1%}" if "solved_at_start" in of else "–",
            _rated(of, "oracle_"),
            _rated(of, "supervised_"),
            f"{of['cpu_ms_per_decision']:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def regret_table(found: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """What each evaluation leaves to the oracle, in points."""
    lines = [
        "",
        "### Regret",
        "",
        "What the true state and simulator would add to the same planner, on the oracle's own tasks, in points, with "
        "Newcombe's 95 % interval; the target is at most 5 where the oracle solves them.",
        "",
        "| evaluation | oracle's tasks x seeds | oracle | pixels | regret |",
        "|---|---|---|---|---|",
    ]
    for name, of in found:
        low, high = (100 * end for end in of["regret_interval"])
        tasks = f"{of['oracle_num_tasks']} x {of['num_runs']}"
        oracle, regret = of["oracle_success_rate"], of["regret"]
        lines.append(
            f"| {name} | {tasks} | {oracle:.1%} | {oracle - regret:.1%} | {100 * regret:.1f} [{low:.1f}, {high:.1f}] |"
        )
    return "\n".join(lines) + "\n"


def return_table(found: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """What each evaluation by the world's own reward returned."""
    lines = [
        "",
        "### The world's own reward",
        "",
        "Mean return of an episode with its 95 % interval, of all training seeds together; regret on the oracle's "
        "episodes.",
        "",
        "| evaluation | episodes x seeds | steps | from pixels | random | oracle | supervised | regret | ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, of in found:
        keys = ("return", "random_return", "oracle_return", "supervised_return", "regret")
        cells = [
            name,
            f"{of['num_tasks']} x {of['num_runs']}",
            str(of["budget_steps"]),
            *(_returned(of, key) for key in keys),
            f"{of['cpu_ms_per_decision']:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _returned(content: dict[str, Any], key: str) -> str:
    if key not in content:
        return "–"
    return with_interval(content[key], content[f"{key}_interval"], ".0f")


def _rated(content: dict[str, Any], prefix: str) -> str:
    if f"{prefix}success_rate" not in content:
        return "–"
    return with_interval(content[f"{prefix}success_rate"], content[f"{prefix}success_interval"], ".1%")
