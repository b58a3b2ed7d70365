"""Plan with a cost of one's own: reach a goal image gently, on one side of the arm's room.

    python examples/own_cost.py        needs no data and no training: the model comes with the package

A cost is any function of predicted latents (B, N, H, D) and candidate actions (B, N, H, A) to costs (B, N). To plan
with it by CUDA graphs too (`planners.CapturedPlanner`), derive it from `planners.RecordableObjective`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from worldmodel import envs
from worldmodel.models import PlanningModel, WorldModel
from worldmodel.planners import CEM, MPC, ActionRate, Constraint, GoalDistance, WeightedSum
from worldmodel.runs.pretrained import FOLDER

NUM_STEPS = 40


@dataclass(frozen=True)
class Hurry:
    """A cost of one's own: every step away from the goal costs the same, however far away it is."""

    goal: Tensor
    width: float = 0.5

    def __call__(self, latents: Tensor, actions: Tensor) -> Tensor:
        squared = (latents - self.goal[:, None, None]).square().sum(-1)
        return (1 - (-squared / self.width).exp()).mean(-1)


def weak_first_motor(latents: Tensor, actions: Tensor) -> Tensor:
    """By how much each step asks more of the shoulder than half of its torque, (B, N, H)."""
    return actions[..., 0].abs() - 0.5


def as_tensor(frame) -> Tensor:
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
            (0.1, ActionRate()),  # no sudden changes
            (10.0, Constraint(weak_first_motor, weight=1.0)),  # math.inf would forbid it
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
    error = observation["state"][:2] - goal_state[:2]
    print(f"joint errors {error.round(2)} rad, strongest shoulder torque {strongest:.2f}")


if __name__ == "__main__":
    main()
