"""What a result means, in a sentence, and what to try next."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from worldmodel.evaluation.trust import distrusted
from worldmodel.measures import digits
from worldmodel.reporting.elements import plain
from worldmodel.runs.identify_result import IdentifyResult
from worldmodel.runs.imagine_result import ImagineResult, StateErrors
from worldmodel.runs.probe_result import ProbeResult
from worldmodel.runs.results import (
    ChangeResult,
    ControllerResult,
    ControlResult,
    PredictionErrors,
    Success,
    SurpriseResult,
    TrainResult,
    ViewResult,
)
from worldmodel.runs.robust_result import CLEAN, LookResult, RobustResult
from worldmodel.runs.stage_results import DecodingResult, RewardResult
from worldmodel.runs.summary import Summary
from worldmodel.settings import RECORDED, TrainConfig, ViewConfig
from worldmodel.system.printable import command

READS_WELL, READS_PARTLY = 0.9, 0.5
"""R2 from which a variable is called read well, and read in part."""
FEW_GOALS = 0.5
"""Clean success below which a share of it says little."""
HOLDS = 0.9
"""Share of clean success from which a run is said to hold under a look."""
FORETELLS = 0.3
"""Rank correlation from which the disagreement of runs is said to tell how wrong they are."""
NO_BETTER = 0.95
"""Error over that of persistence from which planning with a predictor was no better than chance (docs/LOG.md)."""


def outdated_verdict(summary: Summary) -> list[str]:
    """A line about results that were found with other weights than the run has now; none where there are none."""
    found = ", ".join(summary.outdated)
    return [f"found with the weights before the last training: {found}; give these commands again"] if found else []


def train_verdict(found: TrainResult) -> list[str]:
    """How good encoder, decoder and predictor are, as far as the run itself can tell."""
    told = (
        state_verdict(found),
        decoding_verdict(found.decoding),
        prediction_verdict(found.prediction),
        reward_verdict(found.reward),
    )
    return [line for line in told if line]


def state_verdict(found: TrainResult) -> str:
    """How much of the true state the latents hold."""
    r2 = found.identifiability.r2_h_to_z if found.identifiability else None
    if r2 is None:
        return ""
    if r2 >= READS_WELL:
        return f"the latents hold the true state well (linear R2 {r2:.2f})"
    much = "part" if r2 >= READS_PARTLY else "little"
    return f"the latents hold {much} of the true state (linear R2 {r2:.2f}); {_MORE_STATE}"


def decoding_verdict(found: DecodingResult | None) -> str:
    """How much of the state decoded frames show."""
    kept = found.share_kept if found else None
    if kept is None:
        return ""
    if kept <= 0:
        return "decoded frames show nothing of the state: do not trust pictures; try more decoder_training.steps"
    return f"decoded frames show {kept:.0%} of the state that the encoder reads from the camera's"


def prediction_verdict(found: PredictionErrors | None) -> str:
    """Whether the predictor is worth planning with."""
    steps, ratio = found.farthest if found else (0, None)
    if ratio is None:
        return ""
    if ratio < NO_BETTER:
        head = f"{steps} steps ahead the predictor errs {ratio:.2f} times as much as persistence"
        return f"{head} (the forecast that nothing changes)"
    return (
        f"WARNING: {steps} steps ahead the predictor is no better than persistence (the forecast that nothing "
        f"changes; error ratio {ratio:.2f}): planning with it will be no better than chance; {_MORE_MOTION}"
    )


def reward_verdict(found: RewardResult | None) -> str:
    """Whether the reward is known well enough to be planned for."""
    if found is None:
        return ""
    if found.r2 is None or found.r2_ahead is None:
        return "the held-out episodes hold too few rewards to judge the reward head by: try more episodes"
    text = f"rewards are read with R2 {found.r2:.2f}, and {found.horizon} steps ahead with {found.r2_ahead:.2f}"
    if found.r2_ahead >= READS_PARTLY:
        return text
    return f"{text}: too little to plan by, unless the world shows a picture of what is rewarded; {_MORE_REWARD}"


_MORE_REWARD = "try more episodes, or a policy= that earns more"
_MORE_STATE = "try more episodes, finer frames (env.image_size, encoder.input_size) or another method.lag"
_MORE_MOTION = "try more episodes, an excitation that moves more (policy=), or finer frames"


def next_commands(found: TrainResult, config: TrainConfig) -> list[str]:
    """Commands that work on this run, the most useful first."""
    verbs = ["probe", "report"]
    if found.prediction is not None and found.decoding is not None:
        verbs.insert(0, "imagine")
    if found.prediction is not None and config.env.world != RECORDED:
        _, ratio = found.prediction.farthest  # of no use to a planner: first see what the latents hold
        verbs.insert(len(verbs) if ratio is not None and ratio >= NO_BETTER else 0, "control")
    trust = {"trust_world": "true"} if distrusted(config.env.world) else {}
    return [command(verb, run=found.run, **({} if verb == "report" else trust)) for verb in verbs]


def control_verdict(found: ControlResult) -> str | None:
    """Whether the planner is better than random actions, and how far from the true simulator."""
    random, oracle, latent = (found.controllers.get(name) for name in ("random", "oracle", "latent"))
    if found.protocol.rewarded:
        return _returns_verdict(latent, random)
    if latent is None or latent.success is None or random is None or random.success is None:
        return None
    knowing = found.controllers.get("changed_oracle")
    changed = f"; {change_verdict(found.change, knowing.success if knowing else None)}" if found.change else ""
    if latent.success.interval[0] <= random.success.interval[1]:
        text = "not distinguishable from random actions: see what train said about the predictor, or try more tasks="
        return text + changed
    text = "better than random actions"
    if oracle is not None and oracle.success is not None and found.regret is not None and found.regret.interval:
        low, high = found.regret.interval
        better = "not distinguishable from" if low <= 0 <= high else "worse than" if low > 0 else "better than"
        text += f", {better} the same planner on the true simulator"
    return text + changed


def change_verdict(found: ChangeResult, knowing: Success | None = None) -> str:
    """What a change of the robot costs, and whether adaptation pays; knowing: of the oracle that knows the change."""
    if not found.unchanged.rate:
        return f"what {found.change.in_words} costs cannot be told: the robot as it is reaches no goal either"
    lost = found.unchanged.rate - found.fixed.rate
    gained = found.adapting.rate - found.fixed.rate
    costs = (
        f"{found.change.in_words} costs {lost:.0%} of the goals"
        if lost > 0
        else f"{found.change.in_words} costs no goals: replanning makes up for it"
    )
    if gained < 0:
        return f"{costs}, and adaptation costs {-gained:.0%} more: leave adapt=false"
    if lost <= 0 or found.won_back is None:
        return costs
    if found.won_back_interval is not None and found.won_back_interval[0] > 0:
        return f"{costs}, of which adaptation wins back {found.won_back:.0%}: use adapt=true"
    if knowing is not None and knowing.rate <= found.fixed.rate:
        return (
            f"{costs}, which no planning wins back: the true simulator of the changed robot reaches {knowing.rate:.0%}"
        )
    return f"{costs}, of which adaptation wins back nothing that these tasks could tell from chance"


def _returns_verdict(latent: ControllerResult | None, random: ControllerResult | None) -> str | None:
    earned, by_chance = (of.returns if of else None for of in (latent, random))
    if earned is None or by_chance is None or earned.interval is None or by_chance.interval is None:
        return None
    if earned.interval[0] <= by_chance.interval[1]:
        return "earns no more than random actions, as far as these tasks tell: see what train said of the reward"
    return "earns more than random actions"


def imagine_verdict(found: ImagineResult) -> str:
    """How far off the imagined state is, beside what one frame shows and persistence."""
    if not found.errors:
        return ""
    told = [f"{_amount(of.imagined[-1], of.unit)} ({plain(name)}{_beside(of)})" for name, of in found.errors.items()]
    text = f"{found.steps[-1]} steps ahead the imagined state is off by {', '.join(told)}"
    lost = [plain(name) for name, of in found.errors.items() if of.imagined[-1] >= of.persistence[-1]]
    if lost:
        text += f"; no better than persistence: {', '.join(lost)}"
    return f"{text}; {_disagreement_verdict(found)}" if found.disagreement else text


def _disagreement_verdict(found: ImagineResult) -> str:
    """Whether runs disagree most where they are most wrong."""
    told = {name: of.foretells for name, of in found.disagreement.items() if of.foretells is not None}
    useful = [plain(name) for name, rank in told.items() if rank >= FORETELLS]
    apart = ", ".join(
        f"{_amount(of.spread[-1], found.errors[name].unit)} ({plain(name)})" for name, of in found.disagreement.items()
    )
    says = (
        f"which tells how wrong they are of {', '.join(useful)}" if useful else "which hardly tells how wrong they are"
    )
    return f"{len(found.runs)} runs lie {apart} apart, {says}"


def _amount(value: float, unit: str) -> str:
    """A value with its unit, where it has one."""
    return f"{value:.2g} {unit}".rstrip()


def _beside(of: StateErrors) -> str:
    return "" if of.times_read is None else f", {of.times_read:.1f} times the error on the true frame"


def probe_verdict(found: ProbeResult) -> str:
    """Which variables are read well, in part, and hardly."""
    groups: dict[str, list[str]] = {"well": [], "in part": [], "hardly": [], "not determined (it stands still)": []}
    for name, variable in found.variables.items():
        r2 = variable.r2_linear
        group = "not determined (it stands still)" if r2 is None else "well" if r2 >= READS_WELL else "in part"
        groups["hardly" if r2 is not None and r2 < READS_PARTLY else group].append(name)
    return "; ".join(f"read {group}: {', '.join(names)}" for group, names in groups.items() if names)


def view_verdict(found: ViewResult, config: ViewConfig) -> str:
    """That a session is no measurement, and the command that measures the same."""
    if found.goals_reached + found.goals_given_up and config.run:
        return f"a session is no measurement\nnext: {command('control', run=config.run)}"
    follows = command("probe", run=config.run) if config.run else command("data info", path=config.data)
    return f"next: {follows}"


def surprise_verdict(found: SurpriseResult) -> str:
    """Which events the model notices."""
    noticed = [name for name in found.events if found.noticed(name)]
    missed = [name for name in found.events if name not in noticed]
    parts = [f"noticed: {', '.join(noticed)}"] if noticed else []
    return "; ".join([*parts, *([f"not noticed: {', '.join(missed)}"] if missed else [])])


def identify_verdict(found: IdentifyResult) -> list[str]:
    """Whether the estimate can be trusted, and whether the simulator predicts better than before."""
    if found.alarms:
        return [f"NOT TRUSTED, so no intervals: {alarm}" for alarm in found.alarms]
    lines = []
    if unknown := [constant.name for constant in found.constants if constant.known == "not"]:
        lines.append(f"not determined by this recording, and as wide as the prior: {', '.join(unknown)}")
    if found.check:
        better = [joint for joint, of in found.check.rms.items() if _predicts_better(of)]
        worse = [joint for joint in found.check.rms if joint not in better]
        if better:
            lines.append(f"calibrated: predicts better than with nominal constants: {', '.join(better)}")
        if worse:
            lines.append(f"no better than with nominal constants: {', '.join(worse)}; give a longer recording")
    return lines or ["calibrated"]


def _predicts_better(of: Mapping[str, list[float]]) -> bool:
    """Whether constants that have not seen the end predict it better than nominal ones, and those in the file as well;
    errors by simulator, as in `HeldOutCheck.rms`. Results of earlier versions have none of the file's."""
    return max(of[name][-1] for name in ("calibrated", "written") if name in of) < of["nominal"][-1]


