"""Random pictures, float32 (S, S, 3) in grey levels."""

from collections.abc import Callable

import numpy as np

Pattern = Callable[[np.random.Generator, int], np.ndarray]
"""(rng, side in pixels) -> a picture."""


def mosaic(rng: np.random.Generator, size: int) -> np.ndarray:
    """Cells around random points (a Voronoi diagram), each of one colour."""
    points = rng.uniform(0, size, (int(rng.integers(12, 60)), 2))
    colours = rng.uniform(0, 255, (len(points), 3))
    pixels = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), -1)[:, :, None]
    nearest = ((pixels - points) ** 2).sum(-1).argmin(-1)
    return colours[nearest].astype(np.float32)


def cloud(rng: np.random.Generator, size: int) -> np.ndarray:
    """Noise whose amplitude falls as 1/f, as that of natural images does (Field, 1987); mostly of brightness."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None]) + 1 / size
    spectrum = np.fft.fft2(rng.standard_normal((4, size, size))) / frequency
    noise = np.fft.ifft2(spectrum).real
    noise /= noise.std((1, 2), keepdims=True)
    brightness, colours = noise[0], np.moveaxis(noise[1:], 0, -1)
    picture = rng.uniform(80, 176, 3) + 48 * brightness[..., None] + 24 * colours
    return np.clip(picture, 0, 255).astype(np.float32)


def stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Stripes of two colours, at any angle."""
    angle, width = rng.uniform(0, np.pi), rng.uniform(3, 10) * size / 64
    rows, columns = np.indices((size, size))
    across = rows * np.sin(angle) + columns * np.cos(angle)
    first, second = rng.uniform(0, 255, (2, 3))
    return np.where((across[..., None] // width) % 2 > 0, first, second).astype(np.float32)


def leaves(rng: np.random.Generator, size: int) -> np.ndarray:
    """Discs that hide one another, as many of each size as there are things of that size in natural images.

    The dead leaves model (Lee, Mumford and Huang 2001): the density of radii falls as their third power. What leaves
    the picture on one side comes in on the other.
    """
    least, most, num = 3 * size / 64, size / 3, 150
    shares = rng.random(num)
    radii = 1 / np.sqrt((1 - shares) / least**2 + shares / most**2)  # the inverse of their cumulative distribution
    places = rng.uniform(0, size, (num, 2))
    colours = np.clip(rng.normal(115, 55, (num, 1)) + rng.normal(0, 30, (num, 3)), 0, 255)
    picture = np.broadcast_to(colours.mean(0), (size, size, 3)).astype(np.float32)
    for place, radius, colour in zip(places, radii, colours, strict=True):
        picture[_disc(place, radius, size)] = colour
    return picture


def _disc(place: np.ndarray, radius: float, size: int) -> np.ndarray:
    """Where a disc covers a square without edges, bool (size, size)."""
    down, right = (((np.arange(size) - at + size / 2) % size - size / 2) ** 2 for at in place)
    return down[:, None] + right <= radius**2


_FILM_FRAMES = 60


def film(rng: np.random.Generator, size: int) -> np.ndarray:
    """A film uint8 (T, S, S, 3): a camera that pans over `leaves`, and three discs of other leaves that cross it."""
    scene, things = leaves(rng, size), [leaves(rng, size) for _ in range(3)]
    pan, first = rng.uniform(-1.5, 1.5, 2) * size / 64, rng.uniform(0, size, (3, 2))
    speeds, radii = rng.uniform(-2.5, 2.5, (3, 2)) * size / 64, rng.uniform(5, 12, 3) * size / 64
    shown = []
    for frame in range(_FILM_FRAMES):
        down, right = np.rint(frame * pan).astype(int)
        picture = np.roll(scene, (down, right), (0, 1))
        for thing, place, radius in zip(things, first + frame * speeds, radii, strict=True):
            covered = _disc(place, radius, size)
            picture[covered] = thing[covered]
        shown.append(picture)
    return np.rint(shown).astype(np.uint8)
