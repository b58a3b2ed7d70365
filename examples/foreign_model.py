"""Plan with a model of your own: here a pendulum's equation of motion, swung up and held; it could be any network.

    python examples/foreign_model.py        a second; needs no data

Shows that a planner asks three functions and two numbers of a model. There is no base class to inherit from.
"""

import torch
from torch import Tensor

from worldmodel.planners import MPC, MPPI, GoalDistance

DT_S, GRAVITY, MAX_TORQUE = 0.05, 9.81, 4.0
NUM_STEPS = 80


class Pendulum:
    """A rod of one metre. An observation is (angle, angular velocity), the angle 0 where the rod stands upright.

    Latents are (cosine, sine, angular velocity / 8), so that their distance knows that an angle comes round.
    """

    num_context_frames = 1
    """How many of the last latents `encode` needs."""
    action_dim = 1

    def embed(self, observations: Tensor) -> Tensor:
        """Observations (B, 2) to latents (B, 3). A network's frame encoder would go here."""
        angle, speed = observations.unbind(-1)
        return torch.stack([angle.cos(), angle.sin(), speed / 8], -1)

    def encode(self, latents: Tensor, actions: Tensor) -> Tensor:
        """The last latents (B, 1, 3), and the actions between them (B, 0, 1), to the state that a plan starts from."""
        return latents[:, -1]

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """From states (B, 3), N candidate plans (B, N, H, 1) lead to latents (B, N, H, 3), one after each action."""
        cosine, sine, speed = z0[:, None].expand(-1, actions.shape[1], -1).unbind(-1)
        observation = torch.stack([torch.atan2(sine, cosine), 8 * speed], -1)
        latents = []
        for torque in actions[..., 0].unbind(2):
            observation = step(observation, torque)
            latents.append(self.embed(observation))
        return torch.stack(latents, 2)


def step(observation: Tensor, action: Tensor) -> Tensor:
    """The equation of motion: (…, 2) and an action in [-1, 1], (…), to what is observed a time step later."""
    angle, speed = observation.unbind(-1)
    speed = speed + DT_S * (1.5 * GRAVITY * angle.sin() + 3 * MAX_TORQUE * action)
    return torch.stack([angle + DT_S * speed, speed], -1)


def main() -> None:
    model = Pendulum()
    upright = model.embed(torch.tensor([[0.0, 0.0]]))
    mpc = MPC(model, MPPI(horizon=30, num_samples=200, num_iterations=3, temperature=0.05))
    generator = torch.Generator().manual_seed(0)
    observation = torch.tensor([[torch.pi, 0.0]])  # hanging
    state = mpc.init(observation)
    for _ in range(NUM_STEPS):
        actions, state, _ = mpc.act(state, GoalDistance(upright), generator)
        observation = step(observation, actions[:, 0])
        state = mpc.observe(state, observation, actions)
    angle, speed = observation[0]
    print(f"height {float(angle.cos()):.3f} of 1, angular velocity {float(speed):.2f} rad/s")


if __name__ == "__main__":
    main()
