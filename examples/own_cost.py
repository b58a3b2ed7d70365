"""Plan with a cost of your own: reach a goal image quickly and smoothly, and spare the shoulder's motor.

    python examples/own_cost.py        a few seconds; the model comes with the package

Shows the whole control loop from pixels, and that a cost is any function of predicted latents (B, N, H, D) and
candidate actions (B, N, H, A) that returns costs (B, N): B robots, N candidate plans, H steps ahead, lower is better.
A cost that derives from `planners.RecordableObjective` can be planned with by CUDA graphs too.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worldmodel import envs
from worldmodel.models import PlanningModel, WorldModel
from worldmodel.planners import CEM, MPC, ActionRate, Constraint, GoalDistance, WeightedSum
from worldmodel.runs.zoo import FOLDER

NUM_STEPS = 40


@dataclass(frozen=True)
class Hurry:
    """A cost of your own: every step away from the goal costs nearly the same, however far away it is."""

    goal: Tensor
    """The latent of the goal image, (B, D)."""
    width: float = 0.5
    """Squared latent distance at which a step costs 63 % of the most it can."""

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        squared = (latents - self.goal[:, None, None]).square().sum(-1)
        return (1 - (-squared / self.width).exp()).mean(-1)


def shoulder_excess(latents: Tensor, actions: Tensor) -> Tensor:
    """How far each step's shoulder torque exceeds half of what the motor can do, (B, N, H); negative below."""
    return actions[..., 0].abs() - 0.5


def as_tensor(frame: np.ndarray) -> Tensor:
    """A frame (S, S, 3) as a batch of one, (1, 3, S, S)."""
    return torch.from_numpy(frame).permute(2, 0, 1)[None]


def main() -> None:
    world = envs.make("reacher")
    model = PlanningModel(WorldModel.load(FOLDER / "reacher"))
    world.reset(seed=3)
    goal_state, goal = world.state(), model.embed(as_tensor(world.frame()))
    observation, _ = world.reset(seed=4)

    cost = WeightedSum(
        [
            (1.0, GoalDistance(goal)),
            (1.0, Hurry(goal)),
            (0.1, ActionRate()),  # penalises sudden changes
            (10.0, Constraint(shoulder_excess, weight=1.0)),  # weight=math.inf would forbid it
        ]
    )
    mpc = MPC(model, CEM(num_samples=64, num_iterations=3, num_elites=8))
    generator = torch.Generator().manual_seed(0)
    state, strongest = mpc.init(as_tensor(observation["pixels"])), 0.0
    for _ in range(NUM_STEPS):
        actions, state, _ = mpc.act(state, cost, generator)
        strongest = max(strongest, float(actions[0, 0].abs()))
        observation, *_ = world.step(actions[0].numpy())
        state = mpc.observe(state, as_tensor(observation["pixels"]), actions)
    error = np.angle(np.exp(1j * (observation["state"] - goal_state)[:2]))  # of angles, on the circle
    print(f"joint errors {error.round(2)} rad, strongest shoulder torque {strongest:.2f}")


if __name__ == "__main__":
    main()
