"""Looks of a poor camera: noise, dead pixels, blur, compression."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from worldmodel.envs.looks.look import FrameLook, Painter


@dataclass(frozen=True)
class Noise(FrameLook):
    """Gaussian noise, anew at each step."""

    unit: ClassVar[str] = "its standard deviation in grey levels"
    highest: ClassVar[float] = 128.0

    def painter(self, rng: np.random.Generator, size: int) -> Painter:
        seed = int(rng.integers(2**31))

        def paint(frame: np.ndarray, robot: np.ndarray, step: int) -> np.ndarray:
            drawn = np.random.default_rng((seed, step)).standard_normal(frame.shape, np.float32)
            return frame + np.float32(self.strength) * drawn

        return paint


@dataclass(frozen=True)
class Speckle(FrameLook):
    """Single pixels of any colour, anew at each step."""

    unit: ClassVar[str] = "the share of pixels"
    highest: ClassVar[float] = 1.0

    def painter(self, rng: np.random.Generator, size: int) -> Painter:
        seed = int(rng.integers(2**31))

        def paint(frame: np.ndarray, robot: np.ndarray, step: int) -> np.ndarray:
            drawn = np.random.default_rng((seed, step))
            hit = drawn.random((size, size)) < self.strength
            frame[hit] = drawn.uniform(0, 255, (int(hit.sum()), 3))
            return frame

        return paint


@dataclass(frozen=True)
class Blur(FrameLook):
    """A Gaussian blur."""

    unit: ClassVar[str] = "its standard deviation in pixels of a frame of 64"
    highest: ClassVar[float] = 8.0

    def painter(self, rng: np.random.Generator, size: int) -> Painter:
        deviation = max(self.strength * size / 64, 1e-3)
        reach = int(np.ceil(3 * deviation))
        weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2).astype(np.float32)
        weights /= weights.sum()

        def paint(frame: np.ndarray, robot: np.ndarray, step: int) -> np.ndarray:
            wide = np.pad(frame, ((reach, reach), (0, 0), (0, 0)), "edge")
            rows = np.zeros_like(frame)
            for i, weight in enumerate(weights):
                rows += weight * wide[i : i + size]
            wide = np.pad(rows, ((0, 0), (reach, reach), (0, 0)), "edge")
            blurred = np.zeros_like(frame)
            for i, weight in enumerate(weights):
                blurred += weight * wide[:, i : i + size]
            return blurred

        return paint


def _along_both(matrix: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """A matrix (S, S) applied to the rows and to the columns of a frame (S, S, 3)."""
    size = len(frame)
    rows = (matrix @ frame.reshape(size, -1)).reshape(frame.shape).transpose(1, 0, 2)
    return (matrix @ rows.reshape(size, -1)).reshape(frame.shape).transpose(1, 0, 2)


_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])


@dataclass(frozen=True)
class Compression(FrameLook):
    """What JPEG does to a picture: cosine coefficients of blocks of 8 x 8, rounded.

    All three channels by the luminance table of ITU-T T.81, annex K.1, scaled as libjpeg does.
    """

    unit: ClassVar[str] = "100 less JPEG's quality"
    highest: ClassVar[float] = 99.0

    def painter(self, rng: np.random.Generator, size: int) -> Painter:
        quality = max(100 - self.strength, 1)
        scale = 5000 / quality if quality < 50 else 200 - 2 * quality
        table = np.clip(np.floor((_LUMINANCE * scale + 50) / 100), 1, 255)
        k, n = np.arange(8)[:, None], np.arange(8)
        cosines = np.sqrt(np.where(k == 0, 1, 2) / 8) * np.cos(np.pi * k * (2 * n + 1) / 16)
        pad = -size % 8
        blocks = (size + pad) // 8
        cosines = np.kron(np.eye(blocks), cosines).astype(np.float32)
        table = np.tile(table, (blocks, blocks))[..., None].astype(np.float32)
        to_ycc, to_rgb = _TO_YCC.T.astype(np.float32), np.linalg.inv(_TO_YCC).T.astype(np.float32)

        def paint(frame: np.ndarray, robot: np.ndarray, step: int) -> np.ndarray:
            padded = np.pad(frame - 128, ((0, pad), (0, pad), (0, 0)), "edge") @ to_ycc
            kept = np.rint(_along_both(cosines, padded) / table) * table
            return (_along_both(cosines.T, kept) @ to_rgb)[:size, :size] + 128

        return paint
