"""Goals and rewards, by protocol and by world: `worldmodel control`."""

from collections.abc import Sequence

from benchmarks.results.commands import Training, control_command, training
from benchmarks.results.markdown import Row, rated, shown_possible, with_interval
from benchmarks.results.sources import read_control, read_controls, read_runs
from worldmodel.runs import ControllerName, ControlResult

_EPISODE_STEPS = 1000
"""Control steps of an episode of dm_control's worlds, which protocol=reward takes by itself."""


def rows() -> list[Row]:
    """What control says the toolkit is for: unknown constants, and reacher by protocol."""
    return [*_lead_rows(), *_reacher_rows(), *_lewm_size_rows()]


def world_rows() -> list[Row]:
    """Other worlds under LeWM's protocol, each beside its oracle or what is published; and tasks by reward."""
    return [*_goal_rows(), *_far_rows(), *_reward_rows()]


def details() -> str:
    """Every evaluation of `worldmodel control out=docs/results/control-*.json`, beside what it is measured against."""
    found = read_controls()
    success = [(name, of) for name, of in found if not of.protocol.rewarded]
    rewarded = [(name, of) for name, of in found if of.protocol.rewarded]
    judged = [(name, of) for name, of in success if of.regret]
    tables = ((_success_table, success), (regret_table, judged), (return_table, rewarded))
    return "".join(table(rows) for table, rows in tables if rows)


def _lead_rows() -> list[Row]:
    """What an estimate of unknown constants is worth to control, once it has watched for a while."""
    rows: list[Row] = []
    for kind, what in (("lead", "all constant"), ("drift", "redrawn after 10 steps")):
        online, known, blind = (read_control(f"puck-{kind}-{of}") for of in ("online", "known", "blind"))
        if not online or not blind:
            continue
        label = f"goals held by pucks of unknown mass and friction ({what}), replanned every half second"
        best = f", known constants {_rate(known):.1%}" if known else ""
        value = f"{rated(online)} (no context {_rate(blind):.1%}{best})"
        drift = [] if online.drift_rho is None else [f"drift_rho={online.drift_rho:g}"]
        command = control_command(online, training("puck-base"), "protocol=strict", *drift)
        rows.append((label, value, "no context + 15 points, known - 3" if known else "", _with_tasks(command, online)))
    return rows


def _reacher_rows() -> list[Row]:
    """Goals reached and held, at growing distances."""
    rows: list[Row] = []
    for name, label, target in (
        ("lewm", "reacher from pixels, LeWM's protocol, goal images reached", "99 %"),
        ("strict25", "… goals held for 5 steps, 25 steps ahead", "98 %"),
        ("strict50", "… 50 steps ahead", "97 %"),
        ("strict100", "… 100 steps ahead", "95 %"),
        ("base-strict25", "… 25 steps ahead, after the longer training of size=base", "98 %"),
        ("base-strict50", "… 50 steps ahead, after the same training", "97 %"),
        ("base-strict100", "… 100 steps ahead, after the same training", "95 %"),
    ):
        if of := read_control(f"reacher-{name}"):
            trained = training("reacher-base" if name.startswith("base") else "reacher")
            strict = of.protocol.name != "lewm"
            options = (f"protocol={of.protocol.name}", f"goal_steps={of.protocol.goal_steps}") if strict else ()
            rows.append((label, rated(of), target, _with_tasks(control_command(of, trained, *options), of)))
    return rows


def _lewm_size_rows() -> list[Row]:
    """LeWM's planner on the same tasks: with the small model, and with one of LeWM's size."""
    rows: list[Row] = []
    if of := read_control("reacher-lewm_planner"):
        label = "the same tasks, the small model with LeWM's open-loop planner"
        rows.append((label, rated(of), "", f"`{_lewm_command('run=zoo/reacher', of)}`"))
    if of := read_control("reacher-lewm_size"):
        trained = Training("reacher", "lewm")
        what = f"`{_lewm_command(trained.runs(), of)}`"
        label = "… a model of LeWM's size with LeWM's planner"
        if runs := read_runs("reacher-lewm"):
            seconds = runs[0].train.seconds["encoder"] + runs[0].train.seconds["predictor"]
            label += f" after {seconds:.0f} s of training on a GPU, {of.latent.num_tasks} tasks"
            what = f"`{trained.command}`, then {what}"
        rows.append((label, rated(of), "86 %", what))
    return rows


def _lewm_command(run: str, of: ControlResult) -> str:
    """LeWM's planner, open loop: the last latent counts, and all 25 actions are executed."""
    plan = f"planner=lewm reduction={of.plan.reduction} replan_every={of.plan.replan_every}"
    dtype = "" if of.dtype == "float32" else f" dtype={of.dtype}"
    oracle = "" if "oracle" in of.controllers else " oracle=false"
    return f"worldmodel control {run} {plan} tasks={of.latent.num_tasks}{oracle}{dtype}"


def _goal_rows() -> list[Row]:
    """Goal images reached, world by world."""
    rows: list[Row] = []
    for name, target in (
        ("two_room", "100 %"),
        ("push_t", "96 %"),
        ("push_t-coarse", "96 %"),
        ("push_t-large", "96 %"),
        ("pendulum", ""),
        ("cartpole", ""),
        ("ball_in_cup", ""),
        ("finger", ""),
        ("point_mass", ""),
    ):
        if of := read_control(name):
            trained, oracle = training(name), of.controllers.get("oracle")
            if not target and oracle and oracle.success:
                target = f"oracle's {oracle.success.rate:.0%} less 5 points"
            own = of.protocol.goal_steps == 25 or trained.config.goal_s is not None
            ahead = [] if own else [f"goal_steps={of.protocol.goal_steps}"]
            beside = f" (random {_rate(of, 'random'):.0%})"
            label = _sized(trained) or f"{trained.world} from pixels, LeWM's protocol{beside}"
            if of.plan.lead_steps:
                label += f", {of.plan.lead_steps} steps watched first"
            rows.append((label, rated(of), target, _with_tasks(control_command(of, trained, *ahead), of)))
    return rows


