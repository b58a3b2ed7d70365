"""Recordings with the simulation that explains them best, for the posterior, alarms, the check and figures."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from worldmodel.identifying.calibration import Calibration
from worldmodel.identifying.least_squares import Layout, Solution
from worldmodel.identifying.recordings import RecordedMotion
from worldmodel.identifying.rendered import Simulator
from worldmodel.identifying.tracks import Track


@dataclass(frozen=True)
class Explained:
    """Recordings and their best explanation."""

    simulator: Simulator
    """The simulator that explains them."""
    calibration: Calibration
    """The readout, its errors, and the widening of intervals."""
    recordings: list[RecordedMotion]
    """The recordings."""
    tracks: list[Track]
    """Readings of each recording."""
    own: list[str]
    """Constants that each recording has of its own."""
    solution: Solution
    """The best parameters of all."""
    seconds: float
    """CPU time of the fit."""
    learned: list[np.ndarray | None]
    """Constants read from the run's context of each recording, standardised (P,); None where it has none."""

    @property
    def layout(self) -> Layout:
        """Where the parameters of each recording stand among all."""
        return Layout.of(self.tracks, self.own)

    def sought(self) -> Iterator[tuple[int, str, int | None]]:
        """(place among all parameters, constant, its recording's number or None where it is common to all)."""
        for number, place in enumerate(self.layout.places):
            for name, parameter in zip(self.simulator.constants, place, strict=False):
                if name in self.own:
                    yield int(parameter), name, number
                elif number == 0:
                    yield int(parameter), name, None

    def place(self, number: int) -> np.ndarray:
        """Places of the constants of a recording among all parameters, int (P,)."""
        return self.layout.places[number][: len(self.simulator.constants)]

    def coordinates(self, number: int) -> np.ndarray:
        """Standardised coordinates of the constants of a recording, (P,): those of the fit, moved towards the prior's
        mean where the calibration found fits to tell little."""
        return self.moved(self.solution.x[self.place(number)])

    def moved(self, found: np.ndarray) -> np.ndarray:
        """Estimates (P,) of a fit to these recordings or parts of them, moved towards the prior's mean."""
        return self.calibration.estimates(found, self._num_behind)

    @property
    def _num_behind(self) -> np.ndarray:
        """How many recordings inform each constant, (P,)."""
        return np.array([1 if name in self.own else len(self.tracks) for name in self.simulator.constants])

    def widened(self) -> tuple[np.ndarray, np.ndarray]:
        """Posterior covariance (P, P) of the constants of the first recording, and by how much the calibration widened
        each standard deviation, (P,)."""
        place = self.place(0)
        covariance = self.solution.covariance[np.ix_(place, place)]
        widened = self.deviations[place] / np.sqrt(np.diag(covariance))
        return covariance * np.outer(widened, widened), widened

    @property
    def deviations(self) -> np.ndarray:
        """Posterior standard deviations (K,): those of the error model, widened by the misfit and, for constants, by
        the calibration; for constants and nuisances at most the prior's."""
        found = self.solution.deviations.copy()
        for place in (place[: len(self.simulator.constants)] for place in self.layout.places):
            found[place] = self.calibration.deviations(self.solution.deviations[place], self._num_behind)
        return np.where(self.layout.is_start, found, np.minimum(found, 1.0))
