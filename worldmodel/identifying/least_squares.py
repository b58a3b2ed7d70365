"""The constants that explain recordings best: least squares through the simulator, with a prior (Levenberg-Marquardt).

Residuals of readings are white and of unit variance; constants and nuisances have the prior N(0, 1), starts have none.
The minimum is then the maximum of the posterior, and the inverse of J^T J its covariance where the motion is linear.

Letters: x all parameters (K,), L those of one recording, n trial points, R residuals of a recording.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worldmodel.identifying.field_noise import whitened
from worldmodel.identifying.tracks import Track

_STEP = 3e-3
"""Step of finite differences, in units of the parameters."""
_LARGEST_MOVE = 1.0
"""Largest move of a constant in one iteration, in prior standard deviations."""
_STILL, _SMALL_GAIN = 0.03, 1e-3
"""The fit has converged when no parameter moves farther than this and the cost improves by less than this."""
_DAMPINGS = 10.0 ** np.array([-1.0, 0.5, 2.0])
"""Factors of the damping in the trial steps of an iteration."""


@dataclass(frozen=True)
class Layout:
    """Where the parameters of each recording stand among all: constants may be shared, starts never are."""

    places: tuple[np.ndarray, ...]
    """For each recording, int (L,) into x."""
    prior: np.ndarray
    """Precision of the prior of each parameter (K,): 1, or 0 for those of a start."""
    bounds: np.ndarray
    """Least and greatest value of each parameter, (2, K)."""

    @staticmethod
    def of(tracks: Sequence[Track], own: Sequence[str]) -> "Layout":
        """Constants named in `own` differ between the recordings, the others are common to all."""
        constants, factors = tracks[0].replay.constants, tracks[0].replay.world.factors
        places: list[np.ndarray] = []
        low: list[float] = []
        high: list[float] = []
        prior: list[float] = []
        common: dict[str, int] = {}
        for track in tracks:
            place = []
            for name in constants:
                if name not in common or name in own:
                    common[name] = len(prior)
                    low.append(factors[name].standardize(factors[name].bounds[0]))
                    high.append(factors[name].standardize(factors[name].bounds[1]))
                    prior.append(1.0)
                place.append(common[name])
            num_nuisances, num_start = len(track.nuisances.units), len(track.start.columns)
            place += range(len(prior), len(prior) + num_nuisances + num_start)
            prior += [1.0] * num_nuisances + [0.0] * num_start
            low += [-np.inf] * (num_nuisances + num_start)
            high += [np.inf] * (num_nuisances + num_start)
            places.append(np.array(place))
        return Layout(tuple(places), np.array(prior), np.array([low, high]))

    @property
    def is_start(self) -> np.ndarray:
        """Which parameters belong to starts, bool (K,)."""
        return self.prior == 0


@dataclass(frozen=True)
class Solution:
    """The best parameters, and how well they are known."""

    x: np.ndarray
    """The parameters, (K,)."""
    covariance: np.ndarray
    """Their posterior covariance under the error model, (K, K)."""
    residuals: tuple[np.ndarray, ...]
    """White residuals of each recording, (T+1, N)."""
    iterations: int
    """Iterations that were made."""
    converged: bool
    """Whether they converged."""

    @property
    def misfit(self) -> float:
        """s^2: mean squared residual, with the parameters that were fitted taken off; 1 where the error model holds."""
        num = sum(residual.size for residual in self.residuals)
        return float(sum((residual**2).sum() for residual in self.residuals) / max(num - len(self.x), 1))

    @property
    def deviations(self) -> np.ndarray:
        """Posterior standard deviations (K,), wider where the fit is worse than the error model expects."""
        return np.sqrt(np.diag(self.covariance) * max(1.0, self.misfit))


class LeastSquares:
    """Recordings with whitening matrices, and one vector of parameters."""

    def __init__(self, tracks: Sequence[Track], whitenings: Sequence[np.ndarray], layout: Layout) -> None:
        self.tracks, self.whitenings, self.layout = tracks, whitenings, layout

    def solve(self, x: np.ndarray, most_iterations: int) -> Solution:
        """Descend from x (K,) until convergence."""
        damping, moved, converged, iterations = 1e-3, np.inf, False, 0
        while iterations < most_iterations and not converged:
            iterations += 1
            hessian, gradient, cost = self._quadratic(x, central=False)
            dampings = damping * _DAMPINGS
            trials = np.stack([self._step(x, hessian, gradient, value) for value in dampings])
            costs = self._costs(trials)
            best = int(costs.argmin())
            if not costs[best] < cost:
                damping *= 100
                converged = damping > 1e4 or moved < _STILL
                continue
            moved = float(np.abs(trials[best] - x).max())
            x, damping = trials[best], max(float(dampings[best]), 1e-7)
            converged = bool(cost - costs[best] < _SMALL_GAIN and moved < _STILL)
        hessian, _, _ = self._quadratic(x, central=True)
        covariance = np.linalg.inv(hessian + 1e-12 * np.eye(len(x)))
        residuals = tuple(residual[0] for residual in self._residuals(x[None]))
        return Solution(x, covariance, residuals, iterations, converged and bool(np.isfinite(covariance).all()))

    def hessian(self, x: np.ndarray) -> np.ndarray:
        """J^T J with the prior's precision (K, K): the inverse of the posterior covariance at x, where motion is linear
        there."""
        return self._quadratic(x, central=True)[0]

    def _step(self, x: np.ndarray, hessian: np.ndarray, gradient: np.ndarray, damping: float) -> np.ndarray:
        step = -np.linalg.solve(hessian + damping * np.diag(np.diag(hessian) + 1e-9), gradient)
        limited = np.where(self.layout.is_start, step, np.clip(step, -_LARGEST_MOVE, _LARGEST_MOVE))
        return np.clip(x + limited, *self.layout.bounds)

    def _residuals(self, xs: np.ndarray) -> list[np.ndarray]:
        """White residuals (n, T+1, N) of every recording at points (n, K)."""
        found = []
        for track, whitening, place in zip(self.tracks, self.whitenings, self.layout.places, strict=True):
            found.append(whitened(whitening, track.predict(xs[:, place]) - track.numbers))
        return found

    def _costs(self, xs: np.ndarray) -> np.ndarray:
        """Half the squared residuals and distances from the prior, (n,); inf where the simulation diverged."""
        data = sum((residual**2).sum((1, 2)) for residual in self._residuals(xs))
        cost = 0.5 * (data + (self.layout.prior * xs**2).sum(1))
        return np.where(np.isfinite(cost), cost, np.inf)

    def _quadratic(self, x: np.ndarray, central: bool) -> tuple[np.ndarray, np.ndarray, float]:
        """J^T J (K, K), its gradient (K,) and the cost at x: differences forward on the way, central at the end."""
        hessian, gradient = np.diag(self.layout.prior), self.layout.prior * x
        cost = 0.5 * float(self.layout.prior @ x**2)
        for track, whitening, place in zip(self.tracks, self.whitenings, self.layout.places, strict=True):
            moves = _STEP * np.eye(len(place))
            points = x[place] + np.concatenate([np.zeros((1, len(place))), moves, *([-moves] if central else [])])
            residual = whitened(whitening, track.predict(points) - track.numbers).reshape(len(points), -1)
            ahead, behind = residual[1 : len(place) + 1], residual[len(place) + 1 :] if central else residual[:1]
            jacobian = (ahead - behind).T / ((2 if central else 1) * _STEP)
            hessian[np.ix_(place, place)] += jacobian.T @ jacobian
            gradient[place] += jacobian.T @ residual[0]
            cost += 0.5 * float(residual[0] @ residual[0])
        return hessian, gradient, cost
