"""`python -m benchmarks.concept_pictures`: the pictures of docs/concepts.md, each computed with the toolkit itself.

Letters: n points, D latents, T control steps.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.polynomial.hermite_e import hermeval

from worldmodel import envs
from worldmodel.envs import make_policy
from worldmodel.figures import style
from worldmodel.models import PlanningModel
from worldmodel.runs import Run

FOLDER = Path(__file__).parents[1] / "docs/images"
GRID = 41
"""Angles along each axis of the map of planning costs."""


def identifiability() -> Figure:
    """A grid of true variables, and where two encoders put it: one rotates it, one bends it."""
    axis = np.linspace(-2, 2, 9)
    lines = [np.stack([np.full(60, x), np.linspace(-2, 2, 60)], 1) for x in axis]
    lines += [line[:, ::-1] for line in lines]
    turn = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])

    def bent(z: np.ndarray) -> np.ndarray:
        return np.stack([np.tanh(0.9 * z[:, 0]) * 2 + 0.3 * z[:, 1] ** 2 - 0.5, z[:, 1] + 0.35 * z[:, 0] ** 2 - 0.6], 1)

    figure, axes = style.panels(3, 3, (2.5, 2.5))
    maps: list[tuple[str, Callable[[np.ndarray], np.ndarray]]] = [
        ("the world's variables", lambda z: z),
        ("identified: rotated", lambda z: z @ turn.T),
        ("not identified: bent", bent),
    ]
    start, goal = np.array([[-1.5, -1.5]]), np.array([[1.5, 1.0]])
    for ax, (title, f) in zip(axes, maps, strict=True):
        for k, line in enumerate(lines):
            ax.plot(*f(line).T, color=style.BLUE if k < len(axis) else style.AMBER, linewidth=0.9)
        ends = np.vstack([f(start), f(goal)])
        ax.plot(*ends.T, color=style.INK, linewidth=1.6, linestyle=":")
        ax.plot(*ends.T, "o", color=style.ROSE, markersize=5)
        ax.set(title=title, xticks=[], yticks=[], aspect="equal", xlim=(-3.4, 3.4), ylim=(-3.4, 3.4))
        ax.axis("off")
    return figure


def alignment() -> Figure:
    """Correlation of the Hermite polynomials of a variable across OU pairs: rho^k, so that linear ones win."""
    rho, rng = 0.9, np.random.default_rng(0)
    z = rng.standard_normal(200_000)
    pair = rho * z + np.sqrt(1 - rho**2) * rng.standard_normal(len(z))
    degrees = np.arange(1, 6)
    found = [np.corrcoef(hermeval(z, np.eye(6)[k]), hermeval(pair, np.eye(6)[k]))[0, 1] for k in degrees]
    figure, (left, right) = style.panels(2, 2, (3.4, 2.6))
    left.scatter(z[:1500], pair[:1500], s=5, color=style.BLUE, alpha=0.4, linewidths=0)
    left.set(title="positive pairs", xlabel="variable in one image", ylabel="in the other", xlim=(-3.5, 3.5))
    right.bar(degrees, found, color=[style.TEAL, *[style.GREY] * 4], width=0.6)
    right.plot(degrees, rho**degrees, "_", color=style.INK, markersize=26)
    right.set(title="how well they agree", xlabel="degree of the function of the variable", ylim=(0, 1))
    right.set_ylabel("correlation of a pair")
    return figure


def sigreg() -> Figure:
    """Two batches of latents of equal mean and covariance, and their projections on one direction."""
    rng = np.random.default_rng(1)
    gaussian, angle = rng.standard_normal((1200, 2)), rng.uniform(0, 2 * np.pi, 1200)
    ring = np.sqrt(2) * np.stack([np.cos(angle), np.sin(angle)], 1) + 0.08 * rng.standard_normal((1200, 2))
    direction = np.array([np.cos(0.6), np.sin(0.6)])
    x = np.linspace(-3.5, 3.5, 200)
    figure, axes = style.panels(4, 4, (2.0, 2.2))
    for (cloud, slice_), points, name in zip((axes[:2], axes[2:]), (gaussian, ring), ("kept", "changed"), strict=True):
        cloud.scatter(*points.T, s=3, color=style.BLUE, alpha=0.4, linewidths=0)
        cloud.annotate(
            "",
            (3.0 * direction[0], 3.0 * direction[1]),
            (0, 0),
            arrowprops={"arrowstyle": "->", "color": style.ROSE, "lw": 1.8},
        )
        cloud.set(title=f"latents: {name}", xticks=[], yticks=[], aspect="equal", xlim=(-3.5, 3.5), ylim=(-3.5, 3.5))
        slice_.hist(points @ direction, 40, density=True, color=style.PALE_BLUE)
        slice_.plot(x, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), color=style.ROSE)
        slice_.set(title="along the arrow", yticks=[], xlim=(-3.5, 3.5), ylim=(0, 0.55))
        slice_.spines["left"].set_visible(False)
    return figure


def excitation() -> Figure:
    """Which joint angles of the reacher three policies visit in 20 episodes."""
    world = envs.make("reacher", image_size=16)
    policies = {
        "uniform noise": make_policy("uniform"),
        "OU noise": make_policy("ou", std=0.65, time_constant_s=0.15),
        "designed to be Gaussian": make_policy("designed_gaussian"),
    }
    figure, axes = style.panels(3, 3, (2.5, 2.5))
    for ax, (name, policy) in zip(axes, policies.items(), strict=True):
        visited = [envs.rollout(world, policy, seed=k, num_steps=200, render=False).states[:, :2] for k in range(20)]
        angles = np.degrees(np.vstack(visited))
        chosen = style.thin(len(angles), 2500)
        ax.scatter(*angles[chosen].T, s=4, color=style.BLUE, alpha=0.35, linewidths=0)
        ax.set(title=name, xlabel="shoulder (degrees)", xlim=(-360, 360), ylim=(-180, 180))
    axes[0].set_ylabel("wrist (degrees)")
    return figure


def contexts() -> Figure:
    """One push, three frictions: the paths of the puck from which a context encoder tells the friction."""
    world = envs.make("puck", image_size=16)
    nominal = world.factor_values["friction"]
    figure = style.new_figure(4.6, 2.7)
    ax = figure.add_subplot()
    for colour, times in zip((style.TEAL, style.BLUE, style.AMBER), (0.5, 1.0, 2.0), strict=True):
        world.restart(seed=0, factors={"friction": nominal * times})
        states = [world.state()]
        for step in range(40):
            world.advance(np.array([0.8, 0.0]) * (step < 6))
            states.append(world.state())
        moved = (np.array(states)[:, 0] - states[0][0]) * 100
        ax.plot(np.arange(41) * world.control_dt_s, moved, color=colour, label=f"friction x {times:g}")
    ax.set(title="the same push", xlabel="seconds", ylabel="way of the puck (cm)")
    ax.legend()
    return figure


def planning_costs() -> Figure:
    """Two planning costs of the packaged reacher model over all joint angles, for one goal image."""
    run = Run("zoo/reacher")
    world = envs.make(**run.config.env.make_arguments())
    model = PlanningModel(run.model())
    assert model.heads is not None
    angles = np.linspace(-np.pi, np.pi, GRID)
    states = np.zeros((GRID * GRID, len(world.state())))
    states[:, :2] = np.stack(np.meshgrid(angles, angles), -1).reshape(-1, 2)
    goal = np.zeros(states.shape[1])
    goal[:2] = 0.8, 1.2
    frames = np.stack([world.goal_frame(state, world.factor_values) for state in [*states, goal]])
    with torch.no_grad():
        latents = model.embed(torch.from_numpy(frames).permute(0, 3, 1, 2))
        target = latents[-1:].expand(len(states), -1)
        costs = {
            "latent distance": (latents[:-1] - target).norm(dim=-1),
            "learned time to the goal": model.heads.squared_time(latents[:-1], target).sqrt(),
        }
    figure, axes = style.panels(2, 2, (3.4, 2.9))
    for ax, (title, cost) in zip(axes, costs.items(), strict=True):
        _cost_map(ax, np.degrees(angles), cost.numpy().reshape(GRID, GRID), title)
        ax.plot(*np.degrees(goal[:2]), "*", color=style.ROSE, markersize=11)
    return figure


def _cost_map(ax: Axes, angles: np.ndarray, cost: np.ndarray, title: str) -> None:
    filled = ax.contourf(angles, angles, cost, 14, cmap=style.TRUTH_COLOURS)
    ax.figure.colorbar(filled, ax=ax)
    ax.set(title=title, xlabel="shoulder (degrees)", ylabel="wrist (degrees)")


def protocols() -> Figure:
    """Distance to the goal over time, and what each protocol asks of it."""
    steps = np.arange(51)
    distance = 1.6 * np.exp(-steps / 6) + 0.4 * np.exp(-((steps - 23) ** 2) / 20) + 0.06
    figure, axes = style.panels(2, 2, (3.4, 2.5))
    near = distance < 0.25
    for ax, title in zip(axes, ("lewm: one moment is enough", "strict: held for five steps"), strict=True):
        ax.plot(steps, distance, color=style.BLUE)
        ax.axhspan(0, 0.25, color=style.PALE_BLUE, alpha=0.4, linewidth=0)
        ax.set(title=title, xlabel="control steps", ylabel="distance to the goal", ylim=(0, 1.7), xlim=(0, 50))
    first = int(np.flatnonzero(near)[0])
    held = next(k for k in range(4, 51) if near[k - 4 : k + 1].all())
    for ax, step in zip(axes, (first, held), strict=True):
        ax.plot(steps[step], distance[step], "o", color=style.TEAL, markersize=8)
        ax.annotate("success", (steps[step], distance[step]), (8, 16), textcoords="offset points", color=style.TEAL)
    return figure


PICTURES = {
    "identifiability": identifiability,
    "alignment": alignment,
    "sigreg": sigreg,
    "excitation": excitation,
    "contexts": contexts,
    "planning_costs": planning_costs,
    "protocols": protocols,
}


def main() -> None:
    """Draw every picture into docs/images."""
    torch.set_num_threads(1)
    for name, draw in PICTURES.items():
        with style.styled():
            path = style.save_png(draw(), FOLDER / f"concept_{name}.png")
        print(f"wrote {path}, {path.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main()
