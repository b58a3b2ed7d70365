"""How alike two pictures are: PSNR and SSIM."""

import math

import numpy as np
from scipy.ndimage import gaussian_filter

_WINDOW_STD = 1.5
"""Standard deviation of SSIM's Gaussian window, in pixels."""
_STABLE = ((0.01 * 255) ** 2, (0.03 * 255) ** 2)
"""C1 and C2 of SSIM, which keep its quotients stable where pictures are dark or flat."""


def psnr(truth: np.ndarray, picture: np.ndarray) -> float | None:
    """Peak signal-to-noise ratio of pictures (n, S, S', 3) of the truth, uint8, in dB: -10 log10(MSE / 255^2).

    The squared error is averaged over all pictures first. None where they are equal, so that it has no bound.
    """
    error = np.mean(
        [np.square(one - other.astype(np.float64)).mean() for one, other in zip(truth, picture, strict=True)]
    )
    return None if error == 0 else 10 * math.log10(255**2 / float(error))


def ssim(truth: np.ndarray, picture: np.ndarray) -> float:
    """Structural similarity of pictures (n, S, S', 3) to the truth, uint8: 1 where they are equal.

    Mean over pixels, channels and pictures of equation 13 of Wang et al., Image Quality Assessment: From Error
    Visibility to Structural Similarity (IEEE TIP 13(4), 2004), with their Gaussian window and constants.
    """
    return float(np.mean([_ssim_map(one, other).mean() for one, other in zip(truth, picture, strict=True)]))


def _ssim_map(truth: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """SSIM around every pixel of two pictures (S, S', 3)."""
    x, y = truth.astype(np.float64), picture.astype(np.float64)
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x, var_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    c1, c2 = _STABLE
    likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return likeness / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))


def _blurred(x: np.ndarray) -> np.ndarray:
    """Weighted means of (S, S', 3) under an 11 x 11 Gaussian window around every pixel."""
    return gaussian_filter(x, (_WINDOW_STD, _WINDOW_STD, 0), truncate=3.5)
