"""Where the time of a plan goes: milliseconds by part, and the floor that this machine's measured rates allow."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import envs
from planners import CEM, MPC, CapturedPlanner, GoalDistance, LatentDynamics, Objective, Planner
from worldmodel.models import ModelConfig, PlanningModel, WorldModel
from worldmodel.models.encoders import EncoderConfig
from worldmodel.models.predictor import PredictorConfig

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

        What takes less than a twentieth of a second is called as often as fits into that, in each measurement.
        """
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
    """How many calls of so many seconds are worth one measurement."""
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


def gflops(work: Callable[[], Any]) -> float:
    """10^9 floating-point operations in the matrix products of one call."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 1e9


def default_model() -> WorldModel:
    """The default reacher model with random weights, which take as long as trained ones."""
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
        search.plan(dynamics, objective, z0, generator=generator)

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
        actions, state, _ = mpc.act(state, goal, generator)
        world.advance(actions[0].cpu().numpy())
        state = mpc.observe(state, seen(), actions)
    taken = clock.now() - start
    world.close()
    return 1e3 * taken / num_steps


# ---------------------------------------------------------------------------------------------------------------------
# a network of LeWM's size


class LewmSizePredictor(nn.Module):
    """Six transformer layers of LeWM's sizes (192 wide, 16 heads of 64, 2048 hidden), actions by adaptive norms.

    The network of arXiv:2603.19312's predictor as far as its cost goes: it predicts the next latent from a window of at
    most three (latent, action block) tokens. Random weights.
    """

    def __init__(
        self, dim: int = 192, action_dim: int = 5 * ACTION_DIM, depth: int = 6, heads: int = 16, width: int = 1024
    ) -> None:
        super().__init__()
        self.dim, self.heads, self.window = dim, heads, 3
        self.embed_action = nn.Linear(action_dim, dim)
        self.position = nn.Parameter(0.02 * torch.randn(self.window, dim))
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "modulate": nn.Linear(dim, 6 * dim),
                    "q": nn.Linear(dim, width, bias=False),
                    "kv": nn.Linear(dim, 2 * width, bias=False),
                    "out": nn.Linear(width, dim),
                    "up": nn.Linear(dim, 2048),
                    "down": nn.Linear(2048, dim),
                }
            )
            for _ in range(depth)
        )

    def modulations(self, actions: Tensor) -> list[Tensor]:
        """What every layer makes of actions (n, T, A): shifts, scales and gates (n, T, 6 D)."""
        condition = self.embed_action(actions)
        return [layer["modulate"](condition) for layer in self._layers()]

    def forward(
        self, latents: Tensor, modulations: list[Tensor], cache: list[tuple[Tensor, Tensor]] | None = None
    ) -> Tensor:
        """Next latents (n, T, D) of latents (n, T, D) under modulations of the same tokens.

        With a cache (keys and values by layer) the tokens come after those it holds and are added to it; only the
        latent after the last of them is then computed: (n, 1, D).
        """
        first = 0 if not cache else cache[0][0].shape[2]
        x = latents + self.position[first : first + latents.shape[1]]
        for index, (layer, modulation) in enumerate(zip(self._layers(), modulations, strict=True)):
            y = _modulated(x, *modulation.chunk(6, -1)[:2])
            k, v = (self._split(part) for part in layer["kv"](y).chunk(2, -1))
            if cache is not None:
                if index == len(cache):
                    cache.append((k, v))
                else:
                    k, v = cache[index] = (torch.cat([cache[index][0], k], 2), torch.cat([cache[index][1], v], 2))
                if index == len(self.layers) - 1:  # nobody asks what follows the tokens before the last
                    x, y, modulation = x[:, -1:], y[:, -1:], modulation[:, -1:]
            q = self._split(layer["q"](y))
            attended = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=q.shape[2] > 1)
            gate1, shift2, scale2, gate2 = modulation.chunk(6, -1)[2:]
            x = x + gate1 * layer["out"](attended.transpose(1, 2).flatten(2))
            x = x + gate2 * layer["down"](nn.functional.gelu(layer["up"](_modulated(x, shift2, scale2))))
        return x

    def _layers(self) -> Iterator[nn.ModuleDict]:
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleDict)
            yield layer

    def _split(self, x: Tensor) -> Tensor:
        """(n, T, heads * d) -> (n, heads, T, d)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return nn.functional.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift


def windowed_rollout(network: LewmSizePredictor, z0: Tensor, blocks: Tensor) -> Tensor:
    """Latents (N, G, D) after action blocks (N, G, A) from z0 (N, D): the whole window anew at every step."""
    latents = z0[:, None]
    for step in range(blocks.shape[1]):
        first = max(0, step + 1 - network.window)
        following = network(latents[:, first:], network.modulations(blocks[:, first : step + 1]))
        latents = torch.cat([latents, following[:, -1:]], 1)
    return latents[:, 1:]


def cached_rollout(network: LewmSizePredictor, z0: Tensor, blocks: Tensor) -> Tensor:
    """The same latents, and nothing computed twice or in vain.

    Keys and values are kept while the window grows; when it slides, every token has another position.
    """
    modulations = network.modulations(blocks)
    cache: list[tuple[Tensor, Tensor]] = []
    latents = z0[:, None]
    for step in range(blocks.shape[1]):
        first = step
        if step >= network.window:
            first, cache = step + 1 - network.window, []
        part = [modulation[:, first : step + 1] for modulation in modulations]
        latents = torch.cat([latents, network(latents[:, first:], part, cache)], 1)
    return latents[:, 1:]


class LewmSizeDynamics:
    """That network as a `planners.interfaces.LatentDynamics`: blocks of five actions, one latent a block, held."""

    num_context_frames, action_dim, block = 1, ACTION_DIM, 5

    def __init__(self, network: LewmSizePredictor) -> None:
        self.network = network

    def embed(self, frames: Tensor) -> Tensor:
        raise TypeError("this network has no encoder here; pass its latents")

    def encode(self, latents: Tensor, actions: Tensor) -> Tensor:
        return latents[:, -1]

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        batch, num, horizon, _ = actions.shape
        blocks = actions.reshape(batch * num, horizon // self.block, -1)
        states = z0[:, None].expand(-1, num, -1).flatten(0, 1)
        latents = cached_rollout(self.network, states, blocks).unflatten(0, (batch, num))
        return latents.repeat_interleave(self.block, 2)


@torch.no_grad()
def time_lewm_size(repeats: int, clock: Clock) -> dict[str, float]:
    """Milliseconds of one CEM iteration of LeWM's budget with a network of LeWM's size, and of the whole plan.

    "straightforward" computes the window anew at each step and reads the elites back to the host at each iteration, as
    the published code does; "ours" is `planners.CEM` on the cached rollout. A plan is 30 iterations. "speedup_by_flops"
    is what can be had at most without changing the network's answers or its precision.
    """
    network = LewmSizePredictor().eval()
    z0, goal = torch.randn(2, 1, network.dim).unbind()
    num, iterations = LEWM_PLANNER.num_samples, LEWM_PLANNER.num_iterations

    def straightforward() -> None:
        blocks = torch.randn(num, 5, 5 * ACTION_DIM)
        latents = windowed_rollout(network, z0.expand(num, -1), blocks)
        cost = (latents[:, -1] - goal).square().sum(-1)
        elites = blocks[cost.topk(LEWM_PLANNER.num_elites, largest=False).indices]
        _ = elites.mean(0).tolist(), elites.std(0).tolist()

    one = CEM(horizon=25, action_block=5, num_samples=num - 1, num_iterations=1, num_elites=30, num_kept_elites=0)
    dynamics, objective = LewmSizeDynamics(network), GoalDistance(goal, "terminal")
    generator = torch.Generator().manual_seed(0)

    def ours() -> None:
        one.plan(dynamics, objective, z0, generator=generator)

    figures = {}
    for name, work in (("straightforward", straightforward), ("ours", ours)):
        milliseconds = clock.median_ms(work, repeats)
        figures |= {f"lewm_size_{name}_iteration_ms": milliseconds, f"lewm_size_{name}_iteration_gflop": gflops(work)}
        figures[f"lewm_size_{name}_plan_s"] = iterations * milliseconds / 1e3
    for what, unit in (("speedup", "ms"), ("speedup_by_flops", "gflop")):
        theirs, mine = (figures[f"lewm_size_{name}_iteration_{unit}"] for name in ("straightforward", "ours"))
        figures[f"lewm_size_{what}"] = theirs / mine
    return figures