def identify_next(found: IdentifyResult, run: Path) -> str:
    """A command that works on what was found."""
    if found.mjcf and not found.alarms:
        viewer = shlex.join(["python", "-m", "mujoco.viewer", f"--mjcf={run / found.mjcf[0]}"])
        return f"{viewer}, {command('report', run=run)}"
    return command("report", run=run)


def robust_verdict(found: RobustResult) -> str:
    """Under which looks the run still reaches nine tenths of the goals that it reaches in the world as it is."""
    looks = next(iter(found.encoders.values()))
    clean = next((of.success for of in looks if of.look == CLEAN), None)
    shifted = [of for of in looks if of.look != CLEAN]
    judged = [of for of in shifted if of.kept is not None]
    if not shifted:
        return "only the world as it is was tried; name looks= or levels="
    if not judged:
        return "nothing to keep: the run reaches no goals in the world as it is; see what train said of the predictor"
    verdicts = _suite_verdicts([of for of in judged if of.suite])
    if own := [of for of in judged if not of.suite]:
        fails = [of.label for of in own if not _holds(of)]
        holds = (
            f"holds under {len(own) - len(fails)} of {len(own)} looks; loses more than a tenth under {', '.join(fails)}"
        )
        which = f"all of {len(own)} looks" if len(own) > 1 else own[0].label
        all_hold = f"holds: nine tenths of the clean success or more under {which}"
        verdicts = [holds if fails else all_hold, *verdicts]
    if clean and clean.rate < FEW_GOALS:
        seldom = f"WARNING: the run reaches {clean.rate:.0%} of the goals in the world as it is"
        verdicts = [f"{seldom}, too few to tell what is lost; see what train said of the predictor", *verdicts]
    needs_remedy = len(found.encoders) == 1 and not all(map(_holds, judged))
    return "\n".join(verdicts) + ("; give the run's train command again with robust=true" if needs_remedy else "")


def _suite_verdicts(found: list[LookResult]) -> list[str]:
    """What is kept at each level of the Distracting Control Suite, one line for each of its settings."""
    cells = [(of.suite, of) for of in found if of.suite]
    lines = []
    for motion in dict.fromkeys(setting.motion for setting, _ in cells):
        told = {"all": [], "backgrounds": [], "cameras": [], "colours": []}
        for setting, of in cells:
            if setting.motion == motion:
                told[setting.axis].append(f"{digits(of.kept, '.2f')} {setting.level}")
        axes = "; ".join(f"{axis} {', '.join(kept)}" for axis, kept in told.items() if kept)
        lines.append(f"Distracting Control Suite, {motion}, share of clean success kept: {axes}")
    return lines


def _holds(found: LookResult) -> bool:
    return found.kept is not None and found.kept >= HOLDS
