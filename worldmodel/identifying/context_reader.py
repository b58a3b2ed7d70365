"""Constants in one pass: the run's learned context, read linearly, with an interval; a fast estimate beside the fit.

Letters: W recordings, C numbers of a context, P constants, T steps, D latents, A numbers of an action.
"""

from dataclasses import dataclass

import numpy as np
import torch

from worldmodel.models import WorldModel

_RIDGES = np.logspace(-3, 3, 7)


@dataclass(frozen=True)
class ContextReader:
    """A ridge regression from contexts to standardised coordinates."""

    weights: np.ndarray
    """(C + 1, P), the last row for a constant 1."""
    width: np.ndarray
    """Half the 95 % interval of every constant, (P,)."""

    def __call__(self, context: np.ndarray) -> np.ndarray:
        """A context (C,) to coordinates (P,)."""
        return np.append(context, 1.0) @ self.weights


def fit_context_reader(contexts: np.ndarray, true: np.ndarray) -> ContextReader:
    """Fit a reader to contexts (W, C) and coordinates (W, P) of simulated recordings.

    The penalty and the width of intervals come from leave-one-out errors: each residual divided by 1 minus leverage.
    """
    inputs = np.concatenate([contexts, np.ones((len(contexts), 1))], 1)
    scale = np.append(contexts.var(0), 0.0) * len(contexts)
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for ridge in _RIDGES:
        solve = np.linalg.solve(inputs.T @ inputs + np.diag(ridge * scale / len(contexts) + 1e-12), inputs.T)
        left_out = (true - inputs @ (solve @ true)) / (1 - (inputs * solve.T).sum(1))[:, None]
        error = float((left_out**2).mean())
        if best is None or error < best[0]:
            best = error, solve @ true, np.quantile(np.abs(left_out), 0.95, axis=0, method="higher")
    assert best is not None
    return ContextReader(best[1], best[2])


@torch.no_grad()
def context_of(model: WorldModel, latents: np.ndarray, actions: np.ndarray) -> np.ndarray | None:
    """The context (C,) of latents (T+1, D) and actions (T, A); None where the run has none, or they are too few."""
    encoder = model.context_encoder
    if encoder is None or len(actions) < encoder.min_steps:
        return None
    window = (torch.from_numpy(np.ascontiguousarray(part)).float().to(model.device) for part in (latents, actions))
    found = encoder(*(part[None] for part in window))[0]
    return found.cpu().numpy().astype(np.float64)
