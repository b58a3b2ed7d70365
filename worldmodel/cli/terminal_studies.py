"""The results of `design`, `positions` and `compare` as the terminal shows them."""

from worldmodel.comparing import CompareResult, LitBallResult, MethodRow
from worldmodel.designing import DesignResult, ExcitationBounds
from worldmodel.designing.design_result import LARGEST_NONLINEARITY, SHARE_OUTSIDE
from worldmodel.evaluation.positions import ConstantReading, PositionsResult
from worldmodel.measures import digits, mean_known, with_interval


def design_lines(found: DesignResult) -> str:
    """Bounds on every constant under each excitation, and the options that choose the better one."""
    observed = ", ".join(f"{name} ±{noise:g}" for name, noise in found.observed.items())
    check = found.finite_difference
    lines = [
        f"{found.env}: windows of {found.window_steps} steps ({found.control_dt_s:g} s each), observed {observed}; "
        "initial state unknown",
        f"finite differences: step {check.step:g}, segments of {check.segment_steps} steps, error {check.error:.1e}, "
        f"nonlinearity {check.nonlinearity:.1%}",
    ]
    if check.nonlinearity > LARGEST_NONLINEARITY:
        lines.append("warning: the motion is not linear even over so short segments: these bounds are local")
    for name, bounds in found.excitations.items():
        lines += ["", *_excitation_lines(name, bounds, found.identifiable_r2)]
    if found.gain and found.designed:
        nats = with_interval(found.gain.logdet_nats_per_episode, found.gain.logdet_nats_interval, "+.2f")
        lines += [
            "",
            f"gain {nats} nats an episode, worst bound {found.gain.worst_r2_bound:+.3f}, "
            "on trajectories the search has not seen",
            f"use: {found.designed.policy.options}",
        ]
    return "\n".join(lines)


def _excitation_lines(name: str, bounds: ExcitationBounds, threshold: float) -> list[str]:
    width = max(map(len, bounds.r2_bound))
    lines = [f"{name} excitation, {bounds.policy.name}: bound on R2 of one window, of all of an episode's"]
    for constant, bound in bounds.r2_bound.items():
        verdict = "" if bound >= threshold else "   not identifiable"
        shown = with_interval(bound, bounds.r2_bound_interval[constant])
        lines.append(f"  {constant:<{width}}  {shown}   {bounds.r2_bound_episode[constant]:.3f}{verdict}")
    if len(bounds.identifiable) < len(bounds.r2_bound) and bounds.combinations:
        combined = [f"{item.text} ({item.r2_bound:.3f})" for item in bounds.combinations]
        lines.append(f"  readable together: {', '.join(combined)}")
    if bounds.share_outside > SHARE_OUTSIDE:
        lines.append(f"  {bounds.share_outside:.0%} of the frames are beyond what the atlas holds")
    return lines


def positions_lines(found: PositionsResult) -> str:
    """R2 of every constant by method, beside the bound; in brackets by an MLP, and out of range."""
    lines = [
        f"{found.env}: windows of {found.window_steps} steps, positions within {found.noise.m:g} m or "
        f"{found.noise.rad:g} rad, {found.episodes} episodes, {found.num_seeds} seeds; linear R2 of one window (MLP; "
        "constants 2 to 3 sd out)"
    ]
    width = max(map(len, (*found.methods, "bound")))
    if found.r2_bound:
        bounds = "   ".join(f"{name} {value:.3f}" for name, value in found.r2_bound.items())
        lines.append(f"  {'bound':<{width}}  {bounds}")
    for method, reading in found.methods.items():
        cells = [f"{name} {_constant(of)}" for name, of in reading.constants.items()]
        counted = ", ".join(digits(num, "d") for num in reading.num_constants)
        lines.append(f"  {method:<{width}}  {'   '.join(cells)}   constants found: {counted}")
    return "\n".join(lines)


def _constant(found: ConstantReading) -> str:
    beside = [digits(found.r2_mlp.mean)]
    if found.r2_out_of_range:
        beside.append(digits(found.r2_out_of_range.mean))
    return f"{digits(found.r2_linear.mean)} ({'; '.join(beside)})"


_AGREES = {True: "agrees", False: "disagrees", None: "undecided"}


def study_lines(found: CompareResult | LitBallResult) -> str:
    """A table of methods, and the article's claims; or ball and light by condition."""
    return _lit_ball_lines(found) if isinstance(found, LitBallResult) else _methods_lines(found)


def _methods_lines(found: CompareResult) -> str:
    columns = ("R2 h->z", "R2 z->h", "rank corr.", "eff. rank", "steps", "MB", "success", "looks", "constants")
    lines = [f"  {'method':<20}" + "".join(f"{column:>12}" for column in columns)]
    for name, row in found.methods.items():
        lines.append(f"  {name:<20}" + "".join(f"{value:>12}" for value in _method_values(row)))
    if any(row.looks for row in found.methods.values()):
        lines.append("  looks: goals reached, mean over looks that no method was trained on; compare.json has each")
    if pixels := found.baselines.raw_pixels.constants:
        read = ", ".join(f"{name} {digits(value)}" for name, value in pixels.items())
        lines.append(f"  constants: mean R2; by mean and spread of every pixel {read}")
    claims = [f"  {claim.claim:<13} {_AGREES[claim.agrees]}: {claim.article_says}" for claim in found.claims]
    return "\n".join([*lines, "", *claims])


def _method_values(row: MethodRow) -> list[str]:
    steps = row.convergence.steps_to_threshold
    return [
        digits(row.r2_h_to_z.mean, ".4f"),
        digits(row.r2_z_to_h.mean, ".4f"),
        digits(row.rank_correlation.mean),
        digits(row.effective_rank.mean, ".2f"),
        f"{steps:.0f}" if steps else "never",
        f"{row.memory.kept[256].total / 2**20:.1f}" if row.memory else "",
        digits(row.planning.success_rate.mean, ".1%") if row.planning else "",
        digits(row.success_under_looks, ".1%") if row.looks else "",
        " ".join(digits(mean_known([of.mean for of in read.r2.values()])) for read in row.constants.values()),
    ]


def _lit_ball_lines(found: LitBallResult) -> str:
    lines = []
    for name, condition in found.conditions.items():
        shifts = list(next(iter(condition.methods.values())).x_under_shift)
        lines.append(f"{name}: {condition.explanation}")
        lines.append(f"  {'linear R2':<14}{'ball':>8}{'light':>8}" + "".join(f"{shift:>24}" for shift in shifts))
        for method, row in condition.methods.items():
            moved = "".join(f"{digits(row.x_under_shift[shift].r2.mean):>24}" for shift in shifts)
            lines.append(f"  {method:<14}{digits(row.x.mean):>8}{digits(row.light.mean):>8}{moved}")
    return "\n".join(lines)
