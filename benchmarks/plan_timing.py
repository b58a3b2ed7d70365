"""Where the time of a plan goes: milliseconds by part, and the floor that this machine's measured rates allow."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula

from worldmodel import envs
from worldmodel.models import ModelConfig, PlanningModel, TransformerPredictor, WorldModel
from worldmodel.planners import (
    CEM,
    MPC,
    CapturedPlanner,
    GoalDistance,
    LatentDynamics,
    Objective,
    Plan,
    Planner,
    Problem,
)
from worldmodel.settings import EncoderConfig, PredictorConfig, TransformerConfig

IMAGE_SIZE, ACTION_DIM = 64, 2
# what arXiv:2603.19312 plans with: 300 samples, 30 iterations, 5 blocks of 5 actions
LEWM_PLANNER = CEM(horizon=25, action_block=5, num_samples=300, num_iterations=30, num_elites=30, num_kept_elites=0)

_LEAST_MEASURED_S = 0.05


class Clock:
    """Seconds of work: CPU seconds of this process, or on a GPU wall seconds up to its end."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            return time.perf_counter()
        return time.process_time()

    def median_ms(self, work: Callable[[], Any], repeats: int) -> float:
        """Median milliseconds of one call over `repeats` measurements, after calls that warm up.

        Work shorter than 50 ms is called as often as fits into 50 ms, in each measurement.
        """
        work()
        if self._device.type == "cuda":  # a captured plan is eager first, then recorded, then replayed
            work()
        start = self.now()
        work()
        calls, seconds = calls_to_measure(self.now() - start), []
        for _ in range(repeats):
            start = self.now()
            for _ in range(calls):
                work()
            seconds.append((self.now() - start) / calls)
        return 1e3 * statistics.median(seconds)


def calls_to_measure(call_s: float) -> int:
    """Number of calls, of `call_s` seconds each, in one measurement."""
    return max(1, round(_LEAST_MEASURED_S / max(call_s, 1e-6)))


class Timed:
    """A dynamics and an objective that add up the seconds spent in them."""

    def __init__(self, dynamics: LatentDynamics, objective: Objective, clock: Clock) -> None:
        self._dynamics, self._objective, self._clock = dynamics, objective, clock
        self.num_context_frames, self.action_dim = dynamics.num_context_frames, dynamics.action_dim
        self.rollout_s = self.scoring_s = 0.0

    def embed(self, frames: Tensor) -> Tensor:
        return self._dynamics.embed(frames)

    def encode(self, latents: Tensor, actions: Tensor) -> Tensor:
        return self._dynamics.encode(latents, actions)

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        start = self._clock.now()
        latents = self._dynamics.rollout(z0, actions, context)
        self.rollout_s += self._clock.now() - start
        return latents

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        start = self._clock.now()
        cost = self._objective(latents, actions)
        self.scoring_s += self._clock.now() - start
        return cost


class Listed:
    """A dynamics and an objective that remember what they were asked: (function, arguments) of each call."""

    def __init__(self, dynamics: LatentDynamics, objective: Objective) -> None:
        self._dynamics, self._objective = dynamics, objective
        self.num_context_frames, self.action_dim = dynamics.num_context_frames, dynamics.action_dim
        self.embed, self.encode = dynamics.embed, dynamics.encode
        self.rollouts: list[Callable[[], Tensor]] = []
        self.scorings: list[Callable[[], Tensor]] = []

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        self.rollouts.append(lambda: self._dynamics.rollout(z0, actions, context))
        return self.rollouts[-1]()

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        self.scorings.append(lambda: self._objective(latents, actions))
        return self.scorings[-1]()


def machine_rates(
    clock: Clock, device: torch.device, repeats: int, dtype: torch.dtype = torch.float32
) -> dict[str, float]:
    """Gigaflops of a large product in `dtype`, and gigabytes per second that a large copy reads and writes."""
    side = 1536 if device.type == "cpu" else 8192
    a, b = torch.randn(2, side, side, device=device, dtype=dtype).unbind()
    source = torch.randn(16 * 2**20, device=device)
    target = torch.empty_like(source)
    product_ms = clock.median_ms(lambda: a @ b, repeats)
    copy_ms = clock.median_ms(lambda: target.copy_(source), repeats)
    return {
        "matmul_gflops": 2 * side**3 / product_ms / 1e6,
        "copy_gb_per_s": 2 * source.numel() * source.element_size() / copy_ms / 1e6,
    }


@register_flop_formula(torch.ops.mkldnn._linear_pointwise)
def _linear_flops(x: Sequence[int], weight: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any) -> int:
    """Operations of a linear layer by oneDNN (`worldmodel.models.layers`), from shapes (…, in) and (…, out)."""
    return 2 * math.prod(out_shape) * x[-1]


