"""Errors of readings and widths of intervals, learned from simulated recordings whose constants are known.

Letters: n frames, W recordings, T+1 frames of each, N numbers, P constants, K components.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from worldmodel.data.frames import box_resize
from worldmodel.envs.rollout import Episode
from worldmodel.identifying.context_reader import ContextReader, context_of, fit_context_reader
from worldmodel.identifying.estimation import Errors, estimate
from worldmodel.identifying.field_noise import Autoregressive, ErrorField, LocalErrors
from worldmodel.identifying.observation import start_of
from worldmodel.identifying.readout import Readout, encode, fit_readout, held_out
from worldmodel.identifying.rendered import Simulator, rendered_poses, rendered_windows
from worldmodel.identifying.tracks import Nuisances, Track
from worldmodel.measures.statistics import Z_95, conformal_bound
from worldmodel.models import WorldModel
from worldmodel.settings import IdentifyConfig
from worldmodel.system.errors import UserError
from worldmodel.system.progress import progress

_WELL_FITTED = 4.0
"""Fits of simulated recordings whose misfit exceeds this many medians have failed, and are left out of the widths."""
_FLOOR = 0.5
"""Floor of posterior standard deviations, as a share of their median; as in normalised conformal prediction
(Papadopoulos et al. 2011, Regression conformal prediction with nearest neighbours)."""
_LIMIT_QUANTILE, _LIMIT_ROOM = 0.98, 1.5
"""A fit is not trusted where its misfit exceeds this quantile of the good ones by more than this factor."""
_NO_SHRINKAGE = 0.95
"""Estimates are left alone where shrinking them by so little would bring them nearest to the true constants."""
_TOLD = 0.5
"""Shrinkage up to which the fits do not tell a constant."""
LEAST_READ = 0.5
"""Least R2 of the readout, in simulated recordings, that at least one number must reach."""
_COMPONENTS, _MOST_FRAMES = 64, 1500
"""Principal components of the simulator's pictures, and most pictures that these are computed from."""


@dataclass(frozen=True)
class Looks:
    """Principal components of the simulator's pictures, as the encoder sees them."""

    mean: np.ndarray
    """(pixels,)."""
    components: np.ndarray
    """(K, pixels), orthonormal."""
    usual: float
    """Squared distance from their span that 95 % of the simulator's own frames stay below."""

    def unfamiliar(self, model: WorldModel, frames: np.ndarray) -> float:
        """Median squared distance of frames (n, S, S, 3), over the usual one: about .5 for the simulator's own."""
        return float(np.median(_distances(self, _pixels(model, frames)))) / self.usual


def _distances(looks: Looks, pixels: np.ndarray) -> np.ndarray:
    centred = pixels - looks.mean
    return (centred**2).sum(1) - ((centred @ looks.components.T) ** 2).sum(1)


def _pixels(model: WorldModel, frames: np.ndarray) -> np.ndarray:
    """Frames as the encoder's body sees them, flat: float32 (n, pixels)."""
    resized = box_resize(torch.from_numpy(frames), model.config.encoder.input_size).movedim(-1, -3)
    return model.encoder.normalize(resized.to(model.device)).flatten(1).cpu().numpy()


def fit_looks(model: WorldModel, frames: np.ndarray) -> Looks:
    """Fit to frames uint8 (n, S, S, 3) in random order; the usual distance is that of a held-out fifth."""
    pixels = _pixels(model, frames[:_MOST_FRAMES])
    num = len(pixels) * 4 // 5
    mean = pixels[:num].mean(0)
    _, _, components = np.linalg.svd(pixels[:num] - mean, full_matrices=False)
    looks = Looks(mean, components[:_COMPONENTS], 1.0)
    usual = float(np.quantile(_distances(looks, pixels[num:]), 0.95))
    return Looks(mean, looks.components, max(usual, 1e-9))


@dataclass(frozen=True)
class Calibration:
    """A readout of positions, a model of its errors, and how much wider intervals must be than this model says."""

    readout: Readout
    """Latents to positions."""
    errors: Errors
    """Model of the readout's errors."""
    readout_rmse: np.ndarray
    """Root mean squared error of each number in simulated recordings, (N,)."""
    looks: Looks
    """Appearance of the simulator's pictures."""
    floor: np.ndarray
    """Added in quadrature to posterior standard deviations, (P,): where a recording seems far more informative than
    most, readout and linearisation are not that exact."""
    stretch: np.ndarray
    """Factor by which the interval of each constant is widened to cover 95 % of simulated recordings, (P,)."""
    shrinkage: np.ndarray
    """Factor by which the estimate of each constant, from one recording, is moved towards the prior's mean, (P,): 1
    where recordings tell it, 0 where the fit tells nothing of it."""
    misfit_limit: float
    """Largest misfit of a fit that is trusted."""
    context_reader: ContextReader | None
    """Reads constants from the run's learned context; None where it has none."""

    def estimates(self, found: np.ndarray, num_recordings: np.ndarray) -> np.ndarray:
        """Estimates (P,) from those of the fit, each informed by `num_recordings` (P,) with independent errors."""
        return found * self.shrinkage * num_recordings / (1 + self.shrinkage * (num_recordings - 1))

    def deviations(self, found: np.ndarray, num_recordings: np.ndarray) -> np.ndarray:
        """Calibrated posterior standard deviations (P,) of constants, each informed by `num_recordings` (P,)."""
        return self.stretch * np.hypot(found, self.floor / np.sqrt(num_recordings))


@dataclass(frozen=True)
class Fitted:
    """The fit of a recording with known constants, in standardised coordinates."""

    found: np.ndarray
    """Estimates, (P,)."""
    std: np.ndarray
    """Posterior standard deviations (P,), widened by the misfit."""
    true: np.ndarray
    """True constants, (P,)."""
    misfit: float
    """Misfit of the fit."""
    converged: bool
    """Whether the fit converged."""


