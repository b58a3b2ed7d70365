"""What a planner earns that knows the simulator and the reward: how far ahead, and how hard, a task must be planned."""

from contextlib import closing

import torch
from torch import Tensor

from worldmodel import envs
from worldmodel.planners import CEM, Problem, RewardCost

_PLANNER = CEM(horizon=20, num_samples=32, num_iterations=3, num_elites=4)
"""As far ahead as `rounds` plan (configs/rounds.yaml), with fewer samples, as every one is simulated in Python."""


class TrueRewards:
    """A `worldmodel.planners.LatentDynamics` of one world, in which the latent after an action is its true reward.

    It steps the world instead of using `HeldControls`, which gives states alone. A reward would have to be computed
    from each state and the control that led to it, also between the control steps for which an action is held. That
    takes most of the time: .10 of .16 ms a step on cheetah-run, .20 of .29 on cartpole-swingup, .09 of .16 on
    hopper-hop. In all it would save 15, 19 and 3 % of the time, for more code.
    """

    num_context_frames = 1

    def __init__(self, world: envs.MujocoWorld) -> None:
        self._world, self.action_dim = world, world.scene.action_dim

    def embed(self, observations: Tensor) -> Tensor:
        raise TypeError("plans begin at the world's own state")

    def encode(self, latents: Tensor, actions: Tensor) -> Tensor:
        raise TypeError("plans begin at the world's own state")

    def rollout(self, z0: Tensor, actions: Tensor, context: Tensor | None = None) -> Tensor:
        """Rewards (1, N, H, 1) of actions (1, N, H, A) from the state that the world is in, and stays in."""
        now, found = self._world.snapshot(), torch.zeros(*actions.shape[:3], 1)
        for number, sequence in enumerate(actions[0].numpy()):
            self._world.restore(now)
            for step, action in enumerate(sequence):
                found[0, number, step], ended = self._world.advance(action)
                if ended:
                    break
        self._world.restore(now)
        return found


def oracle_return(task: str, action_repeat: int, num_episodes: int, planner: CEM = _PLANNER) -> float:
    """Mean return of whole episodes of a task, actions held for `action_repeat` control steps."""
    objective, generator = RewardCost(lambda latents: latents[..., 0], discount=0.99), torch.Generator().manual_seed(0)
    returns = []
    with closing(envs.make(task, action_repeat=action_repeat)) as world:
        dynamics = TrueRewards(world)
        for episode in range(num_episodes):
            world.restart(seed=episode)
            warm_start, earned = None, 0.0
            for step in range(world.max_steps):
                if step % 50 == 0:
                    print(f"oracle {task}: step {step} of {world.max_steps}, earned {earned:.0f}", flush=True)
                problem = Problem(dynamics, objective, torch.zeros(1, 1), warm_start=warm_start)
                actions = planner.plan(problem, generator).actions
                reward, ended = world.advance(actions[0, 0].numpy())
                earned += reward
                if ended:
                    break
                warm_start = torch.cat([actions[:, 1:], torch.zeros_like(actions[:, :1])], 1)
            returns.append(earned)
    return sum(returns) / len(returns)
