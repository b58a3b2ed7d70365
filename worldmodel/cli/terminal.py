"""A command's result in a few aligned lines for the terminal, with the same figures as on the page."""

from collections.abc import Mapping, Sequence

from worldmodel.measures.wording import DASH, digits, with_interval
from worldmodel.runs.choice_result import ChoiceResult
from worldmodel.runs.doubt_result import DoubtResult
from worldmodel.runs.identify_result import ConstantEstimate, IdentifyResult
from worldmodel.runs.imagine_result import ImagineResult
from worldmodel.runs.probe_result import ProbeResult
from worldmodel.runs.results import (
    CONTROLLER_LABELS,
    ChangeResult,
    ControllerResult,
    ControlResult,
    SurpriseResult,
    TrainResult,
    ViewResult,
)
from worldmodel.runs.robust_result import ENCODER_LABELS, LookResult, RobustResult


def aligned(rows: Sequence[tuple[str, str]]) -> str:
    """Labels and their values in two columns."""
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"  {label:<{width}}  {value}" for label, value in rows)


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows in aligned columns; a row may be shorter than the others."""
    widths = [max(len(row[k]) for row in rows if k < len(row)) for k in range(max(map(len, rows)))]
    lines = ("  ".join(f"{cell:<{widths[k]}}" for k, cell in enumerate(row)).rstrip() for row in rows)
    return "\n".join(lines)


def train_lines(found: TrainResult) -> str:
    """How well the latents determine the state, and the predictor's error."""
    rows = [("latents", f"{found.model.latent_dim}, by {found.model.encoder} with method={found.method}")]
    if found.identifiability:
        rows.append(("true state from latents, linear R2, held out", digits(found.identifiability.r2_h_to_z)))
    if found.robust:
        used = "used where the two disagree" if found.robust.used else "not used: it is worse on frames as they are"
        rows.append(("robust encoder, error on frames as they are", f"{digits(found.robust.error)}; {used}"))
    if found.prediction:
        steps, ratio = found.prediction.farthest
        rows.append((f"prediction error after {steps} steps / persistence", digits(ratio)))
        if off := found.prediction.steps_off:
            told = f"{off.mean:.1f} steps, by chance {off.chance:.1f}"
            rows.append((f"{off.steps_ahead} steps ahead, the frame that fits best is off by", told))
    if found.reward:
        ahead = f"{found.reward.horizon} steps ahead {digits(found.reward.r2_ahead)}"
        rows.append(("reward from latents, R2, held out", f"{digits(found.reward.r2)}, {ahead}"))
    if found.rounds:
        earned = ", ".join(f"{of.mean_return:.0f}" for of in found.rounds)
        rows.append(("return of an episode, by round", f"{earned} (first: {found.rounds[0].policy})"))
    if found.decoding:
        decoded, nearest = found.decoding.decoded, found.decoding.nearest
        beside = f"nearest training frame {digits(nearest.psnr_db, '.1f')} dB"
        rows.append(("frames decoded from latents, PSNR", f"{digits(decoded.psnr_db, '.1f')} dB, {beside}"))
    return "\n".join([aligned(rows), *([choice_lines(found.choice)] if found.choice else [])])


def choice_lines(found: ChoiceResult) -> str:
    """The settings that training chose by itself, one per line, and the cost of choosing."""
    cost = (
        f"{len(found.trainings)} short training runs, {found.share:.0%} of the training's cost, {found.seconds:.0f} s"
    )
    return "\n".join([f"settings chosen without labels, by {cost}", *(f"  {told}" for told in found.sentences())])


def achievement(found: ControllerResult) -> str:
    """Share of tasks solved, or mean return, with its interval."""
    if found.success:
        return with_interval(found.success.rate, found.success.interval, ".1%")
    assert found.returns
    flag = f", success by its own flag {found.own_success.rate:.0%}" if found.own_success else ""
    return with_interval(found.returns.mean, found.returns.interval, ".0f") + flag


