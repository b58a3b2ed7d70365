"""The future that a model imagines beside the simulated or recorded one: pictures, paths and errors."""

from dataclasses import dataclass

import numpy as np
import torch

from worldmodel.envs import MujocoWorld
from worldmodel.models import WorldModel
from worldmodel.viewing.joints import with_positions
from worldmodel.viewing.messages import Imagined, Path, Solid
from worldmodel.viewing.picture_files import jpeg, tiles
from worldmodel.viewing.readouts import StateReadout
from worldmodel.viewing.solids import Solids, path_of
from worldmodel.viewing.watching import Search

NUM_TILES = 5
"""Number of pictures of a future, evenly spread over the horizon."""
_NUM_CANDIDATES = 12  # best candidates whose paths are drawn
_NUM_COSTS = 64  # lowest costs that are shown


@dataclass(frozen=True)
class Outlook:
    """The part of a moment that is about the chosen plan."""

    imagined: Imagined | None
    paths: list[Path]
    solids: list[Solid]
    """The robot at the end of the plan, as imagined."""
    costs: list[float]
    """Costs of the candidates, lowest first."""
    cost: float | None
    """Cost of the plan; None where it is not finite."""


def outlook(search: Search, model: WorldModel, world: MujocoWorld, solids: Solids, reader: StateReadout) -> Outlook:
    """The chosen plan of a search, imagined by the model beside its simulation from the world's current state.

    The world is left as it was.
    """
    latents, costs = search.imagined()[0].cpu(), search.costs[0].cpu()
    states, frames, steps = _simulated(world, search.plan.actions[0].cpu().numpy())
    now, num = states[0], world.scene.model.nq

    def path(of: torch.Tensor) -> np.ndarray:
        read = reader.positions(of.numpy().astype(np.float64))
        positions = with_positions(now, read, world.state_names, num)
        return solids.path(np.concatenate([now[None, :num], positions]))

    planned, real = path(latents), solids.path(states[:, :num])
    finite = costs[costs.isfinite()]
    best = costs.argsort()[: min(_NUM_CANDIDATES, len(finite))]
    spread = max(float(costs[best].max() - costs[best].min()), 1e-9) if len(best) else 1.0
    paths = [
        part
        for index in best.tolist()
        for part in path_of(
            "candidate",
            path(search.latents[0, index].cpu()),
            1 - float(costs[index] - costs[best[0]]) / spread,
        )
    ]
    paths += [*path_of("simulated", real), *path_of("plan", planned)]
    end = with_positions(now, reader.positions(latents[-1:].numpy().astype(np.float64)), world.state_names, num)
    seen = torch.from_numpy(np.stack([world.frame(), *frames]))
    real_latents = model.embed(seen.movedim(-1, -3).to(model.device)).cpu()
    cost = float(search.plan.cost[0])
    return Outlook(
        Imagined(
            steps=[int(step) for step in steps],
            decoded=decoded(model, latents[[step - 1 for step in steps]]),
            actual=tiles(frames),
            error=relative_error(latents[steps[-1] - 1], real_latents[-1], real_latents[0]),
            error_mm=round(1e3 * float(np.linalg.norm(planned[:, -1] - real[:, -1], axis=-1).mean()), 2),
        ),
        paths,
        solids.at(end[0]) if len(end) else [],
        np.sort(finite.numpy())[:_NUM_COSTS].tolist(),
        cost if np.isfinite(cost) else None,
    )


def decoded(model: WorldModel, latents: torch.Tensor) -> bytes | None:
    """Decoded frames of latents (n, D) side by side, JPEG; None without a decoder."""
    return None if model.decoder is None else tiles(model.decode(latents.to(model.device)).cpu().numpy())


def reconstruction(model: WorldModel, latent: torch.Tensor) -> bytes | None:
    """The decoded frame of one latent (D,), JPEG; None without a decoder."""
    return None if model.decoder is None else jpeg(model.decode(latent.to(model.device)).cpu().numpy())


def relative_error(imagined: torch.Tensor, real: torch.Tensor, now: torch.Tensor) -> float | None:
    """Distance of the imagined from the real latent (D,), divided by that of the real from the present one.

    None where nothing moves.
    """
    moved = float((real - now).norm())
    return round(float((imagined - real).norm()) / moved, 3) if moved > 1e-6 else None


def tile_steps(horizon: int) -> list[int]:
    """The control steps ahead whose pictures are shown; the last of them is the horizon."""
    return sorted({round(horizon * (k + 1) / NUM_TILES) for k in range(NUM_TILES)} - {0})


def _simulated(world: MujocoWorld, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Simulate actions (H, A): states (H+1, X), frames (n, S, S, 3) of the steps that are shown, and these steps."""
    before = world.snapshot()
    steps = tile_steps(len(actions))
    try:
        states = world.simulate(actions)
        frames = []
        for step in steps:
            world.set_state(states[step])
            frames.append(world.frame())
    finally:
        world.restore(before)
    return states, np.stack(frames), steps