def gflops(work: Callable[[], Any]) -> float:
    """10^9 floating-point operations in the matrix products of one call."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 1e9


def default_model() -> WorldModel:
    """The default reacher model with random weights, which are as fast as trained ones."""
    encoder = EncoderConfig(input_size=32, latent_dim=16)
    return WorldModel(ModelConfig(encoder, ACTION_DIM, PredictorConfig())).eval()


def time_plan(
    model: PlanningModel, planner: Planner, batch: int, repeats: int, clock: Clock, rates: dict[str, float]
) -> dict[str, float]:
    """Milliseconds per environment of encoding a frame and of planning, by part; the floor of the rollouts.

    On a GPU a plan is one CUDA graph, and "eager_plan_ms" is what it takes without.
    """
    noise = torch.randint(256, (batch, 3, IMAGE_SIZE, IMAGE_SIZE), generator=torch.Generator().manual_seed(0))
    frames = noise.to(model.device, torch.uint8)
    latents = model.embed(frames)
    past = torch.zeros(batch, model.num_context_frames - 1, model.action_dim, device=model.device)
    z0 = model.encode(latents[:, None].expand(-1, model.num_context_frames, -1), past)
    generator = torch.Generator(model.device).manual_seed(0)
    goal = GoalDistance(torch.randn(latents.shape, device=model.device))
    captured = CapturedPlanner(planner)

    def plan(search: Planner, dynamics: LatentDynamics, objective: Objective) -> None:
        with torch.inference_mode(model.device.type == "cpu"):  # as in `worldmodel control`
            search.plan(Problem(dynamics, objective, z0), generator)

    whole_ms = clock.median_ms(lambda: plan(captured, model, goal), repeats)
    gflop = gflops(lambda: plan(planner, model, goal))
    floor_ms = 1e3 * gflop / rates["matmul_gflops"]
    figures = {"encode_ms": clock.median_ms(lambda: model.embed(frames), repeats), "plan_ms": whole_ms}
    if model.device.type == "cuda":
        figures["eager_plan_ms"] = clock.median_ms(lambda: plan(planner, model, goal), repeats)
        listed = Listed(model, goal)
        plan(planner, listed, listed)
        rollout_ms, scoring_ms = (graphs_ms(calls, clock, repeats) for calls in (listed.rollouts, listed.scorings))
    else:
        timed = Timed(model, goal, clock)
        calls = repeats * calls_to_measure(whole_ms / 1e3)
        for _ in range(calls):
            plan(planner, timed, timed)
        rollout_ms, scoring_ms = 1e3 * timed.rollout_s / calls, 1e3 * timed.scoring_s / calls
    figures |= {
        "rollout_ms": rollout_ms,
        "scoring_ms": scoring_ms,
        "refit_ms": max(0.0, whole_ms - rollout_ms - scoring_ms),
        "gflop": gflop,
        "floor_ms": floor_ms,
    }
    return {name: value / batch for name, value in figures.items()} | {"ratio_to_floor": whole_ms / floor_ms}


def graphs_ms(calls: Sequence[Callable[[], Tensor]], clock: Clock, repeats: int) -> float:
    """Milliseconds of these calls on a GPU, one after the other, as one CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream), torch.no_grad():
        for call in calls:
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph), torch.no_grad():
        for call in calls:
            call()
    return clock.median_ms(graph.replay, repeats)


def closed_loop_ms(model: PlanningModel, planner: Planner, clock: Clock, num_steps: int = 50) -> float:
    """Milliseconds of one control step of one reacher: physics, rendering, encoding and planning."""
    world = envs.make("reacher", image_size=IMAGE_SIZE)
    world.restart(seed=0)

    def seen() -> Tensor:
        return torch.from_numpy(world.frame()).movedim(-1, 0)[None].to(model.device)

    mpc, generator = MPC(model, CapturedPlanner(planner)), torch.Generator(model.device).manual_seed(0)
    state, goal = mpc.init(seen()), GoalDistance(torch.zeros(1, model.latent_dim, device=model.device))
    start = clock.now()
    for step in range(-5, num_steps):
        if step == 0:  # the first five warm up
            start = clock.now()
        with torch.inference_mode(model.device.type == "cpu"):
            actions, state, _ = mpc.act(state, goal, generator)
        world.advance(actions[0].cpu().numpy())
        state = mpc.observe(state, seen(), actions)
    taken = clock.now() - start
    world.close()
    return 1e3 * taken / num_steps


# ---------------------------------------------------------------------------------------------------------------------
# a network of LeWM's size