def control_lines(found: ControlResult, of_runs: Mapping[str, ControlResult]) -> str:
    """The success of the latent planner with each run, and of other controllers for comparison."""
    protocol, latent = found.protocol, found.latent
    told = "the reward head" if protocol.by_head else "a picture of the state that earns it"
    what = f"return, planned by {told}" if protocol.rewarded else f"goals reached, {protocol.goal_steps} steps ahead"
    head = f"protocol {protocol.name}, {latent.num_tasks} tasks of {protocol.budget_steps} steps: {what}"
    rows = [(f"{CONTROLLER_LABELS['latent']}, {run}", achievement(of.latent)) for run, of in of_runs.items()]
    if len(of_runs) > 1:
        rows.append(("all runs together", achievement(latent)))
    rows += [(CONTROLLER_LABELS[name], achievement(of)) for name, of in found.controllers.items() if name != "latent"]
    if protocol.goal_tolerance:
        near = ", ".join(f"{name} {value:g}" for name, value in protocol.goal_tolerance.items())
        rows.append(("counts as reached within (rad or m)", near))
    rows.append(("CPU time of one decision", f"{found.cpu_ms_per_decision:.2f} ms"))
    if found.doubt:
        rows.append(("start or goal unlike training", _doubt(found.doubt)))
    if found.change:
        rows += _change(found.change)
    return f"{head}\n{aligned(rows)}"


def _change(found: ChangeResult) -> list[tuple[str, str]]:
    """What a change in the middle of the tasks costs, and what adaptation wins back."""
    rows = [("latent MPC, the robot as it is", found.unchanged), (f"  {found.change.in_words}", found.fixed)]
    rows += [("  the same with mean constants", found.mean_context)] if found.mean_context else []
    rows.append(("  the same with adaptation", found.adapting))
    told = [(label, with_interval(of.rate, of.interval, ".1%")) for label, of in rows]
    if found.won_back is not None:
        told.append(("  share of the lost success won back", with_interval(found.won_back, found.won_back_interval)))
    return [*told, ("  CPU time of one decision with adaptation", f"{found.cpu_ms_per_decision:.2f} ms")]


def _doubt(found: DoubtResult) -> str:
    """How many tasks were doubted, and whether those that failed were."""
    area = "" if found.auroc is None else f"; AUROC for failure {with_interval(found.auroc, found.auroc_interval)}"
    return f"{found.doubted:.0%} of the tasks{area}"


def view_lines(found: ViewResult) -> str:
    """Length and rate of a view, and the goals reached in it."""
    rate = "" if found.steps_per_s is None else f", up to {found.steps_per_s:.0f} a second with everything shown"
    rows = [("control steps", f"{found.steps}{rate}"), ("first picture after", f"{found.first_picture_s:.1f} s")]
    if finished := found.goals_reached + found.goals_given_up:
        rows.append(("goals reached", f"{found.goals_reached} of {finished}"))
    if found.replay:
        rows.append(("recording", f"{found.replay} (open it in a browser; it needs no server)"))
    return aligned(rows)


def imagine_lines(found: ImagineResult) -> str:
    """Error of every imagined state variable at the last step, beside persistence and what one frame shows."""
    rows = [("", "imagined", "read from the true frame", "persistence", "95 % of errors below (in test)")]
    for name, of in found.errors.items():
        label = f"{name} ({of.unit})" if of.unit else name
        error = with_interval(of.imagined[-1], of.imagined_interval[-1], ".3g")
        most = f"{of.within[-1]:.3g} ({of.coverage[-1]:.0%})" if of.within else DASH
        rows.append((f"  {label}", error, f"{of.read[-1]:.3g}", f"{of.persistence[-1]:.3g}", most))
    windows = f"{found.num_windows} windows of {found.num_episodes} held-out episodes"
    head = f"mean error of the imagined state {found.steps[-1]} steps ahead, {windows}"
    return f"{head}\n{table(rows)}" if found.errors else "the data hold no state, so there are videos and no errors"


def probe_lines(found: ProbeResult) -> str:
    """R2 of every probed variable by a linear and an MLP probe, on held-out episodes."""
    rows = [
        (name, f"{with_interval(of.r2_linear, of.r2_linear_interval)}, MLP {digits(of.r2_mlp)}")
        for name, of in found.variables.items()
    ]
    if found.correlations:
        count = found.correlations.count
        number = f"cannot be determined: {count.reason}" if count.num_constants is None else str(count.num_constants)
        rows.append(("constants found without labels", number))
    return f"linear R2 on held-out episodes\n{aligned(rows)}"


