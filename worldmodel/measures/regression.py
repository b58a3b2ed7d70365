"""Probes: regressions from a representation to true values, scored on episodes that the probe was not fitted on."""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from torch import nn

from worldmodel.measures.identifiability import scores
from worldmodel.measures.statistics import bootstrap_r2

ALPHAS = np.logspace(-4, 5, 10)
"""Ridge penalties to choose from."""
MLP_STEPS = 1000
"""Training steps of an MLP probe."""
MLP_EVALUATE_EVERY = 50
"""Steps between its validations."""


@dataclass(frozen=True)
class Examples:
    """What a probe is fitted or scored on."""

    inputs: np.ndarray
    """(n, p)."""
    targets: np.ndarray
    """True values (n, Z)."""
    episode: np.ndarray
    """Episode of each example, int (n,)."""

    def shuffled(self, rng: np.random.Generator) -> "Examples":
        """The targets in random order: a probe that still scores is broken."""
        return Examples(self.inputs, self.targets[rng.permutation(len(self.targets))], self.episode)


@dataclass(frozen=True)
class Split:
    """Examples of disjoint episodes."""

    train: Examples
    """Fits the probe."""
    validation: Examples
    """Chooses when to stop."""
    test: Examples
    """Is scored."""


@dataclass(frozen=True)
class Score:
    """How well a probe reads each of Z targets on the test episodes."""

    r2: list[float | None]
    """R2 of each target; None of one that stands still."""
    interval: list[list[float] | None]
    """Its 95 % interval; None also for a target that hardly moves."""
    prediction: np.ndarray
    """Predictions (n, Z)."""


def linear_probe(split: Split, resamples: int, rng: np.random.Generator) -> Score:
    """Ridge regression, its penalty chosen by leave-one-out on the training episodes.

    resamples: of test episodes, behind each interval. rng: draws them.
    """
    return _score(split.test, linear_predict(split.train, split.test.inputs), resamples, rng)


def linear_r2(split: Split) -> list[float | None]:
    """R2 of the linear probe for each of Z targets, without intervals: for controls."""
    return scores(split.test.targets, linear_predict(split.train, split.test.inputs))


def mlp_probe(split: Split, resamples: int, rng: np.random.Generator, seed: int) -> Score:
    """An MLP of two hidden layers, stopped where it does best on validation episodes. seed: of its training."""
    inputs, targets = _Scaler(split.train.inputs), _Scaler(split.train.targets)
    x, x_val, x_test = (inputs.apply(part.inputs) for part in (split.train, split.validation, split.test))
    y, y_val = targets.apply(split.train.targets), targets.apply(split.validation.targets)
    prediction = _fit_mlp(x, y, x_val, y_val, x_test, seed)
    return _score(split.test, targets.undo(prediction), resamples, rng)


def linear_predict(train: Examples, inputs: np.ndarray) -> np.ndarray:
    """Targets (n, Z) that a ridge regression fitted on `train` reads from inputs (n, p); NaN where any of the numbers
    are not finite."""
    if not all(np.isfinite(part).all() for part in (train.inputs, train.targets, inputs)):
        return np.full((len(inputs), train.targets.shape[1]), np.nan)
    return LinearMap.fit(train.inputs, train.targets)(inputs)


class LinearMap:
    """A ridge regression of standardised inputs, its penalty chosen by leave-one-out."""

    def __init__(self, scaler: "_Scaler", ridge: RidgeCV) -> None:
        self._scaler, self._ridge = scaler, ridge

    @staticmethod
    def fit(inputs: np.ndarray, targets: np.ndarray) -> "LinearMap":
        """The map that reads targets (n, Z) from inputs (n, p), all of them finite."""
        scaler = _Scaler(inputs)
        ridge = RidgeCV(alphas=ALPHAS, alpha_per_target=targets.shape[1] > 1)
        return LinearMap(scaler, ridge.fit(scaler.apply(inputs), targets))

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Inputs (n, p) -> targets (n, Z)."""
        return (self._scaler.apply(inputs) @ np.asarray(self._ridge.coef_).T + self._ridge.intercept_).reshape(
            len(inputs), -1
        )


def _score(test: Examples, prediction: np.ndarray, resamples: int, rng: np.random.Generator) -> Score:
    intervals = [
        bootstrap_r2(test.targets[:, k], prediction[:, k], test.episode, resamples, rng)
        for k in range(test.targets.shape[1])
    ]
    return Score(scores(test.targets, prediction), intervals, prediction)


class _Scaler:
    """Standardises columns by the mean and standard deviation of the training examples."""

    def __init__(self, x: np.ndarray) -> None:
        self.mean, self.std = x.mean(0), x.std(0) + 1e-8

    def apply(self, x: np.ndarray) -> np.ndarray:
        return (x - self.mean) / self.std

    def undo(self, x: np.ndarray) -> np.ndarray:
        return x * self.std + self.mean


def _fit_mlp(
    x: np.ndarray, y: np.ndarray, x_val: np.ndarray, y_val: np.ndarray, x_test: np.ndarray, seed: int
) -> np.ndarray:
    arrays = (torch.from_numpy(a.astype(np.float32)) for a in (x, y, x_val, y_val, x_test))
    x_t, y_t, x_v, y_v, x_e = arrays
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng([]):  # whoever calls keeps their own random numbers
        torch.default_generator.manual_seed(seed)
        net = nn.Sequential(
            nn.Linear(x.shape[1], 128), nn.GELU(), nn.Linear(128, 128), nn.GELU(), nn.Linear(128, y.shape[1])
        )
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, MLP_STEPS)
    best, kept = float("inf"), torch.full((len(x_e), y.shape[1]), torch.nan)
    for step in range(MLP_STEPS):
        rows = torch.randint(len(x_t), (512,), generator=generator)
        loss = nn.functional.mse_loss(net(x_t[rows]), y_t[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % MLP_EVALUATE_EVERY == 0:
            with torch.no_grad():
                error = float(nn.functional.mse_loss(net(x_v), y_v))
                if error < best:
                    best, kept = error, net(x_e)
    return kept.double().numpy()
