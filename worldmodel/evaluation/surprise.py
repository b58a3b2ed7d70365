"""`worldmodel surprise`: does a model notice impossible events? Violation of expectation, with paired tests."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from worldmodel import figures
from worldmodel.envs import MujocoWorld
from worldmodel.envs.excitation import Policy, make_policy
from worldmodel.evaluation.fits import check_actions, check_frames
from worldmodel.evaluation.trust import trusted_world, warn_if_edited
from worldmodel.learning.dynamics import whitening
from worldmodel.measures.statistics import auroc, mean_interval
from worldmodel.models import PlanningModel
from worldmodel.models.encoders import set_cpu_threads
from worldmodel.runs import EventResult, Run, SurpriseResult, check_out, write_record
from worldmodel.runs.results import as_interval
from worldmodel.settings import SurpriseConfig
from worldmodel.system.devices import pick_device, torch_kept
from worldmodel.system.errors import UserError
from worldmodel.system.progress import progress
from worldmodel.system.resident import require_frames

_SEED_STREAM = 7_003


@dataclass(frozen=True)
class _Trajectory:
    """Frames and the actions between them."""

    frames: np.ndarray
    """uint8 (T+1, S, S, 3)."""
    actions: np.ndarray
    """float32 (T, A)."""


@torch_kept()
def surprise(config: SurpriseConfig) -> SurpriseResult:
    """Score trajectories with and without an event; recorded in the run.

    Raises:
        UserError: there is no such run, or the event leaves no room for the windows around it.
    """
    check_out(config.out, SurpriseResult, config.overwrite)
    run = Run(config.run)
    with run.directory.locked():
        trained, loaded = run.config, run.model(pick_device(config.device))
        set_cpu_threads(loaded.config.encoder)
        model = PlanningModel(loaded)
        _check_fits(config, model)
        world = trusted_world(trained.env, config.trust_world)
        warn_if_edited(run, world)
        try:
            check_actions(loaded, world.scene.action_dim, world.name)
            check_frames(loaded, world.image_size, world.name)
            require_frames(config.episode_steps + 1, world.image_size, "a trajectory", "lower episode_steps")
            scores, changes = _scores(config, world, make_policy(**trained.collection.policy), model)
        finally:
            world.close()
        num_frames = model.num_context_frames + config.horizon
        result = _result(config, trained.env.label, scores, num_frames)
        if changes:
            steps = _context_steps(config, model)
            result = replace(result, contexts=_tests(changes, slice(None)), context_steps=steps)
        with figures.drawing("surprise.png"):
            path = run.figures / "surprise.png"
            figures.surprise_curves(path, scores, num_frames - 1, config.event_step, world.control_dt_s)
        run.directory.record(result)
    if config.out:
        write_record(Path(config.out), result)
    return result


_Scores = dict[str, np.ndarray]
"""Event, or "none" -> a score of each of n trajectories, in each of W windows: (n, W)."""


def _scores(
    config: SurpriseConfig, world: MujocoWorld, policy: Policy, model: PlanningModel
) -> tuple[_Scores, _Scores | None]:
    """Surprise by errors of prediction, and by the change of contexts; None where the model reads no contexts."""
    events = available_events(world)
    errors: dict[str, list[np.ndarray]] = {name: [] for name in ("none", *events)}
    changes: dict[str, list[np.ndarray]] = {name: [] for name in errors}
    steps = _context_steps(config, model)

    def look(name: str, trajectory: _Trajectory) -> None:
        latents = model.embed(torch.from_numpy(trajectory.frames).movedim(-1, -3).to(model.device))
        actions = torch.from_numpy(trajectory.actions).to(model.device)
        errors[name].append(_errors(model, latents, actions, config.horizon))
        if steps is not None:
            changes[name].append(_change_of_context(model, latents, actions, config.event_step, steps))

    seeds = np.random.SeedSequence([_SEED_STREAM, config.seed]).generate_state(config.trajectories)
    for seed in progress(seeds, desc="surprise", unit="trajectory"):
        plain = record(world, policy, int(seed), config)
        look("none", plain)
        for name in events:
            look(name, record(world, policy, int(seed), config, name, plain.actions))
    by_errors = score({name: np.stack(of) for name, of in errors.items()})
    return by_errors, None if steps is None else score({name: np.stack(of) for name, of in changes.items()})


def _result(config: SurpriseConfig, label: str, scores: dict[str, np.ndarray], num_frames: int) -> SurpriseResult:
    """The tests; `num_frames`: context and horizon of a window."""
    # windows that begin at these frames see the event: at first as a target only, at last as their oldest frame
    window = slice(config.event_step - num_frames + 1, config.event_step + 1)
    events = _tests(scores, window)
    return SurpriseResult(label, config.event_step, config.trajectories, config.horizon, config.seed, events)


def _tests(scores: _Scores, windows: slice) -> dict[str, EventResult]:
    """Event -> how well the windows that see it tell it from its absence."""
    plain = scores["none"][:, windows]
    return {name: paired_test(plain, of[:, windows]) for name, of in scores.items() if name != "none"}


def _check_fits(config: SurpriseConfig, model: PlanningModel) -> None:
    num_frames = model.num_context_frames + config.horizon
    last = config.episode_steps + 1 - num_frames
    if not num_frames - 1 <= config.event_step <= last:
        raise UserError(
            f"event_step must lie in {num_frames - 1}..{last}, so that windows of {num_frames} frames (context and "
            f"horizon) fit before and after it, got {config.event_step}; set event_step or episode_steps"
        )


def available_events(world: MujocoWorld) -> list[str]:
    """Events that a world can show: a jump to another state; a change of light, colour or mass where it has such
    factors.

    Raises:
        UserError: it has no MuJoCo model in which anything could happen.
    """
    if world.scene.draws_itself:
        raise UserError(f"events happen in a MuJoCo model, and {world.name} holds none; probe and imagine need none")
    return ["teleport", *(name for name in ("colour", "mass") if _factor(world, name))]


def _factor(world: MujocoWorld, event: str) -> str | None:
    """The factor that an event changes: the light, or the first colour; the first mass."""
    kind, words = ("visual", ("light", "red", "green", "blue")) if event == "colour" else ("physical", ("mass",))
    names = [name for name, factor in world.factors.items() if factor.kind == kind]
    return next((name for word in words for name in names if word in name), None)


def record(
    world: MujocoWorld,
    policy: Policy,
    seed: int,
    config: SurpriseConfig,
    event: str = "none",
    actions: np.ndarray | None = None,
) -> _Trajectory:
    """One trajectory; an event happens at `event_step`, before the frame is seen. Given actions are repeated."""
    world.restart(seed=seed)
    rng = np.random.default_rng((seed, 1))
    act = policy.begin(world, rng)
    frames, taken = [world.frame()], []
    for step in range(config.episode_steps):
        taken.append(act(world.state()) if actions is None else actions[step])
        world.advance(taken[-1])
        if step + 1 == config.event_step and event != "none":
            _happen(world, event, np.random.default_rng((seed, 2)))
        frames.append(world.frame())
    return _Trajectory(np.stack(frames), np.stack(taken).astype(np.float32))


def _happen(world: MujocoWorld, event: str, rng: np.random.Generator) -> None:
    """Move the world to another start's state, or a factor to the farther end of its range."""
    if event == "teleport":
        before = world.snapshot()
        world.restart(seed=int(rng.integers(2**31)))
        elsewhere = world.state()
        world.restore(before)
        world.set_state(elsewhere)
        return
    name = _factor(world, event)
    assert name is not None
    low, high = world.factors[name].bounds
    coordinate = world.factors[name].standardize
    now = coordinate(world.factor_values[name])
    world.set_factors({name: low if now - coordinate(low) > coordinate(high) - now else high})