def track_of(
    name: str, numbers: np.ndarray, actions: np.ndarray, simulator: Simulator, config: IdentifyConfig
) -> Track:
    """A recording for the fit, from readings (T+1, N) and actions (T, A)."""
    observation, world = simulator.observation, simulator.world
    num_positions = world.scene.model.nq
    start = start_of(observation, numbers, simulator.still, num_positions, world.control_dt_s, simulator.spread)
    free = Nuisances.of(config.free, observation, simulator.angles)
    return Track(name, numbers, actions, start, observation, simulator.replay, free)


def calibrate(simulator: Simulator, model: WorldModel, config: IdentifyConfig, num_steps: int) -> Calibration:
    """Fit readout and error model, and set the width of intervals by recordings of `num_steps` steps.

    Only constants are free in these fits. Cameras and actuators of the simulator are exact; if they were free as well,
    intervals of other recordings would come out too narrow.
    """
    config = replace(config, free=[])
    frames, numbers = rendered_poses(simulator, config.poses, config.seed)
    latents = encode(model, frames)
    readout, looks = fit_readout(latents, numbers), fit_looks(model, frames)
    windows = rendered_windows(simulator, config.calibration_recordings, num_steps, config.seed)
    seen = [encode(model, window.frames) for window in windows]
    read = np.stack([readout(latents) for latents in seen])
    true = np.stack([true_numbers(simulator, window) for window in windows])
    rmse = np.sqrt(((read - true) ** 2).mean((0, 1)))
    _check_reads(simulator, rmse)
    scale = simulator.number_scale
    new = held_out(len(numbers))
    local = LocalErrors(scale, numbers[new] / scale, (readout(latents[new]) - numbers[new]) ** 2)
    errors = Errors(Autoregressive.fit(read - true), ErrorField.fit(read - true, true, local))
    fits = [
        fit_known(simulator, config, errors, window, numbers)
        for window, numbers in progress(list(zip(windows, read, strict=True)), desc="calibration fits", delay=2)
    ]
    misfits = np.array([fit.misfit for fit in fits])
    good = [fit for fit in fits if fit.converged and fit.misfit <= _WELL_FITTED * np.median(misfits)] or fits
    floor = _FLOOR * np.median([fit.std for fit in good], 0)
    shrinkage = _shrinkage(np.stack([fit.found for fit in good]), np.stack([fit.true for fit in good]))
    deviations = np.stack([np.abs(shrinkage * fit.found - fit.true) / np.hypot(fit.std, floor) for fit in good])
    return Calibration(
        readout,
        errors,
        rmse,
        looks,
        floor,
        _stretch(deviations, shrinkage > _TOLD),
        shrinkage,
        _LIMIT_ROOM * float(np.quantile([fit.misfit for fit in good], _LIMIT_QUANTILE)),
        _context_reader(model, seen, windows, np.stack([fit.true for fit in fits])),
    )


def _shrinkage(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Factors (P,) in [0, 1] that bring estimates (W, P) nearest to the true constants (W, P), by least squares; 1
    where that is nearly so."""
    factor = np.clip((found * true).sum(0) / np.maximum((found**2).sum(0), 1e-12), 0.0, 1.0)
    return np.where(factor > _NO_SHRINKAGE, 1.0, factor)


def _stretch(deviations: np.ndarray, told: np.ndarray) -> np.ndarray:
    """Factors (P,) for errors in posterior standard deviations (W, P) of constants that fits tell or not, bool (P,).

    A quantile of few recordings is uncertain. For constants that fits tell it is the geometric mean of their own and
    that of all of them; the errors of others are as large as the prior, and say nothing of a fit.
    """
    own = conformal_bound(deviations)
    together = conformal_bound(deviations[:, told].reshape(-1, 1)) if told.any() else own
    return np.sqrt(own * np.where(told, together, own)) / Z_95


def _check_reads(simulator: Simulator, rmse: np.ndarray) -> None:
    """UserError where latents show no position."""
    r2 = 1 - (rmse / simulator.number_scale) ** 2
    if not (r2 >= LEAST_READ).any():
        raise UserError(
            f"the run's latents do not show where {simulator.observation.names[0]} is (R2 {r2[0]:.2f} in simulated "
            "recordings); train it longer, on finer frames or on more of them"
        )


def _context_reader(
    model: WorldModel, seen: Sequence[np.ndarray], windows: Sequence[Episode], true: np.ndarray
) -> ContextReader | None:
    """Fitted to latents (T+1, D) of simulated recordings and their constants (W, P)."""
    contexts = [context_of(model, latents, window.actions) for latents, window in zip(seen, windows, strict=True)]
    known = [context for context in contexts if context is not None]
    return fit_context_reader(np.stack(known), true) if len(known) == len(contexts) else None


def true_numbers(simulator: Simulator, episode: Episode) -> np.ndarray:
    """True values of the numbers that are read from an episode's frames, (T+1, N)."""
    return simulator.observation.numbers(episode.states[:, : simulator.world.scene.model.nq].astype(np.float64))


def fit_known(
    simulator: Simulator, config: IdentifyConfig, errors: Errors, episode: Episode, numbers: np.ndarray
) -> Fitted:
    """Fit a simulated recording, whose constants are known, from what was read of it (T+1, N)."""
    track = track_of("", numbers, episode.actions, simulator, config)
    solution = estimate([track], errors)
    names = list(simulator.world.factors)
    values = {name: float(episode.factors[-1, names.index(name)]) for name in simulator.constants}
    num = len(simulator.constants)
    return Fitted(
        solution.x[:num], solution.deviations[:num], simulator.coordinates(values), solution.misfit, solution.converged
    )
