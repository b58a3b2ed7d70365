"""Probes: what can be read from a representation, on episodes that neither it nor the probe was fitted on."""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from torch import nn

from worldmodel.measures.identifiability import scores
from worldmodel.measures.statistics import bootstrap_r2

ALPHAS = np.logspace(-4, 5, 10)
MLP_STEPS = 1000
MLP_EVALUATE_EVERY = 50


@dataclass(frozen=True)
class Examples:
    """Inputs (n, p), targets (n, Z), and the episode int (n,) that each example comes from."""

    inputs: np.ndarray
    targets: np.ndarray
    episode: np.ndarray

    def with_inputs(self, inputs: np.ndarray) -> "Examples":
        return Examples(inputs, self.targets, self.episode)

    def shuffled(self, rng: np.random.Generator) -> "Examples":
        """Targets dealt out to other examples: a probe that still scores is broken."""
        return Examples(self.inputs, self.targets[rng.permutation(len(self.targets))], self.episode)


@dataclass(frozen=True)
class Split:
    """Examples of training, validation and test episodes."""

    train: Examples
    validation: Examples
    test: Examples


@dataclass(frozen=True)
class Score:
    """R2 and its 95 % interval for each of Z targets, and the predictions behind them (n, Z).

    A target that stands still on the test episodes has neither, one that hardly moves on them no interval: None.
    """

    r2: list[float | None]
    interval: list[list[float] | None]
    prediction: np.ndarray


def linear_probe(split: Split, resamples: int, rng: np.random.Generator) -> Score:
    """Ridge regression; its penalty is chosen by leave-one-out on the training episodes."""
    return _score(split.test, linear_predict(split.train, split.test.inputs), resamples, rng)


def linear_r2(split: Split) -> list[float | None]:
    """R2 of the linear probe for each of Z targets, without interval: for controls."""
    return scores(split.test.targets, linear_predict(split.train, split.test.inputs))


def mlp_probe(split: Split, resamples: int, rng: np.random.Generator, seed: int) -> Score:
    """A two-layer MLP, stopped where it does best on validation episodes."""
    inputs, targets = _Scaler(split.train.inputs), _Scaler(split.train.targets)
    x, x_val, x_test = (inputs.apply(part.inputs) for part in (split.train, split.validation, split.test))
    y, y_val = targets.apply(split.train.targets), targets.apply(split.validation.targets)
    prediction = _fit_mlp(x, y, x_val, y_val, x_test, seed)
    return _score(split.test, targets.undo(prediction), resamples, rng)


def linear_predict(train: Examples, inputs: np.ndarray) -> np.ndarray:
    """Targets (n, Z) that a ridge regression fitted on `train` reads from inputs (n, p); NaN where it has no numbers to
    go by."""
    if not all(np.isfinite(part).all() for part in (train.inputs, train.targets, inputs)):
        return np.full((len(inputs), train.targets.shape[1]), np.nan)
    scaler = _Scaler(train.inputs)
    ridge = RidgeCV(alphas=ALPHAS, alpha_per_target=train.targets.shape[1] > 1)
    ridge.fit(scaler.apply(train.inputs), train.targets)
    return np.asarray(ridge.predict(scaler.apply(inputs))).reshape(len(inputs), -1)


def _score(test: Examples, prediction: np.ndarray, resamples: int, rng: np.random.Generator) -> Score:
    intervals = [
        bootstrap_r2(test.targets[:, k], prediction[:, k], test.episode, resamples, rng)
        for k in range(test.targets.shape[1])
    ]
    return Score(scores(test.targets, prediction), intervals, prediction)


class _Scaler:
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
    torch.manual_seed(seed)
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
