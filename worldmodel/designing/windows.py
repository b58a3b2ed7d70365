"""Fisher information of windows of motion under a policy about the constants."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from worldmodel.designing.design_result import ChosenPolicy, FiniteDifferences
from worldmodel.designing.differentiation import differentiate, state_spread
from worldmodel.designing.information import marginal_information, posterior_covariance
from worldmodel.designing.problem import DesignProblem
from worldmodel.envs.sensitivity import Motion, Sensitivities
from worldmodel.system.errors import UserError
from worldmodel.system.progress import progress

NOISE_RATIOS = (1.0, 2.0, 4.0)
"""Multiples of the stated noise for which bounds are computed."""


@dataclass(frozen=True)
class WindowInformation:
    """Fisher information of W windows of one policy's trajectories about P constants."""

    information: np.ndarray
    """By noise and length of the window, (noise ratios, prefixes, W, P, P)."""
    trajectory: np.ndarray
    """Which trajectory each window is from, int (W,)."""
    prefixes: tuple[int, ...]
    """Control steps from the start of a window, the whole window last."""
    outside: float
    """Share of frames beyond what the frame encoder knows."""

    @property
    def windows(self) -> np.ndarray:
        """Information of whole windows at the stated noise, (W, P, P)."""
        return self.information[NOISE_RATIOS.index(1.0), -1]

    @cached_property
    def covariance(self) -> np.ndarray:
        """Posterior covariance of the constants after a window, (P, P), averaged over windows."""
        return posterior_covariance(self.windows)

    @property
    def episodes(self) -> np.ndarray:
        """Information of all windows of a trajectory together, (trajectories, P, P)."""
        return np.stack([self.windows[self.trajectory == i].sum(0) for i in np.unique(self.trajectory)])


def window_information(
    problem: DesignProblem, differences: FiniteDifferences, policy: ChosenPolicy, seeds: range, label: str = ""
) -> WindowInformation:
    """Information of all windows of trajectories under a policy; the same seeds draw the same constants and starts.

    With a label, progress is shown, and shorter windows and more noise are looked at too.

    Raises:
        UserError: every episode ended before a window was full.
    """
    config = problem.config
    motions = problem.motions(policy, seeds)
    spread = state_spread(problem, motions)
    prefixes = _prefixes(config.window_steps) if label else (config.window_steps,)
    starts = range(0, config.training.collection.episode_steps - config.window_steps + 1, config.window_steps)
    information, trajectory = [], []
    bar = progress(motions, desc=label) if label else motions
    for index, motion in enumerate(bar):
        for start in (start for start in starts if start + config.window_steps < len(motion.states)):
            segments = _segments(problem, differences, motion, start, spread)
            information.append(_of_one_window(problem, segments, prefixes, bool(label)))
            trajectory.append(index)
    if not information:
        raise UserError(
            f"every episode ended within {config.window_steps} steps under {policy.name}; shorten the window"
        )
    return WindowInformation(np.stack(information, 2), np.array(trajectory), prefixes, _share_outside(problem, motions))


def _share_outside(problem: DesignProblem, motions: Sequence[Motion]) -> float:
    """Share of frames with a position beyond what the frame encoder knows."""
    states = np.concatenate([motion.states for motion in motions])
    outside = [np.abs(states[:, index]) > limit for index, limit in problem.reach.items()]
    return float(np.any(outside, 0).mean()) if outside else 0.0


def _prefixes(window: int) -> tuple[int, ...]:
    """Window lengths to show, about eight, in steps of a multiple of 8."""
    stride = 8 * max(1, round(window / 64))
    return (*range(stride, window, stride), window)


def _segments(
    problem: DesignProblem, differences: FiniteDifferences, motion: Motion, start: int, spread: np.ndarray
) -> list[Sensitivities]:
    """Sensitivities of a window's segments; the frame at a border belongs to the later one alone."""
    window, length = problem.config.window_steps, differences.segment_steps
    segments = []
    for offset in range(0, window, length):
        stop = min(offset + length, window)
        last = stop == window
        frames = slice(start + offset, start + stop + (1 if last else 0))
        segments.append(differentiate(problem, motion, frames, spread, differences.step))
    return segments


def _of_one_window(
    problem: DesignProblem, segments: Sequence[Sensitivities], prefixes: Sequence[int], every_noise: bool
) -> np.ndarray:
    """Information (noise ratios, prefixes, P, P) of the first steps of a window."""
    ratios = NOISE_RATIOS if every_noise else (1.0,)
    result = np.zeros((len(NOISE_RATIOS), len(prefixes), len(problem.constants), len(problem.constants)))
    for ratio in ratios:
        for j, prefix in enumerate(prefixes):
            left = prefix + 1  # frames
            for segment in segments:
                count = min(left, len(segment.constants))
                left -= count
                constants, state = (
                    (part[:count] / (ratio * problem.noise[:, None])).reshape(-1, part.shape[-1])
                    for part in (segment.constants, segment.state)
                )
                if count:
                    result[NOISE_RATIOS.index(ratio), j] += marginal_information(constants, state, 1.0)
    return result
