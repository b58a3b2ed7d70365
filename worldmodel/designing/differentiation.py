"""How the simulator is differentiated: a step neither too small nor too large, windows short enough to be linear."""

from collections.abc import Sequence

import numpy as np

from worldmodel.designing.design_result import LARGEST_NONLINEARITY, FiniteDifferences
from worldmodel.designing.problem import NUM_CHECKED, DesignProblem, moving
from worldmodel.envs.sensitivity import Motion, Sensitivities, rotational, sensitivities, tangent

STEPS = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
"""Candidates for the finite difference, in standardised coordinates."""
SHORTEST_SEGMENT = 8
"""Control steps of the shortest segment that is tried."""


def choose_differences(problem: DesignProblem) -> FiniteDifferences:
    """The finite-difference step that agrees best with the one before it, and the longest linear enough segment.

    The error of too small a step is the solver's tolerance, that of too large a one curvature. Over long stretches of
    chaotic or contact-rich motion no derivative holds for constants a tenth of a standard deviation away: then the
    window is cut into segments.
    """
    config = problem.config
    motions = problem.motions(problem.given_policy, range(NUM_CHECKED))
    spread = state_spread(problem, motions)
    frames = slice(0, config.window_steps + 1)
    rows = np.stack([[_rows(problem, differentiate(problem, m, frames, spread, h)) for m in motions] for h in STEPS])
    lengths = [config.segment_steps or config.window_steps]
    while not config.segment_steps and lengths[-1] // 2 >= SHORTEST_SEGMENT:
        lengths.append(lengths[-1] // 2)
    for length in lengths:
        part = rows[:, :, : min(length, config.window_steps) + 1]
        errors = relative_change(part[:-1], part[1:])
        best = 1 + int(np.argmin(errors))
        nonlinearity = float(relative_change(part[:1], part[best : best + 1])[0])
        if nonlinearity <= LARGEST_NONLINEARITY:
            break
    return FiniteDifferences(STEPS[best], length, float(errors[best - 1]), nonlinearity)


def relative_change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Relative change (steps,) of derivatives (steps, motions, T+1, columns): three quarters of motions stay below.

    Derivatives that are 0, because nothing that is observed moves, have not changed.
    """
    size = np.linalg.norm(after, axis=(2, 3))
    change = np.linalg.norm(after - before, axis=(2, 3)) / np.where(size > 0, size, 1.0)
    return np.quantile(change, 0.75, axis=1)


def differentiate(
    problem: DesignProblem, motion: Motion, frames: slice, spread: np.ndarray, step: float
) -> Sensitivities:
    """Derivatives of the observed positions in these frames by the constants, and by the state along its spread."""
    return sensitivities(problem.world, motion, frames, problem.constants, problem.observed, spread, step)


def _rows(problem: DesignProblem, found: Sensitivities) -> np.ndarray:
    """All derivatives in units of the noise, (T+1, N * (P + V))."""
    both = np.concatenate([found.constants, found.state], -1) / problem.noise[:, None]
    return both.reshape(len(both), -1)


def state_spread(problem: DesignProblem, motions: Sequence[Motion]) -> np.ndarray:
    """Standard deviation (V,) of each state coordinate over trajectories: what is known of a window's initial state.

    Positions that hardly move, and their velocities, are taken as known: they are contacts settling.
    """
    spread = tangent(problem.world, np.concatenate([motion.states for motion in motions])).std(0)
    turns = rotational(problem.world)
    still = ~moving(spread[: len(turns)], turns)
    spread[: 2 * len(turns)][np.tile(still, 2)] = 0.0
    return spread
