"""stable-worldmodel's CEM on its own LeWM beside our planner on that same network, wherever it is installed."""

import contextlib
import io
import statistics
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from benchmarks.plan_timing import (
    ACTION_DIM,
    LEWM_LATENT_DIM,
    LEWM_PREDICTOR,
    LEWM_SEARCH,
    LEWM_TRANSFORMER,
    Clock,
    PredictorDynamics,
    search_from,
)
from worldmodel.models import TransformerPredictor

_CPU_ITERATIONS = 3  # a whole plan of the peer takes most of a minute of a CPU


def time_peer(repeats: int, clock: Clock, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Seconds of one plan by the peer, and by our planner on its network in `dtype`; nothing where it is not installed.

    Same machine, latents, samples, iterations and horizon; both start from latents, so that encoding counts for
    neither. On a CPU a plan is counted as ten times three iterations. "error" is the root mean squared difference
    of the two rollouts of the same actions, in standard deviations over the actions.
    """
    try:
        model = peer_model()
    except ImportError:
        return {}
    torch.manual_seed(0)
    model = model.to(device)
    z0, goal = torch.randn(2, 1, LEWM_LATENT_DIM, device=device).unbind()
    dynamics = PredictorDynamics(from_peer(model), dtype)
    iterations = LEWM_SEARCH.num_iterations if device.type == "cuda" else _CPU_ITERATIONS
    works: dict[str, Callable[[], Any]] = {
        "peer": lambda: peer_plan(model, z0, goal, iterations),
        "ours_on_peer": search_from(dynamics, replace(LEWM_SEARCH, num_iterations=iterations), z0, goal),
    }
    figures: dict[str, Any] = {"peer_version": metadata.version("stable-worldmodel"), "peer_iterations": iterations}
    for name, work in works.items():
        seconds = _seconds(work, clock, repeats)
        figures[f"{name}_plan_s"] = LEWM_SEARCH.num_iterations / iterations * seconds
    figures["ours_on_peer_speedup"] = figures["peer_plan_s"] / figures["ours_on_peer_plan_s"]
    return figures | _agreement(model, dynamics, z0)


def _seconds(work: Callable[[], Any], clock: Clock, repeats: int) -> float:
    work()
    seconds = []
    for _ in range(repeats):
        start = clock.now()
        work()
        seconds.append(clock.now() - start)
    return statistics.median(seconds)


@torch.no_grad()
def _agreement(model: nn.Module, dynamics: PredictorDynamics, z0: Tensor) -> dict[str, float]:
    """How far our rollout of random actions is from the peer's own."""
    actions = torch.rand(1, 64, LEWM_SEARCH.horizon, ACTION_DIM, device=z0.device) * 2 - 1
    ours = dynamics.rollout(z0, actions)[:, :, -1]
    theirs = peer_rollout(model, z0, actions)[:, :, -1]
    return {"ours_on_peer_error": float((ours - theirs).square().mean().sqrt() / theirs.std(1).square().mean().sqrt())}


def peer_model() -> nn.Module:
    """The peer's LeWM as its published settings make it, without the frame encoder, with random weights.

    Its gates start at zero, which makes its layers the identity; so every weight is perturbed.
    """
    from stable_worldmodel.wm.lewm.lewm import LeWM
    from stable_worldmodel.wm.lewm.module import MLP, Embedder, Predictor

    dim, config, tokens = LEWM_LATENT_DIM, LEWM_PREDICTOR, LEWM_TRANSFORMER
    predictor = Predictor(
        num_frames=tokens.window,
        depth=config.depth,
        heads=tokens.heads,
        dim_head=tokens.head_dim,
        mlp_dim=config.hidden,
        input_dim=dim,
        hidden_dim=dim,
        dropout=0.1,
    )
    block = tokens.block * ACTION_DIM
    head = MLP(dim, 2048, dim, norm_fn=nn.BatchNorm1d)
    model = LeWM(nn.Identity(), predictor, Embedder(block, emb_dim=dim), pred_proj=head)
    generator = torch.Generator().manual_seed(0)
    for weight in model.parameters():
        weight.data += 0.05 * torch.randn(weight.shape, generator=generator)
    return model.eval().requires_grad_(False)


def peer_plan(model: nn.Module, z0: Tensor, goal: Tensor, num_iterations: int) -> dict[str, Any]:
    """One plan by the peer's CEM from latent z0 to a goal, both (1, D)."""
    from stable_worldmodel.solver import CEMSolver

    solver = CEMSolver(
        model,
        num_samples=LEWM_SEARCH.num_samples,
        n_steps=num_iterations,
        topk=LEWM_SEARCH.num_elites,
        device=z0.device,
        seed=0,
    )
    block = LEWM_TRANSFORMER.block
    solver.configure(
        action_space=Box(-1.0, 1.0, (1, ACTION_DIM), np.float32),
        n_envs=1,
        config=SimpleNamespace(horizon=LEWM_SEARCH.horizon // block, action_block=block),
    )
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its time
        return solver.solve(_seen(z0) | {"goal": torch.zeros(1, 1, 3, 1, 1), "goal_emb": goal[:, None]})


def peer_rollout(model: nn.Module, z0: Tensor, actions: Tensor) -> Tensor:
    """Latents (B, N, G, D) after each block of actions (B, N, H, A) from z0 (B, D), by the peer's own rollout."""
    seen = {name: value[:, None].expand(-1, actions.shape[1], *value.shape[1:]) for name, value in _seen(z0).items()}
    blocks = actions.unflatten(2, (-1, LEWM_TRANSFORMER.block)).flatten(3)
    return model.rollout(seen, blocks)["predicted_emb"][:, :, 1:]  # type: ignore[operator]


def _seen(z0: Tensor) -> dict[str, Tensor]:
    """An observation of the peer's with its latent given, of which it then uses only the number of frames."""
    return {"pixels": torch.zeros(1, 1, 3, 1, 1, device=z0.device), "emb": z0[:, None]}


def from_peer(model: nn.Module) -> TransformerPredictor:
    """The peer's predictor, action encoder and projection as our `TransformerPredictor`: the same function."""
    theirs = model.state_dict()
    ours = TransformerPredictor(LEWM_PREDICTOR, LEWM_LATENT_DIM, ACTION_DIM).to(next(model.parameters()).device)
    weights = {name: theirs[source] for name, source in _NAMES.items()}
    for index in range(LEWM_PREDICTOR.depth):
        for name, source in _LAYER_NAMES.items():
            weights[f"layers.{index}.{name}"] = theirs[f"predictor.transformer.layers.{index}.{source}"]
    weights["position"] = weights["position"][0]
    # their action encoder begins with two linear maps, the first of them a convolution of one step
    first, second = theirs["action_encoder.patch_embed.weight"][..., 0], theirs["action_encoder.embed.0.weight"]
    weights["embed_actions.0.weight"] = second @ first
    offset = second @ theirs["action_encoder.patch_embed.bias"]
    weights["embed_actions.0.bias"] = weights["embed_actions.0.bias"] + offset
    # their projection has a BatchNorm behind its first linear map
    norm = {key: theirs[f"pred_proj.net.1.{key}"] for key in ("weight", "bias", "running_mean", "running_var")}
    gain = norm["weight"] * (norm["running_var"] + 1e-5).rsqrt()
    weights["head.0.weight"] = gain[:, None] * weights["head.0.weight"]
    weights["head.0.bias"] = gain * (weights["head.0.bias"] - norm["running_mean"]) + norm["bias"]
    ours.load_state_dict(weights)
    return ours.eval()


_NAMES = {
    "position": "predictor.pos_embedding",
    **{f"norm.{part}": f"predictor.transformer.norm.{part}" for part in ("weight", "bias")},
    **{
        f"{ours}.{part}": f"{theirs}.{part}"
        for ours, theirs in (
            ("embed_actions.0", "action_encoder.embed.0"),
            ("embed_actions.2", "action_encoder.embed.2"),
            ("head.0", "pred_proj.net.0"),
            ("head.2", "pred_proj.net.3"),
        )
        for part in ("weight", "bias")
    },
}
_LAYER_NAMES = {
    "qkv.weight": "attn.to_qkv.weight",
    **{
        f"{ours}.{part}": f"{theirs}.{part}"
        for ours, theirs in (
            ("modulate", "adaLN_modulation.1"),
            ("attention_norm", "attn.norm"),
            ("out", "attn.to_out.0"),
            ("hidden_norm", "mlp.net.0"),
            ("up", "mlp.net.1"),
            ("down", "mlp.net.4"),
        )
        for part in ("weight", "bias")
    },
}
