"""`worldmodel probe mode=design`: which constants an excitation makes identifiable, and an excitation that does better.

Needs no data and no training: the simulator is differentiated around trajectories at constants drawn from the prior.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from worldmodel import envs
from worldmodel.design.information import (
    directions,
    marginal_information,
    posterior_covariance,
    r2_bounds,
    readable_combinations,
    van_trees_bounds,
)
from worldmodel.design.policy_search import Candidate, PolicySearch
from worldmodel.envs.excitation import make_policy
from worldmodel.envs.sensitivity import (
    Motion,
    Sensitivities,
    position_names,
    record_motion,
    rotational,
    sensitivities,
    tangent,
)
from worldmodel.envs.world import MujocoWorld, SimulationDiverged
from worldmodel.figures import design_figure
from worldmodel.measures.statistics import central_95, mean_interval
from worldmodel.measures.wording import with_interval
from worldmodel.runs.run_directory import RunDirectory
from worldmodel.settings import DesignConfig, TrainConfig
from worldmodel.system.errors import UserError
from worldmodel.system.files import write_json
from worldmodel.system.progress import progress

NOISE_RATIOS = (1.0, 2.0, 4.0)
STEPS = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)  # candidates for the finite difference, in standardised coordinates
LARGEST_NONLINEARITY = 0.2  # change of the sensitivities between the largest step and the chosen one
SHORTEST_SEGMENT = 8
NUM_CHECKED, NUM_SCREENED, NUM_COMPARED = 6, 6, 16  # trajectories
SHARE_OUTSIDE = 0.02  # of frames that may leave what the frame encoder has seen
# a coordinate that moves less than this share of the liveliest of its kind is contact noise, as in data/truth.py
SMALLEST_SHARE = 0.01


@dataclass(frozen=True)
class Study:
    """What is asked, of which world.

    Attributes:
        constants: names of the P constants.
        observed: indices (N,) of the observed position coordinates. noise: (N,) their standard deviations.
        reach: state index -> largest |position| that the frame encoder knows.
    """

    world: MujocoWorld
    config: DesignConfig
    constants: tuple[str, ...]
    observed: np.ndarray
    noise: np.ndarray
    reach: dict[int, float]

    @property
    def scales(self) -> np.ndarray:
        return np.array([self.world.factors[name].prior_scale for name in self.constants])

    def motions(self, policy: dict[str, Any], seeds: range) -> list[Motion]:
        acting = make_policy(**policy)
        return [
            record_motion(self.world, acting, seed=seed, num_steps=self.config.training.collection.episode_steps)
            for seed in _spread_seeds(self.config.seed, seeds)
        ]


@dataclass(frozen=True)
class Differences:
    """How the simulator is differentiated, and how far that holds; changes are relative, of three quarters of windows.

    Attributes:
        step: either way, in standardised coordinates. segment_steps: of a window.
        error: change of the sensitivities from the next larger step to this one.
        nonlinearity: change from a tenth of a prior's standard deviation to this step.
    """

    step: float
    segment_steps: int
    error: float
    nonlinearity: float


@dataclass(frozen=True)
class Excited:
    """What one policy's trajectories say: information (noise ratios, prefixes, W, P, P), and the trajectory (W,)."""

    information: np.ndarray
    trajectory: np.ndarray
    prefixes: tuple[int, ...]
    outside: float

    @property
    def windows(self) -> np.ndarray:
        """Information of whole windows at the stated noise, (W, P, P)."""
        return self.information[NOISE_RATIOS.index(1.0), -1]

    @cached_property
    def covariance(self) -> np.ndarray:
        return posterior_covariance(self.windows)

    @property
    def episodes(self) -> np.ndarray:
        """Information of all windows of a trajectory together, (trajectories, P, P)."""
        return np.stack([self.windows[self.trajectory == i].sum(0) for i in np.unique(self.trajectory)])


def design(config: DesignConfig) -> tuple[dict[str, Any], str]:
    """Judge the environment's excitation, search for a better one, write summary, figure and JSON.

    Returns the figures and a table.

    Raises:
        UserError: the world has no physical constants, or nothing of it moves or is observed.
    """
    study = open_study(config)
    differences = choose_differences(study)
    given = _policy_of(config)
    fresh = range(10_000, 10_000 + config.num_trajectories)
    before = excite(study, differences, given, fresh, "given excitation")
    content: dict[str, Any] = _setting(study, differences) | {"given": _judged(study, given, before)}
    best = _search(study, differences, given)
    if best is not None and best.policy != given:
        after = excite(study, differences, best.policy, fresh, "designed excitation")
        content["designed"] = _judged(study, best.policy, after) | {"overrides": overrides(best.policy)}
        content["gain"] = _gain(before, after)
    run = RunDirectory(config.run_directory)
    design_figure.design(run.figures / "design.png", content)
    run.update_summary("probe", design=content)
    if config.out:
        write_json(Path(config.out), content)
    return content, describe(content, run)


