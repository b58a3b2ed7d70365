"""From readings to constants: fits of short windows, which have one optimum, then of longer ones, then with the error
field."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from worldmodel.identifying.field_noise import Autoregressive, ErrorField
from worldmodel.identifying.least_squares import Layout, LeastSquares, Solution
from worldmodel.identifying.tracks import Track

_FIRST_STEPS = 12
"""Steps of the first window."""
_ITERATIONS_ON_THE_WAY, _ITERATIONS = 6, 60
_GROWTHS, _SUSPECT = (2.0, 1.3, 1.1), 3.0
"""Factors by which windows grow, tried in this order; the next is tried where the misfit, under autoregressive errors,
exceeds the limit."""
_PIECE_STEPS = 10
"""Steps of the pieces from which constants are first guessed where all growths fail."""


@dataclass(frozen=True)
class Errors:
    """Two models of the errors of a readout."""

    simple: Autoregressive
    """Used while the window grows."""
    field: ErrorField
    """Used in the final fit."""


def estimate(tracks: Sequence[Track], errors: Errors, own: Sequence[str] = ()) -> Solution:
    """The constants that explain recordings best.

    The window grows because long windows have local optima: single fits of long windows of a pendulum end in a wrong
    one in every sixth case. If doubling the window still fails, it grows more slowly; then all is tried again from
    constants fitted to short pieces of the recordings, because a contact that the prior's constants miss is missed at
    any growth. The error field comes last: it tolerates smooth errors, and so adds optima far from the truth.
    """
    layout, ways = Layout.of(tracks, own), []
    for way in _ways(tracks, errors, layout, own):
        ways.append(way)
        if way.misfit <= _SUSPECT:
            break
    best = min(ways, key=lambda way: way.misfit)
    places = [track.predict(best.x[None, place])[0] for track, place in zip(tracks, layout.places, strict=True)]
    whitenings = [errors.field.whitening(numbers) for numbers in places]
    found = LeastSquares(tracks, whitenings, layout).solve(best.x, _ITERATIONS)
    iterations = sum(way.iterations for way in ways) + found.iterations
    return Solution(found.x, found.covariance, found.residuals, iterations, found.converged)


def _ways(tracks: Sequence[Track], errors: Errors, layout: Layout, own: Sequence[str]) -> Iterator[Solution]:
    """Fits of the whole recordings by each strategy, the cheapest first."""
    for growth in _GROWTHS:
        yield _grown(tracks, errors, layout, growth, np.zeros(len(layout.prior)))
    guess = _from_pieces(tracks, errors, layout, own)
    for growth in _GROWTHS:
        yield _grown(tracks, errors, layout, growth, guess)


def _from_pieces(tracks: Sequence[Track], errors: Errors, layout: Layout, own: Sequence[str]) -> np.ndarray:
    """Parameters (K,) with the constants that fit short pieces of the recordings best, each piece with its own start
    (multiple shooting: Bock 1983)."""
    cut = [track.pieces(_PIECE_STEPS) for track in tracks]
    pieces, num = [piece for parts in cut for piece in parts], len(tracks[0].replay.constants)
    inner = Layout.of(pieces, own)
    whitenings = [errors.simple.whitening(piece.numbers) for piece in pieces]
    found = LeastSquares(pieces, whitenings, inner).solve(np.zeros(len(inner.prior)), _ITERATIONS).x
    x, of_pieces = np.zeros(len(layout.prior)), iter(inner.places)
    for parts, place in zip(cut, layout.places, strict=True):
        x[place[:num]] = np.mean([found[next(of_pieces)[:num]] for _ in parts], 0)
    return x


def _grown(tracks: Sequence[Track], errors: Errors, layout: Layout, growth: float, x: np.ndarray) -> Solution:
    """The fit of the whole recordings, from x and over windows each `growth` times as long as the last."""
    steps, longest, iterations = _FIRST_STEPS, max(t.num_steps for t in tracks), 0
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
    """Covariance (P, P) of the constants after a recording whose motion is known: readings, start and the constants'
    standardised coordinates (P,) are the true ones. No unbiased estimator is more precise (Cramér-Rao bound, with the
    prior and the readout's errors)."""
    layout = Layout.of([track], ())
    x = np.zeros(len(layout.prior))
    x[: len(coordinates)] = coordinates
    hessian = LeastSquares([track], [errors.field.whitening(track.numbers)], layout).hessian(x)
    return np.linalg.inv(hessian + 1e-12 * np.eye(len(x)))[: len(coordinates), : len(coordinates)]