def _far_rows() -> list[Row]:
    """Goals far ahead, planned to directly and in stages."""
    rows: list[Row] = []
    for kind in ("far", "far-subgoals"):
        if of := read_control(f"maze-{kind}"):
            ms = f"{of.cpu_ms_per_decision:.2f} ms a decision"
            what = "maze from pixels, goals at least a metre across its corridors, held for 5 steps"
            direct = f"{what}, planned to directly, {ms}"
            apart = ", ".join(f"{name}: {least:g}" for name, least in of.protocol.goal_apart.items())
            steps = (f"goal_steps={of.protocol.goal_steps}", f"budget_steps={of.protocol.budget_steps}")
            options = ("protocol=strict", *steps, f'goal_apart="{{{apart}}}"')
            command = _with_tasks(control_command(of, training("maze"), *options), of)
            rows.append((f"… in stages, {ms}" if of.plan.subgoals else direct, rated(of), "", command))
    return rows


def _reward_rows() -> list[Row]:
    """Returns, world by world."""
    rows: list[Row] = []
    for name in ("pendulum", "reacher", "point_mass"):
        if of := read_control(f"{name}-reward"):
            trained, budget = training(name), of.protocol.budget_steps
            beside = f" (random {returned(of, 'random', interval=False)})"
            label = f"{trained.world}'s own reward over {budget} steps, from pixels{beside}"
            shorter = [] if budget == _EPISODE_STEPS else [f"budget_steps={budget}"]
            options = ("protocol=reward", *shorter, f"tasks={of.latent.num_tasks}")
            command = f"`{control_command(of, trained, *options)}`"
            target = f"oracle's {returned(of, 'oracle', interval=False)}"
            rows.append((label, returned(of), target, command))
    return rows


def _sized(trained: Training) -> str:
    """The label of a training of another size under that of the world's default; empty for the default."""
    return f"… after the training of size={trained.size}" if trained.size else ""


def _with_tasks(command: str, of: ControlResult) -> str:
    """A command, and how many tasks it was given how many seeds to do."""
    num_runs = of.latent.num_runs
    return f"`{command}`, {of.latent.num_tasks} tasks x {num_runs} seed{'s' * (num_runs > 1)}"


# ---------------------------------------------------------------------------------------------------------------------
# tables


def _success_table(found: Sequence[tuple[str, ControlResult]]) -> str:
    lines = [
        "",
        "## Control by protocol",
        "",
        "Success with its 95 % Wilson interval, all training seeds together (in brackets: by seed); supervised: the "
        "same planner and predictor on latents of an encoder trained on true states; at start: tasks that were solved "
        "before the first step.",
        "",
        "| evaluation | tasks x seeds | pixels | by seed | random | at start | oracle | supervised | ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, of in found:
        success = of.latent.success
        assert success
        cells = [
            name if of.plan.metric == "l2" else f"{name} ({of.plan.metric})",
            f"{of.latent.num_tasks} x {of.latent.num_runs}",
            rated(of),
            ", ".join(f"{rate:.1%}" for rate in success.by_run),
            rated(of, "random"),
            "–" if of.solved_at_start is None else f"{of.solved_at_start:.1%}",
            shown_possible(of),
            rated(of, "supervised"),
            f"{of.cpu_ms_per_decision:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def regret_table(found: Sequence[tuple[str, ControlResult]]) -> str:
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
        regret, oracle = of.regret, of.controllers["oracle"]
        assert regret and regret.interval and oracle.success
        low, high = (100 * end for end in regret.interval)
        best, tasks = oracle.success.rate, f"{oracle.num_tasks} x {of.latent.num_runs}"
        gap = f"{100 * regret.value:.1f} [{low:.1f}, {high:.1f}]"
        lines.append(f"| {name} | {tasks} | {best:.1%} | {best - regret.value:.1%} | {gap} |")
    return "\n".join(lines) + "\n"


def return_table(found: Sequence[tuple[str, ControlResult]]) -> str:
    """What each evaluation by the world's own reward returned."""
    lines = [
        "",
        "### The world's own reward",
        "",
        "Mean return of an episode with its 95 % interval, over all training seeds; regret on the oracle's episodes.",
        "",
        "| evaluation | episodes x seeds | steps | from pixels | random | oracle | supervised | regret | ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, of in found:
        names: tuple[ControllerName, ...] = ("latent", "random", "oracle", "supervised")
        cells = [
            name,
            f"{of.latent.num_tasks} x {of.latent.num_runs}",
            str(of.protocol.budget_steps),
            *(returned(of, controller) for controller in names),
            with_interval(of.regret.value, of.regret.interval, ".0f") if of.regret else "–",
            f"{of.cpu_ms_per_decision:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def returned(of: ControlResult, name: ControllerName = "latent", interval: bool = True) -> str:
    """A controller's mean return with its interval; a dash where it was not run."""
    found = of.controllers.get(name)
    if found is None or found.returns is None:
        return "–"
    return with_interval(found.returns.mean, found.returns.interval if interval else None, ".0f")


def _rate(of: ControlResult, name: ControllerName = "latent") -> float:
    success = of.controllers[name].success
    assert success
    return success.rate