# the predictor of arXiv:2603.19312, which plans from one frame; its latents have 192 numbers
LEWM_TRANSFORMER = TransformerConfig(residual=False)
LEWM_PREDICTOR = PredictorConfig(
    kind="transformer", history=[0], horizon=25, hidden=2048, depth=6, transformer=LEWM_TRANSFORMER
)
LEWM_LATENT_DIM = 192
# its search: every action of a block of five is free
LEWM_SEARCH = replace(LEWM_PLANNER, action_block=1)


def lewm_size_predictor() -> TransformerPredictor:
    """LeWM's predictor with random weights, for reacher's actions."""
    return TransformerPredictor(LEWM_PREDICTOR, LEWM_LATENT_DIM, ACTION_DIM).eval()


def windowed_rollout(predictor: TransformerPredictor, z0: Tensor, blocks: Tensor) -> Tensor:
    """Latents (N, G, D) after action blocks (N, G, b * A) from z0 (N, D): the whole window anew at every step."""
    latents = z0[:, None]
    for step in range(blocks.shape[1]):
        first = max(0, step + 1 - predictor.window)
        following = predictor.next(latents[:, first:], blocks[:, first : step + 1])
        latents = torch.cat([latents, following[:, -1:]], 1)
    return latents[:, 1:]


class PredictorDynamics:
    """A predictor alone as a `LatentDynamics`: planning starts from a latent, not from frames."""

    def __init__(self, predictor: TransformerPredictor, dtype: torch.dtype | None = None) -> None:
        self.num_context_frames, self.action_dim = predictor.config.num_context_frames, predictor.action_dim
        self.encode, self._predictor = predictor.planning_state, predictor.for_planning(dtype)

    def embed(self, frames: Tensor) -> Tensor:
        raise TypeError("a predictor alone has no encoder; pass its latents")

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        return self._predictor.rollout(z0, actions, context)


def search_from(dynamics: LatentDynamics, planner: Planner, z0: Tensor, goal: Tensor) -> Callable[[], Plan]:
    """A call that plans from z0 to a goal, both (1, D): on a GPU one CUDA graph."""
    generator = torch.Generator(z0.device).manual_seed(0)
    captured, problem = CapturedPlanner(planner), Problem(dynamics, GoalDistance(goal, "terminal"), z0)
    return lambda: captured.plan(problem, generator)


@torch.no_grad()
def time_lewm_size(repeats: int, clock: Clock, device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """Milliseconds of one CEM iteration of LeWM's budget with a network of LeWM's size, and of the whole plan.

    "straightforward" computes the window anew at each step and reads the elites back to the host at each iteration, as
    the published code does, in float32; "ours" is `planners.CEM` on the predictor's own rollout in `dtype`. A plan is
    30 iterations. "speedup_by_flops" is what can be had at most without changing the network's answers or precision.
    """
    predictor = lewm_size_predictor().to(device)
    z0, goal = torch.randn(2, 1, LEWM_LATENT_DIM, device=device).unbind()
    num, iterations = LEWM_SEARCH.num_samples, LEWM_SEARCH.num_iterations

    def straightforward() -> None:
        blocks = torch.randn(num, 5, 5 * ACTION_DIM, device=device)
        latents = windowed_rollout(predictor, z0.expand(num, -1), blocks)
        cost = (latents[:, -1] - goal).square().sum(-1)
        elites = blocks[cost.topk(LEWM_SEARCH.num_elites, largest=False).indices]
        _ = elites.mean(0).tolist(), elites.std(0).tolist()

    # the rollout of the final mean is one more
    one = replace(LEWM_SEARCH, num_samples=num - 1, num_iterations=1)
    dynamics, actions = PredictorDynamics(predictor, dtype), torch.zeros(1, num, LEWM_SEARCH.horizon, ACTION_DIM)
    counted = {
        "straightforward": straightforward,
        "ours": lambda: dynamics.rollout(z0, actions.to(device)),
    }
    figures = {}
    timed = {"straightforward": straightforward, "ours": search_from(dynamics, one, z0, goal)}
    for name, work in timed.items():
        milliseconds = clock.median_ms(work, repeats)
        figures[f"lewm_size_{name}_iteration_ms"] = milliseconds
        figures[f"lewm_size_{name}_iteration_gflop"] = gflops(counted[name])
        figures[f"lewm_size_{name}_plan_s"] = iterations * milliseconds / 1e3
    for what, unit in (("speedup", "ms"), ("speedup_by_flops", "gflop")):
        theirs, mine = (figures[f"lewm_size_{name}_iteration_{unit}"] for name in ("straightforward", "ours"))
        figures[f"lewm_size_{what}"] = theirs / mine
    return figures
