"""Random processes, sampled exactly."""

import math
from collections.abc import Callable

import numpy as np


def ou_process(rng: np.random.Generator, dim: int, dt_s: float, time_constant_s: float) -> Callable[[], np.ndarray]:
    """A stationary Ornstein-Uhlenbeck process of unit variance: each call gives the next value, float64 (dim,).

    Args:
        rng: drawn from once here and once in each call.
        dim: number of independent components.
        dt_s: seconds between calls.
        time_constant_s: seconds after which the autocorrelation has fallen to 1/e.
    """
    rho = np.exp(-dt_s / time_constant_s)
    value = rng.standard_normal(dim)

    def advance() -> np.ndarray:
        nonlocal value
        current = value
        value = rho * value + np.sqrt(1 - rho**2) * rng.standard_normal(dim)
        return current

    return advance


def colored_noise(rng: np.random.Generator, num_steps: int, dim: int, exponent: float) -> np.ndarray:
    """Noise, float64 (num_steps, dim), of unit expected variance with the power spectrum 1/frequency**exponent."""
    amplitude = np.maximum(np.fft.rfftfreq(num_steps), 1 / num_steps) ** (-exponent / 2)
    spectrum = rng.standard_normal((2, len(amplitude), dim)) * amplitude[:, None]
    # A bin and its mirror image carry each frequency twice, save for the first and, if num_steps is even, the last.
    twice = np.full(len(amplitude), 2.0)
    twice[0] = 1.0
    if num_steps % 2 == 0:
        twice[-1] = 1.0
    spectrum[1, twice == 1.0] = 0.0  # these bins are real
    power = amplitude**2 * np.where(twice == 2.0, 4.0, 1.0)
    noise = np.fft.irfft(spectrum[0] + 1j * spectrum[1], num_steps, axis=0)
    return noise * num_steps / np.sqrt(power.sum())


def smooth_process(rng: np.random.Generator, dim: int, dt_s: float, bandwidth_rad_s: float) -> Callable[[], np.ndarray]:
    """White noise through three equal first-order filters, stationary.

    Each call gives position, velocity and acceleration of the next step, float64 (3, dim), in units in which the
    position has unit variance.

    Args:
        rng: drawn from once here and once in each call.
        dim: number of independent components.
        dt_s: seconds between calls.
        bandwidth_rad_s: bandwidth of each filter.
    """
    w = bandwidth_rad_s
    # in units of 1/w: y1' = -y1 + noise, y2' = -y2 + y1, y3' = -y3 + y2, and y3 is the position
    shift = np.diag([1.0, 1.0], -1)
    decay = np.exp(-w * dt_s) * (np.eye(3) + shift * w * dt_s + shift @ shift * (w * dt_s) ** 2 / 2)
    # stationary covariance under unit noise: E y_i y_j = C(i+j-2, i-1) / 2^(i+j-1)
    stationary = np.array([[math.comb(i + j, i) / 2 ** (i + j + 1) for j in range(3)] for i in range(3)])
    stationary /= stationary[2, 2]
    first = np.linalg.cholesky(stationary)
    step = np.linalg.cholesky(stationary - decay @ stationary @ decay.T)
    # position, velocity, acceleration of y3
    read = np.array([[0.0, 0.0, 1.0], [0.0, w, -w], [w * w, -2 * w * w, w * w]])
    value = first @ rng.standard_normal((3, dim))

    def advance() -> np.ndarray:
        nonlocal value
        current = read @ value
        value = decay @ value + step @ rng.standard_normal((3, dim))
        return current

    return advance
