"""The static background of each task, from the frames seen so far and the goal image."""

from collections.abc import Sequence

import torch
from torch import Tensor

_MOST = 6
"""Most frames of a task that are kept, the goal image not counted."""
_APART = 0.5
"""A frame is kept if it differs from each kept one by at least this share of the largest difference seen. Otherwise a
robot that rests would become part of the background."""


class StaticScenes:
    """Reference frames of n tasks: pictures of the same scene with the robot elsewhere, or without it."""

    def __init__(self, goals: Tensor | None, num: int) -> None:
        """
        Args:
            goals: goal images, uint8 (n, 3, S, S), which show the same scenes; None: there are none.
            num: n.
        """
        self.changed = False
        """Whether the last `look` changed any reference."""
        self._scenes = [_Scene(None if goals is None else goals[task]) for task in range(num)]

    def keep(self, which: Sequence[int]) -> None:
        """Continue with some of the tasks."""
        self._scenes = [self._scenes[task] for task in which]

    def aim(self, goals: Tensor) -> None:
        """Replace the goal images, uint8 (n, 3, S, S)."""
        for scene, goal in zip(self._scenes, goals, strict=True):
            scene.aim(goal)

    def look(self, frames: Tensor) -> None:
        """Take in the current frames, uint8 (n, 3, S, S)."""
        changed = [scene.look(frame) for scene, frame in zip(self._scenes, frames, strict=True)]
        self.changed = any(changed)

    def reference(self, frames: Tensor) -> Tensor:
        """The references, uint8 (n, 3, S, S), to embed frames of these tasks with, uint8 (n, 3, S, S).

        The median of goal image and kept frames, in which the robot vanishes. Before three are known, the one that
        differs most from the frame.
        """
        return torch.stack([scene.reference(frame) for scene, frame in zip(self._scenes, frames, strict=True)])


class _Scene:
    """The scene of one task; frames are uint8 (3, S, S)."""

    def __init__(self, goal: Tensor | None) -> None:
        self._goal = [] if goal is None else [goal]
        self._seen: list[Tensor] = []
        self._median: Tensor | None = None
        self._farthest = 0.0

    def look(self, frame: Tensor) -> bool:
        """Take in a frame; whether it is kept."""
        known = self._goal + self._seen
        if known:
            apart = _difference(torch.stack(known), frame)
            self._farthest = max(self._farthest, float(apart.max()))
            if self._seen and float(apart.min()) < _APART * self._farthest:
                return False
        self._seen = [*self._seen, frame][-_MOST:]
        self._find_median()
        return True

    def aim(self, goal: Tensor) -> None:
        """Replace the goal image."""
        self._goal = [goal]
        self._find_median()

    def _find_median(self) -> None:
        known = self._goal + self._seen
        self._median = torch.stack(known).median(0).values if len(known) > 2 else None

    def reference(self, frame: Tensor) -> Tensor:
        if self._median is not None:
            return self._median
        known = torch.stack(self._goal + self._seen)
        return known[int(_difference(known, frame).argmax())]


def _difference(frames: Tensor, frame: Tensor) -> Tensor:
    """Mean absolute difference in grey levels between each frame (m, 3, S, S) and a frame (3, S, S), (m,)."""
    return (frames.float() - frame.float()).abs().mean((1, 2, 3))
