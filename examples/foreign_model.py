"""The planners with a model that isn't ours: they need torch, three functions and two numbers.

    python examples/foreign_model.py

Here the model is a pendulum's equation of motion, written down; it could be any network. Nothing is inherited.
"""

import torch
from torch import Tensor

from worldmodel.planners import MPPI, GoalDistance, Problem

DT_S, GRAVITY, MAX_TORQUE = 0.05, 9.81, 4.0
NUM_STEPS = 80


class Pendulum:
    """Latents are (cos, sin, angular velocity / 8) of a rod of one metre; the angle is 0 upright."""

    num_context_frames = 1
    action_dim = 1

    def embed(self, frames: Tensor) -> Tensor:
        raise NotImplementedError("this model sees no frames; a network's encoder would go here")

    def encode(self, latents: Tensor, actions: Tensor) -> Tensor:
        return latents[:, -1]

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, 3), (B, N, H, 1) -> (B, N, H, 3): the latent after each action."""
        cosine, sine, speed = z0[:, None].expand(-1, actions.shape[1], -1).unbind(-1)
        angle, speed = torch.atan2(sine, cosine), 8 * speed
        latents = []
        for torque in (MAX_TORQUE * actions[..., 0]).unbind(2):
            speed = speed + DT_S * (1.5 * GRAVITY * angle.sin() + 3 * torque)
            angle = angle + DT_S * speed
            latents.append(torch.stack([angle.cos(), angle.sin(), speed / 8], -1))
        return torch.stack(latents, 2)


def main() -> None:
    model, upright = Pendulum(), torch.tensor([[1.0, 0.0, 0.0]])
    planner = MPPI(horizon=30, num_samples=200, num_iterations=3, temperature=0.05)
    generator, plan = torch.Generator().manual_seed(0), None
    state = torch.tensor([[-1.0, 0.0, 0.0]])  # hanging
    for _ in range(NUM_STEPS):
        shifted = None if plan is None else plan.actions.roll(-1, 1)
        plan = planner.plan(Problem(model, GoalDistance(upright), state, warm_start=shifted), generator)
        state = model.rollout(state, plan.actions[:, None, :1])[:, 0, 0]
    print(f"height {float(state[0, 0]):.3f} of 1, angular velocity {8 * float(state[0, 2]):.2f} rad/s")


if __name__ == "__main__":
    main()