def settings_for(trained: TrainConfig, noise_m: float, noise_rad: float, num_trajectories: int) -> DesignConfig:
    """What `judge` is to be asked about the windows that a training sees, constants drawn from their priors."""
    env = dataclasses.replace(trained.env, factor_spread={})
    training = dataclasses.replace(trained, collection=dataclasses.replace(trained.collection, env=env))
    return DesignConfig(
        training, noise_m=noise_m, noise_rad=noise_rad, num_trajectories=num_trajectories, seed=trained.seed
    )


def judge(config: DesignConfig) -> dict[str, Any]:
    """What the environment's own excitation makes identifiable: "r2_bound", "identifiable", "combinations", …"""
    study = open_study(config)
    given = _policy_of(config)
    excited = excite(study, choose_differences(study), given, range(10_000, 10_000 + config.num_trajectories), "bound")
    return _judged(study, given, excited)


# ---------------------------------------------------------------------------------------------------------------------
# what is asked


def open_study(config: DesignConfig) -> Study:
    """The world, the constants in question, what is observed of it and how well."""
    world = envs.make(**dict(config.training.env.make_arguments(), factor_rho={}))
    constants = _constants(world)
    # constants are drawn from their priors whatever else the environment randomises: pictures do not matter here
    world = envs.make(**dict(config.training.env.make_arguments(), randomize=list(constants), factor_rho={}))
    names = position_names(world)
    if unknown := [name for name in config.observed if name not in names]:
        raise UserError(f"observed names {unknown[0]!r}; the positions of {world.name} are {', '.join(names)}")
    probing = Study(world, config, constants, np.arange(0), np.ones(0), {})
    moved = np.concatenate([motion.states for motion in probing.motions(_policy_of(config), range(NUM_CHECKED))])
    turns = rotational(world)
    if config.observed:
        observed = np.array([names.index(name) for name in config.observed])
    else:
        observed = np.flatnonzero(_moving(tangent(world, moved)[:, : len(names)].std(0), turns))
    if not len(observed):
        raise UserError("nothing moves under this policy, so nothing can be identified; choose a livelier policy")
    noise = np.where(turns[observed], config.noise_rad, config.noise_m)
    return Study(world, config, constants, observed, noise, _reach(config, world))


def _constants(world: MujocoWorld) -> tuple[str, ...]:
    physical = [name for name, factor in world.factors.items() if factor.kind == "physical"]
    if not physical:
        raise UserError(
            f"{world.name} has no physical factors; choose an env whose masses or frictions can be set (env=puck)"
        )
    return tuple(name for name in world.randomize if name in physical) or tuple(physical)