def _context_steps(config: SurpriseConfig, model: PlanningModel) -> int | None:
    """Control steps of the windows before the event and after it from which constants are read; None where a model
    reads none, or there are too few steps."""
    encoder = model.context_encoder
    if encoder is None:
        return None
    steps = min(encoder.config.window, config.event_step, config.episode_steps - config.event_step)
    return steps if steps >= encoder.min_steps else None


@torch.no_grad()
def _change_of_context(model: PlanningModel, latents: Tensor, actions: Tensor, event: int, steps: int) -> np.ndarray:
    """Context of the steps after the event less that of the steps before it: (1, 1, C), one window and one step."""
    assert model.context_encoder is not None
    rows = torch.tensor([[event - steps], [event]]) + torch.arange(steps + 1)
    before, after = model.context_encoder(latents[rows], actions[rows[:, :-1]])
    return (after - before)[None, None].cpu().numpy()


@torch.no_grad()
def _errors(model: PlanningModel, latents: Tensor, actions: Tensor, horizon: int) -> np.ndarray:
    """Prediction errors (W, horizon, D) of every window of context and horizon; constants are taken to be nominal."""
    num_context = model.num_context_frames
    windows = len(latents) - num_context - horizon + 1
    rows = torch.arange(windows)[:, None]
    state = model.encode(latents[rows + torch.arange(num_context)], actions[rows + torch.arange(num_context - 1)])
    future = actions[rows + num_context - 1 + torch.arange(horizon)][:, None]
    encoder = model.context_encoder
    context = None if encoder is None else torch.zeros(windows, encoder.config.num_values, device=model.device)
    target = latents[rows + num_context + torch.arange(horizon)]
    return (model.rollout(state, future, context)[:, 0] - target).cpu().numpy()


def score(errors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Surprise (n, W): the mean over the horizon of squared errors (n, W, h, D), whitened as they are without events.

    1 is the usual surprise. Errors of a trajectory are whitened by those of the other half of the trajectories. NaN
    where these have no errors at all, as with an encoder that sees nothing: then there is no usual error.
    """
    plain = errors["none"]
    halves = np.arange(len(plain)) % 2
    scores = {name: np.empty(of.shape[:2]) for name, of in errors.items()}
    for half in (0, 1):
        usual = torch.from_numpy(plain[halves != half].reshape(-1, *plain.shape[2:])).double()
        for step in range(plain.shape[2]):
            factor = whitening(usual[:, step])
            for name, of in errors.items():
                squared = ((of[halves == half][:, :, step] @ factor.numpy()) ** 2).mean(-1)
                normal = float((usual[:, step] @ factor).square().mean())
                part = scores[name][halves == half] if step else 0.0
                share = squared / normal if normal > 0 else np.full_like(squared, np.nan)
                scores[name][halves == half] = part + share / plain.shape[2]
    return scores


def paired_test(plain: np.ndarray, changed: np.ndarray) -> EventResult:
    """Compare the highest surprise around the event with it and without it, (n, w) each.

    All None where surprise is not finite, and so cannot be compared.
    """
    without, with_event = plain.max(1), changed.max(1)
    gain = with_event - without
    if not np.isfinite(gain).all():
        return EventResult(None, None, None, None, None, None, None)
    moved = bool(np.any(gain != 0))
    return EventResult(
        median_without=float(np.median(without)),
        median_with=float(np.median(with_event)),
        mean_gain=float(gain.mean()),
        mean_gain_interval=as_interval(mean_interval(gain)),
        more_surprised=float((gain > 0).mean()),
        p_wilcoxon=float(stats.wilcoxon(with_event, without, alternative="greater").pvalue) if moved else 1.0,
        auroc=auroc(with_event, without),
    )
