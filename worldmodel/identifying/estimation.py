"""From readings to constants: first short windows, which have one optimum, then longer ones, then the error field."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from worldmodel.identifying.field_noise import Autoregressive, ErrorField
from worldmodel.identifying.least_squares import Layout, LeastSquares, Solution
from worldmodel.identifying.tracks import Track

_FIRST_STEPS = 12
"""Steps of the first window; each next one is twice as long."""
_ITERATIONS_ON_THE_WAY, _ITERATIONS = 6, 60


@dataclass(frozen=True)
class Errors:
    """What is known of the errors of a readout."""

    simple: Autoregressive
    """For the way to a fit."""
    field: ErrorField
    """For the fit."""


def estimate(tracks: Sequence[Track], errors: Errors, own: Sequence[str] = ()) -> Solution:
    """The constants that explain recordings best.

    The window grows, since a swing that was missed once is missed for good: single fits of long windows of a pendulum
    end in another optimum in every sixth case. The error field comes last: it forgives smooth errors, and so has optima
    of its own far from the truth.
    """
    layout = Layout.of(tracks, own)
    x, steps, longest = np.zeros(len(layout.prior)), _FIRST_STEPS, max(track.num_steps for track in tracks)
    iterations = 0
    while True:
        parts = [track.first(min(steps, track.num_steps)) for track in tracks]
        whitenings = [errors.simple.whitening(part.numbers) for part in parts]
        last = steps >= longest
        found = LeastSquares(parts, whitenings, layout).solve(x, _ITERATIONS if last else _ITERATIONS_ON_THE_WAY)
        x, iterations = found.x, iterations + found.iterations
        if last:
            break
        steps *= 2
    places = [track.predict(x[None, place])[0] for track, place in zip(tracks, layout.places, strict=True)]
    whitenings = [errors.field.whitening(numbers) for numbers in places]
    found = LeastSquares(tracks, whitenings, layout).solve(x, _ITERATIONS)
    return Solution(found.x, found.covariance, found.residuals, iterations + found.iterations, found.converged)