def _moving(std: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Which positions move, bool (nv,), compared with the liveliest of their kind (metres or radians)."""
    moving = np.zeros(len(std), bool)
    for kind in (turns, ~turns):
        if kind.any():
            moving |= kind & (std > SMALLEST_SHARE * std[kind].max())
    return moving


def _reach(config: DesignConfig, world: MujocoWorld) -> dict[int, float]:
    """How far positions may go: what the atlas of the environment's frame encoder covers."""
    atlas = config.training.atlas
    latents = {} if atlas is None or atlas.env.kinematic is None else atlas.env.kinematic.latents
    straight = {name: scale for name, scale in latents.items() if name not in world.scene.angle_names}
    return {world.state_names.index(name): config.reach_sd * scale for name, scale in straight.items()}


def _policy_of(config: DesignConfig) -> dict[str, Any]:
    return dict(config.training.collection.policy)


def _spread_seeds(seed: int, indices: range) -> Iterator[int]:
    for index in indices:
        yield int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


# ---------------------------------------------------------------------------------------------------------------------
# differentiating


def choose_differences(study: Study) -> Differences:
    """The finite-difference step that agrees best with the one before it, and the longest linear enough segment.

    Too small a step drowns in the solver's tolerance, too large a one in curvature. Over long stretches of chaotic or
    contact-rich motion no derivative speaks for constants a tenth of a standard deviation away: then the window is cut.
    """
    config = study.config
    motions = study.motions(_policy_of(config), range(NUM_CHECKED))
    spread = _spread(study, motions)
    frames = slice(0, config.window_steps + 1)
    rows = np.stack([[_rows(study, _differentiate(study, m, frames, spread, h)) for m in motions] for h in STEPS])
    lengths = [config.segment_steps or config.window_steps]
    while not config.segment_steps and lengths[-1] // 2 >= SHORTEST_SEGMENT:
        lengths.append(lengths[-1] // 2)
    for length in lengths:
        part = rows[:, :, : min(length, config.window_steps) + 1]
        errors = _change(part[:-1], part[1:])
        best = 1 + int(np.argmin(errors))
        nonlinearity = float(_change(part[:1], part[best : best + 1])[0])
        if nonlinearity <= LARGEST_NONLINEARITY:
            break
    return Differences(STEPS[best], length, float(errors[best - 1]), nonlinearity)


def _change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Relative change (steps,) of derivatives (steps, motions, T+1, columns): three quarters of motions stay below.

    Derivatives that are 0, because nothing that is observed moves, have not changed.
    """
    size = np.linalg.norm(after, axis=(2, 3))
    change = np.linalg.norm(after - before, axis=(2, 3)) / np.where(size > 0, size, 1.0)
    return np.quantile(change, 0.75, axis=1)


def _differentiate(study: Study, motion: Motion, frames: slice, spread: np.ndarray, step: float) -> Sensitivities:
    return sensitivities(study.world, motion, frames, study.constants, study.observed, spread, step)


def _rows(study: Study, found: Sensitivities) -> np.ndarray:
    """All derivatives in units of the noise, (T+1, N * (P + V))."""
    both = np.concatenate([found.constants, found.state], -1) / study.noise[:, None]
    return both.reshape(len(both), -1)


def _spread(study: Study, motions: Sequence[Motion]) -> np.ndarray:
    """Standard deviation (V,) of each state coordinate over trajectories: what is known of a window's initial state.

    Positions that hardly move, and their velocities, are taken as known: they are contacts settling.
    """
    spread = tangent(study.world, np.concatenate([motion.states for motion in motions])).std(0)
    turns = rotational(study.world)
    still = ~_moving(spread[: len(turns)], turns)
    spread[: 2 * len(turns)][np.tile(still, 2)] = 0.0
    return spread


def excite(study: Study, differences: Differences, policy: dict[str, Any], seeds: range, label: str = "") -> Excited:
    """Information of all windows of trajectories under a policy; the same seeds draw the same constants and starts."""
    config = study.config
    motions = study.motions(policy, seeds)
    spread = _spread(study, motions)
    prefixes = _prefixes(config.window_steps) if label else (config.window_steps,)
    starts = range(0, config.training.collection.episode_steps - config.window_steps + 1, config.window_steps)
    information, trajectory = [], []
    bar = progress(motions, desc=label) if label else motions
    for index, motion in enumerate(bar):
        for start in (start for start in starts if start + config.window_steps < len(motion.states)):
            segments = _segments(study, differences, motion, start, spread)
            information.append(_window_information(study, segments, prefixes, bool(label)))
            trajectory.append(index)
    if not information:
        raise UserError(
            f"every episode ended within {config.window_steps} steps under {policy['name']}; shorten the window"
        )
    states = np.concatenate([motion.states for motion in motions])
    outside = [np.abs(states[:, index]) > limit for index, limit in study.reach.items()]
    share = float(np.any(outside, 0).mean()) if outside else 0.0
    return Excited(np.stack(information, 2), np.array(trajectory), prefixes, share)


def _prefixes(window: int) -> tuple[int, ...]:
    """Window lengths to show, about eight, in steps of a multiple of 8."""
    stride = 8 * max(1, round(window / 64))
    return (*range(stride, window, stride), window)


def _segments(
    study: Study, differences: Differences, motion: Motion, start: int, spread: np.ndarray
) -> list[Sensitivities]:
    """Sensitivities of a window's segments; the frame at a border belongs to the later one alone."""
    window, length = study.config.window_steps, differences.segment_steps
    segments = []
    for offset in range(0, window, length):
        stop = min(offset + length, window)
        last = stop == window
        frames = slice(start + offset, start + stop + (1 if last else 0))
        segments.append(_differentiate(study, motion, frames, spread, differences.step))
    return segments


def _window_information(
    study: Study, segments: Sequence[Sensitivities], prefixes: Sequence[int], every_noise: bool
) -> np.ndarray:
    """Information (noise ratios, prefixes, P, P) of the first steps of a window."""
    ratios = NOISE_RATIOS if every_noise else (1.0,)
    result = np.zeros((len(NOISE_RATIOS), len(prefixes), len(study.constants), len(study.constants)))
    for ratio in ratios:
        for j, prefix in enumerate(prefixes):
            left = prefix + 1  # frames
            for segment in segments:
                count = min(left, len(segment.constants))
                left -= count
                constants, state = (
                    (part[:count] / (ratio * study.noise[:, None])).reshape(-1, part.shape[-1])
                    for part in (segment.constants, segment.state)
                )
                if count:
                    result[NOISE_RATIOS.index(ratio), j] += marginal_information(constants, state, 1.0)
    return result


# ---------------------------------------------------------------------------------------------------------------------
# searching


def _search(study: Study, differences: Differences, given: dict[str, Any]) -> Candidate | None:
    """The best policy found; scores are of trajectories that no reported figure uses."""
    config = study.config
    if not config.search:
        return None
    rng = np.random.default_rng(config.seed)
    search = PolicySearch(given, study.world, config.window_steps * study.world.control_dt_s, rng)

    def score(policy: dict[str, Any], num: int) -> float:
        try:
            excited = excite(study, differences, policy, range(1000, 1000 + num))
        except (SimulationDiverged, UserError):
            return -np.inf
        return -np.inf if excited.outside > SHARE_OUTSIDE else objective(config.objective, excited.windows)

    with progress(total=config.search, desc="search") as bar:
        return search.run(score, config.search, NUM_SCREENED, NUM_COMPARED, bar.update)


def objective(name: str, information: np.ndarray) -> float:
    """What a design maximises, of information (W, P, P): larger is better."""
    match name:
        case "logdet":
            return float(np.linalg.slogdet(np.eye(information.shape[-1]) + information)[1].mean())
        case "trace":
            return -float(np.trace(posterior_covariance(information)))
        case _:
            return float(r2_bounds(posterior_covariance(information)).min())


def overrides(policy: dict[str, Any]) -> str:
    """Arguments that choose a policy: `policy=coasting policy.std=1.2`."""
    values = [f"policy.{name}={value}" for name, value in policy.items() if name != "name"]
    return " ".join([f"policy={policy['name']}", *values])


def _gain(before: Excited, after: Excited) -> dict[str, Any]:
    """Paired over trajectories: the same constants, starts and policy seeds."""
    logdets = [np.linalg.slogdet(np.eye(e.windows.shape[-1]) + e.episodes)[1] for e in (before, after)]
    num = min(map(len, logdets))
    change = logdets[1][:num] - logdets[0][:num]
    return {
        "logdet_nats_per_episode": float(change.mean()),
        "logdet_nats_interval": mean_interval(change),
        "worst_r2_bound": float(r2_bounds(after.covariance).min() - r2_bounds(before.covariance).min()),
    }


# ---------------------------------------------------------------------------------------------------------------------
# results


def _setting(study: Study, differences: Differences) -> dict[str, Any]:
    config, world = study.config, study.world
    names = position_names(world)
    return {
        "env": config.training.env.label,
        "world": world.name,
        "constants": [world.factors[name].describe() for name in study.constants],
        "observed": {names[i]: float(noise) for i, noise in zip(study.observed, study.noise, strict=True)},
        "control_dt_s": world.control_dt_s,
        "window_steps": config.window_steps,
        "episode_steps": config.training.collection.episode_steps,
        "num_trajectories": config.num_trajectories,
        "identifiable_r2": config.identifiable_r2,
        "seed": config.seed,
        "finite_difference": {
            "step": differences.step,
            "segment_steps": differences.segment_steps,
            "error": differences.error,
            "nonlinearity": differences.nonlinearity,
        },
    }


def _judged(study: Study, policy: dict[str, Any], excited: Excited) -> dict[str, Any]:
    """Bounds, directions and combinations of one excitation, ready for JSON."""
    covariance, names = excited.covariance, study.constants
    bounds = r2_bounds(covariance)
    intervals = _intervals(excited, np.random.default_rng(study.config.seed))
    spectrum = directions(covariance)
    std = np.sqrt(np.diag(covariance))
    logs = [i for i, name in enumerate(names) if study.world.factors[name].transform == "log"]
    combined = readable_combinations(covariance[np.ix_(logs, logs)], [names[i] for i in logs], study.scales[logs])
    return {
        "policy": policy,
        "num_windows": len(excited.windows),
        "share_outside": excited.outside,
        "r2_bound": _by_name(names, bounds),
        "r2_bound_interval": dict(zip(names, intervals, strict=True)),
        "r2_bound_van_trees": _by_name(names, van_trees_bounds(excited.windows)),
        "r2_bound_episode": _by_name(names, r2_bounds(posterior_covariance(excited.episodes))),
        "identifiable": [n for n, bound in zip(names, bounds, strict=True) if bound >= study.config.identifiable_r2],
        "combinations": [
            {"text": c.text, "exponents": c.exponents, "r2_bound": c.r2} for c in combined if len(c.exponents) > 1
        ],
        "information": [float(value) for value in spectrum.information],
        "directions": [_by_name(names, vector) for vector in spectrum.vectors.T],
        "posterior_correlation": (covariance / np.outer(std, std)).round(4).tolist(),
        "r2_bound_by_noise_and_steps": _grid(names, excited),
    }


def _grid(names: Sequence[str], excited: Excited) -> list[dict[str, Any]]:
    """Bounds for multiples of the noise and shorter windows."""
    return [
        {
            "noise_ratio": ratio,
            "window_steps": steps,
            "r2_bound": _by_name(names, r2_bounds(posterior_covariance(excited.information[i, j])).round(4)),
        }
        for i, ratio in enumerate(NOISE_RATIOS)
        for j, steps in enumerate(excited.prefixes)
    ]


def _intervals(excited: Excited, rng: np.random.Generator, resamples: int = 500) -> list[list[float] | None]:
    """95 % bootstrap intervals of the P bounds over trajectories; None from one trajectory."""
    posteriors = np.linalg.inv(np.eye(excited.windows.shape[-1]) + excited.windows)
    variances = np.diagonal(posteriors, axis1=1, axis2=2)
    present = np.unique(excited.trajectory)
    if len(present) < 2:
        return [None] * variances.shape[1]
    sums = np.stack([variances[excited.trajectory == i].sum(0) for i in present])
    counts = np.array([(excited.trajectory == i).sum() for i in present])
    weight = rng.multinomial(len(present), np.full(len(present), 1 / len(present)), size=resamples)
    return [central_95(bounds) for bounds in (1 - (weight @ sums) / (weight @ counts)[:, None]).T]


def _by_name(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def describe(content: dict[str, Any], run: RunDirectory) -> str:
    """The table that the command prints."""
    observed = ", ".join(f"{name} ±{noise:g}" for name, noise in content["observed"].items())
    check = content["finite_difference"]
    lines = [
        f"{content['env']}: windows of {content['window_steps']} steps ({content['control_dt_s']:g} s each), "
        f"observed {observed}; initial state unknown",
        f"finite differences: step {check['step']:g}, segments of {check['segment_steps']} steps, "
        f"error {check['error']:.1e}, nonlinearity {check['nonlinearity']:.1%}",
    ]
    if check["nonlinearity"] > LARGEST_NONLINEARITY:
        lines.append("warning: the motion is not linear even over so short segments: these bounds are local")
    for part in ("given", "designed"):
        if part in content:
            lines += ["", *_table(part, content[part], content["identifiable_r2"])]
    if "gain" in content:
        gain = content["gain"]
        nats = with_interval(gain["logdet_nats_per_episode"], gain["logdet_nats_interval"], "+.2f")
        lines += [
            "",
            f"gain {nats} nats an episode, worst bound {gain['worst_r2_bound']:+.3f}, on trajectories the search has "
            "not seen",
            f"use: {content['designed']['overrides']}",
        ]
    lines.append(f"results: {run.path}/summary.json, figure: {run.path}/figures/design.png")
    return "\n".join(lines)


def _table(part: str, judged: dict[str, Any], threshold: float) -> list[str]:
    width = max(map(len, judged["r2_bound"]))
    lines = [f"{part} excitation, {judged['policy']['name']}: bound on R2 of one window, of all of an episode's"]
    for name, bound in judged["r2_bound"].items():
        verdict = "" if bound >= threshold else "   not identifiable"
        whole = judged["r2_bound_episode"][name]
        shown = with_interval(bound, judged["r2_bound_interval"][name])
        lines.append(f"  {name:<{width}}  {shown}   {whole:.3f}{verdict}")
    if len(judged["identifiable"]) < len(judged["r2_bound"]) and judged["combinations"]:
        combined = [f"{item['text']} ({item['r2_bound']:.3f})" for item in judged["combinations"]]
        lines.append(f"  readable together: {', '.join(combined)}")
    if judged["share_outside"] > SHARE_OUTSIDE:
        lines.append(f"  {judged['share_outside']:.0%} of the frames are beyond what the atlas holds")
    return lines