def surprise_lines(found: SurpriseResult) -> str:
    """How well surprise tells each event from its absence, over pairs of trajectories."""
    rows = [
        (name, f"AUROC {digits(of.auroc)}, p = {digits(of.p_wilcoxon, '.1e')}") for name, of in found.events.items()
    ]
    return f"{found.num_trajectories} pairs of trajectories with and without an event\n{aligned(rows)}"


def identify_lines(found: IdentifyResult) -> str:
    """Every constant with its interval, known products, fitted nuisances, and the simulators' prediction errors."""
    steps = ", ".join(str(used.steps) for used in found.recordings)
    lines = [f"{found.world}: {len(found.recordings)} recording(s) of {steps} control steps; 95 % intervals"]
    lines.append(aligned([(_constant_label(constant), _constant_value(constant)) for constant in found.constants]))
    others = [(item.text, with_interval(item.value, item.interval, ".4g")) for item in found.combinations]
    for nuisance in found.nuisances:
        label = f"{nuisance.name} of {nuisance.recording}" + (f" ({nuisance.unit})" if nuisance.unit != "1" else "")
        others.append((label, with_interval(nuisance.value, nuisance.interval, ".4g")))
    if others:
        lines.append(aligned(others))
    fit = found.fit
    lines.append(
        f"misfit {fit.misfit:.2f} (limit {fit.misfit_limit:.2f}), {fit.iterations} iterations, "
        f"{found.cpu_seconds:.2f} CPU s"
    )
    for joint, by_simulator in found.check.rms.items() if found.check else ():
        errors = ", ".join(f"{name} {of[-1]:.4g} after {len(of)} steps" for name, of in by_simulator.items())
        lines.append(f"{joint} predicted, RMS error: {errors}")
    for number, of in enumerate(found.rounds, 1):
        shares = ", ".join(f"{name} {share:.2f}" for name, share in of.shrunk_to.items())
        lines.append(f"round {number}, {of.policy}:\n  intervals shrank to {shares} of their width")
    if found.next:
        shares = ", ".join(f"{name} {share:.2f}" for name, share in found.next.shrinks_to.items())
        lines.append(f"what to record next: {found.next.policy}\n  intervals would shrink to {shares} of their width")
    return "\n".join(lines)


def _constant_label(found: ConstantEstimate) -> str:
    of = "" if found.recording is None else f" of {found.recording}"
    return f"{found.name}{of}" + (f" ({found.unit})" if found.unit != "1" else "")


def _constant_value(found: ConstantEstimate) -> str:
    beside = [f"nominal {found.nominal:.4g}"] + ([] if found.true is None else [f"true {found.true:.4g}"])
    words = {"well": "", "in part": ", known in part", "not": ", not determined by this recording"}
    return f"{with_interval(found.value, found.interval, '.4g')}, {', '.join(beside)}{words[found.known]}"


def robust_lines(found: RobustResult) -> str:
    """Goals reached, positions and constants read under every look, encoder by encoder."""
    protocol, parts = found.protocol, []
    instances = f"{found.instances} instance{'s' if found.instances > 1 else ''} of each look"
    head = f"protocol {protocol.name}, {protocol.budget_steps} steps, {instances}"
    for encoder, looks in found.encoders.items():
        heads = (f"  {ENCODER_LABELS[encoder]}", "goals reached", "share of clean", "R2 of positions")
        heads = (*heads, *(f"of {name}" for name in looks[0].constants))
        parts.append(table([heads, *map(_under_look, looks)]))
        if encoder in found.doubt:
            parts.append(f"  start or goal unlike training: {_doubt(found.doubt[encoder])}")
    return "\n".join([head, *parts])


def _under_look(found: LookResult) -> tuple[str, ...]:
    reached = with_interval(found.success.rate, found.success.interval, ".0%") if found.success else DASH
    hidden = (f"{found.num_hidden} tasks left out: the look hides what differs",) if found.num_hidden else ()
    constants = (digits(r2, ".2f") for r2 in found.constants.values())
    return (f"  {found.label}", reached, digits(found.kept, ".2f"), digits(found.r2, ".2f"), *constants, *hidden)
