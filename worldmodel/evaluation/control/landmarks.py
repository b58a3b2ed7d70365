"""Ways to far goals: a graph over recorded latents, whose edges are what the recording did within a few control steps.

Search on the replay buffer (Eysenbach et al. 2019, arXiv:1906.05253) over landmarks (Zhang et al. 2021,
arXiv:2011.12491). Here no distance is learned: an edge is a motion that was recorded, and its length the control steps
that it took. No label is read.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from worldmodel.data.frames import load_frames
from worldmodel.data.store import DataSet, EpisodeIndex
from worldmodel.evaluation.control.planning import planner_of
from worldmodel.learning.sources import encoded_table, segments
from worldmodel.models import WorldModel
from worldmodel.settings import PlanConfig, TrainConfig
from worldmodel.system.errors import StoreError
from worldmodel.system.printable import say

_LANDMARKS = 1000
_FRAMES = 40_000
"""Most recorded frames that are encoded, so that it takes seconds."""
_CHUNK = 8192
_REACH = 0.5
"""Share of the planner's horizon within which a subgoal lies, in steps of recordings: a plan needs time to arrive."""


@dataclass(frozen=True)
class LandmarkGraph:
    """L recorded moments, and how many control steps it takes to come from one to another.

    A moment is a frame's latent and that of the oldest frame that the predictor sees, so that moments of one place that
    are passed at different velocities are told apart.
    """

    moments: Tensor
    """(L, 2, D): the latent then, and before."""
    steps: Tensor
    """Control steps from one (row) to another (column) on the shortest way, (L, L); infinite where there is none."""
    spacing: float
    """No recorded latent is farther than this from that of a landmark."""
    reach: int
    """Control steps within which a subgoal lies. No edge is longer."""

    def subgoals(self, latents: Tensor, goals: Tensor) -> Tensor:
        """Latents (n, D) to plan to: the landmark within reach that has the fewest steps left to the goal.

        It is the goal itself where that is within two such stages, about the planner's horizon, since stages cost some
        precision; where no way to it was recorded; and where the robot or the goal is farther from all landmarks than
        any recorded frame was, as under a look that the encoder does not know.

        Args:
            latents: of the last K observations, (n, K, D), oldest first.
            goals: (n, D).
        """
        now = torch.stack([latents[:, -1], latents[:, 0]], 1)
        here = torch.cdist(now.flatten(1), self.moments.flatten(1)).argmin(1)
        # a picture shows no velocity, so that a goal may be reached at any
        off, lost = torch.cdist(goals, self.moments[:, 0]), torch.cdist(latents[:, -1], self.moments[:, 0]).amin(1)
        is_goal = off <= off.amin(1, keepdim=True).clamp_min(self.spacing)
        to_go = torch.stack([self.steps[:, chosen].amin(1) for chosen in is_goal])
        left, ahead = to_go.gather(1, here[:, None])[:, 0], to_go.where(self.steps[here] <= self.reach, torch.inf)
        unknown = (lost > self.spacing) | (off.amin(1) > self.spacing)
        direct = (left <= 2 * self.reach) | left.isinf() | unknown
        return torch.where(direct[:, None], goals, self.moments[ahead.argmin(1), 0])


def landmark_graph(
    latents: Tensor, episodes: EpisodeIndex, reach: int, lag: int = 0, num_landmarks: int = _LANDMARKS
) -> LandmarkGraph:
    """The graph over recorded motion.

    Args:
        latents: of every row of a data set, (rows, D).
        episodes: stretches of rows, each one motion.
        reach: most control steps of an edge.
        lag: control steps from a moment's earlier latent to its later one.
        num_landmarks: L; fewer where there are fewer rows.
    """
    rows = episodes.rows()
    before = np.maximum(rows - lag, np.repeat(episodes.offset, episodes.length))
    moments = torch.stack([latents[rows], latents[before]], 1)
    chosen, label, distance = _spread(moments.flatten(1), num_landmarks)
    episode = np.repeat(np.arange(len(episodes)), episodes.length)
    visits = _visits(label.cpu().numpy(), distance.cpu().numpy(), episode)
    fewest = np.full((len(chosen), len(chosen)), np.inf)
    place, owner = label.cpu().numpy()[visits], episode[visits]
    for apart in range(1, reach + 1):
        first, last = slice(None, -apart), slice(apart, None)
        took = visits[last] - visits[first]
        one_motion = (owner[first] == owner[last]) & (took <= reach)
        np.minimum.at(fewest, (place[first][one_motion], place[last][one_motion]), took[one_motion])
    edges = csr_array(np.where(np.isinf(fewest), 0, fewest))
    steps = torch.from_numpy(dijkstra(edges)).float().to(latents.device)
    spacing = max(float(torch.cdist(part, moments[chosen, 0]).amin(1).amax()) for part in latents[rows].split(_CHUNK))
    return LandmarkGraph(moments[chosen], steps, spacing, reach)


def _spread(points: Tensor, num: int) -> tuple[Tensor, Tensor, Tensor]:
    """Farthest-point sampling: points int64 (L,), which of them is nearest to each of all int64 (n,), how near (n,)."""
    chosen = [0]
    distance = (points - points[0]).square().sum(1)
    label = torch.zeros(len(points), dtype=torch.int64, device=points.device)
    while len(chosen) < num and distance.amax() > 0:
        chosen.append(int(distance.argmax()))
        other = (points - points[chosen[-1]]).square().sum(1)
        label[other < distance] = len(chosen) - 1
        distance = torch.minimum(distance, other)
    return torch.tensor(chosen, device=points.device), label, distance.sqrt()


def _visits(label: np.ndarray, distance: np.ndarray, episode: np.ndarray) -> np.ndarray:
    """A row for each visit, int64 (v,): where a motion is closest to the landmark that is its nearest one meanwhile."""
    begins = np.flatnonzero(np.diff(label, prepend=-1) | np.diff(episode, prepend=-1))
    stay = np.repeat(np.arange(len(begins)), np.diff(begins, append=len(label)))
    return np.lexsort((distance, stay))[begins]


def possible(plan: PlanConfig, trained: TrainConfig) -> PlanConfig:
    """The plan settings; without subgoals, and with a message, where the recording that they need is gone.

    Raises:
        UserError: there is no such planner; ValueError: its settings are out of range. Both before minutes are spent.
    """
    planner_of(plan)
    if plan.subgoals:
        try:
            _recording(trained)
        except StoreError as error:
            say(f"plans go straight to the goal: the recording that shows the ways (subgoals=true) is missing: {error}")
            return replace(plan, subgoals=False)
    return plan


def ways(plan: PlanConfig, model: WorldModel, trained: TrainConfig) -> LandmarkGraph | None:
    """The graph over the recording that a run was trained on; None where plans go to the goal itself.

    Raises:
        StoreError: the recording is not there; `possible` says so first.
    """
    if not plan.subgoals:
        return None
    data = _recording(trained)
    # recorded frames look as the encoder knows them, so a robust one, ten times as slow, has nothing to add
    frames = load_frames(data, model.encoder.config.input_size, model.device)
    table = encoded_table(model.encoder, data, frames)
    reach = max(1, round(_REACH * planner_of(plan).horizon))
    return landmark_graph(table.latents, segments(data, data.split("train")), reach, model.num_context_frames - 1)


def _recording(trained: TrainConfig) -> DataSet:
    """The run's data set, cut to about `_FRAMES` frames."""
    collection = trained.collection
    return DataSet(collection.directory, min(collection.episodes, -(-_FRAMES // collection.episode_steps)))
