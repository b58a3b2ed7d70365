"""Pictures that are computed, float32 (S, S, 3) in grey levels, from a random generator."""

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
