"""Plan in a world of your own: move the cart of own_world.py to a place, its load hanging still.

    python examples/own_world_control.py        a few seconds; needs no training

Shows that the true simulator is a model like any other, so that tasks and costs can be tried before anything is
learned. From pixels, with a learned model, two commands do the same:

    worldmodel train env.world=examples/own_world.py:factory env.name=swing
    worldmodel control run=runs/swing trust_world=true
"""

from pathlib import Path

import numpy as np
import torch

from worldmodel import envs
from worldmodel.evaluation.control.oracle import SimulatorDynamics, goal_features
from worldmodel.planners import ICEM, GoalDistance, Problem

NUM_STEPS = 40


def main() -> None:
    world = envs.make(f"{Path(__file__).with_name('own_world.py')}:factory", image_size=32)
    start, goal = np.array([-0.3, 0.4, 0.0, 0.0]), np.array([0.3, 0.0, 0.0, 0.0])
    simulator = SimulatorDynamics(world, [{}])
    objective = GoalDistance(torch.from_numpy(goal_features(world, goal[None])).float())
    planner = ICEM(horizon=20, num_samples=64, num_iterations=3)
    generator, plan = torch.Generator().manual_seed(0), None
    world.restart(seed=0, state=start)
    for _ in range(NUM_STEPS):
        shifted = None if plan is None else plan.actions.roll(-1, 1)
        state = torch.from_numpy(world.state()[None])
        plan = planner.plan(Problem(simulator, objective, state, warm_start=shifted), generator)
        world.advance(plan.actions[0, 0].numpy())
    reached = "reached" if world.reached(world.state(), goal) else "not reached"
    print(f"the cart is at {world.state()[0]:.2f} m, its load at {world.state()[1]:.2f} rad: {reached}")


if __name__ == "__main__":
    main()
