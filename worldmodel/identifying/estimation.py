"""From readings to constants: first short windows, which have one optimum, then longer ones, then the error field."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from worldmodel.identifying.field_noise import Autoregressive, ErrorField
from worldmodel.identifying.least_squares import Layout, LeastSquares, Solution
from worldmodel.identifying.tracks import Track

_FIRST_STEPS = 12
"""Steps of the first window."""
_ITERATIONS_ON_THE_WAY, _ITERATIONS = 6, 60
_GROWTHS, _SUSPECT = (2.0, 1.3, 1.1), 3.0
"""How many times as long each window is; above this misfit, by errors that fade from frame to frame, the next is
tried."""


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
    end in another optimum in every sixth case. Where windows twice as long each still miss one, they grow more slowly.
    The error field comes last: it forgives smooth errors, and so has optima of its own far from the truth.
    """
    layout, ways = Layout.of(tracks, own), []
    for growth in _GROWTHS:
        ways.append(_grown(tracks, errors, layout, growth))
        if ways[-1].misfit <= _SUSPECT:
            break
    best = min(ways, key=lambda way: way.misfit)
    places = [track.predict(best.x[None, place])[0] for track, place in zip(tracks, layout.places, strict=True)]
    whitenings = [errors.field.whitening(numbers) for numbers in places]
    found = LeastSquares(tracks, whitenings, layout).solve(best.x, _ITERATIONS)
    iterations = sum(way.iterations for way in ways) + found.iterations
    return Solution(found.x, found.covariance, found.residuals, iterations, found.converged)


def _grown(tracks: Sequence[Track], errors: Errors, layout: Layout, growth: float) -> Solution:
    """The fit of the whole recordings, from the prior and over windows each `growth` times as long as the last."""
    x, steps, longest, iterations = np.zeros(len(layout.prior)), _FIRST_STEPS, max(t.num_steps for t in tracks), 0
    while True:
        parts = [track.first(min(steps, track.num_steps)) for track in tracks]
        whitenings = [errors.simple.whitening(part.numbers) for part in parts]
        last = steps >= longest
        found = LeastSquares(parts, whitenings, layout).solve(x, _ITERATIONS if last else _ITERATIONS_ON_THE_WAY)
        x, iterations = found.x, iterations + found.iterations
        if last:
            return replace(found, iterations=iterations)
        steps = int(growth * steps)


def known_at(track: Track, errors: Errors, coordinates: np.ndarray) -> np.ndarray:
    """Covariance (P, P) of the constants after a recording whose motion is known: the track's readings and its start
    are true, and so are the constants' standardised coordinates (P,). No unbiased reader knows more (Cramér-Rao, with
    the prior and the readout's errors)."""
    layout = Layout.of([track], ())
    x = np.zeros(len(layout.prior))
    x[: len(coordinates)] = coordinates
    hessian = LeastSquares([track], [errors.field.whitening(track.numbers)], layout).hessian(x)
    return np.linalg.inv(hessian + 1e-12 * np.eye(len(x)))[: len(coordinates), : len(coordinates)]
