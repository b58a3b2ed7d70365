"""Fisher information of data about constants, before anything is learned, and the bounds that follow from it.

Constants are counted in their standardised coordinates t, whose prior is N(0, I); R2 is then one minus the posterior
variance. Information adds over independent windows; the unknown initial state of each is marginalised out.

Letters: R observed numbers of a window, P constants, V nuisance coordinates, W windows, Q directions, K combinations.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LARGEST_EXPONENT = 3
MOST_FACTORS = 4  # of one combination
# a combination may change this much along an unreadable direction, as a cosine, and still count as unchanged
LARGEST_COSINE = 0.03


def marginal_information(
    constants: np.ndarray, nuisances: np.ndarray, nuisance_precision: float | np.ndarray
) -> np.ndarray:
    """Fisher information (P, P) about the constants with Gaussian nuisances integrated out.

    The Schur complement of J^T J with respect to the nuisances, J in units of the observation noise.

    Args:
        constants: (R, P) derivatives of the observations over the noise's standard deviation.
        nuisances: (R, V) likewise.
        nuisance_precision: inverse variance of the nuisances' priors, one or (V,); 0 says nothing of them.
    """
    precision = np.broadcast_to(np.asarray(nuisance_precision, float), nuisances.shape[1:])
    # ridge rows carry the prior; the residual of a projection is stabler than a difference of two large matrices
    rows = np.concatenate([nuisances, np.diag(np.sqrt(precision))])
    target = np.concatenate([constants, np.zeros((len(precision), constants.shape[1]))])
    basis, singular, _ = np.linalg.svd(rows, full_matrices=False)
    basis = basis[:, singular > singular.max(initial=0.0) * max(rows.shape) * np.finfo(float).eps]
    residual = target - basis @ (basis.T @ target)
    return residual.T @ residual


def posterior_covariance(information: np.ndarray) -> np.ndarray:
    """Mean of (I + F)^-1 over windows, (P, P): information (W, P, P) against the prior N(0, I) of t."""
    return np.linalg.inv(np.eye(information.shape[-1]) + information).mean(0)


def r2_bounds(covariance: np.ndarray) -> np.ndarray:
    """Largest R2 that a reader of each t can reach, (P,), given the posterior covariance (P, P).

    Exact for linear observations; otherwise for their linearisation at the truth.
    """
    return 1 - np.diag(covariance)


def van_trees_bounds(information: np.ndarray) -> np.ndarray:
    """The looser bound (P,) that holds for any reader of nonlinear observations (van Trees): 1 - ((I + mean F)^-1)_kk.

    It averages before it inverts, so that a few very informative windows dominate.
    """
    return r2_bounds(np.linalg.inv(np.eye(information.shape[-1]) + information.mean(0)))


@dataclass(frozen=True)
class Combination:
    """A product of powers of constants that the data determine where they do not determine the constants alone."""

    exponents: dict[str, float]
    """Constant -> exponent, whole numbers unless nothing so simple fits."""
    r2: float
    """Bound on the R2 of its logarithm."""

    @property
    def text(self) -> str:
        """E.g. `force_gain^1 mass^-1`, the positive powers first."""
        ordered = sorted(self.exponents.items(), key=lambda item: -item[1])
        return " ".join(f"{name}^{exponent:g}" for name, exponent in ordered)


@dataclass(frozen=True)
class Directions:
    """Directions in the space of constants, sorted by a window's information about them."""

    information: np.ndarray
    """Information of the typical window, (P,): the posterior precision less the prior's."""
    vectors: np.ndarray
    """The directions as columns of unit length in t, (P, P)."""

    @property
    def unreadable(self) -> np.ndarray:
        """The directions about which a window says less than the prior (information below 1), (P, Q)."""
        return self.vectors[:, self.information < 1]


def directions(covariance: np.ndarray) -> Directions:
    """Eigenvectors of the typical window's information, covariance^-1 - I, most informative first."""
    values, vectors = np.linalg.eigh(covariance)
    return Directions(np.maximum(1 / np.maximum(values, 1e-300) - 1, 0.0), vectors)


def readable_combinations(covariance: np.ndarray, names: Sequence[str], scales: np.ndarray) -> list[Combination]:
    """The simplest products of powers that keep their value along every unreadable direction.

    In logarithms a constant is log(nominal) + scale * t, a product of powers a linear form with its exponents. Forms
    with whole exponents up to 3 that are orthogonal to the unreadable directions are taken in order of simplicity
    (few factors, small exponents), each independent of those before, until the readable space is spanned; where none
    fits, its remaining directions are given with decimals.

    Args:
        covariance: posterior (P, P) in t.
        names: of P constants, all with a log prior.
        scales: (P,), prior standard deviations of the logarithms.
    """
    unreadable = scales[:, None] * directions(covariance).unreadable
    hidden = np.linalg.qr(unreadable)[0]
    wanted = len(names) - hidden.shape[1]
    chosen: list[np.ndarray] = []
    for form in _simple_forms(len(names)):
        if len(chosen) == wanted:
            break
        unchanged = np.linalg.norm(hidden.T @ form) <= LARGEST_COSINE * np.linalg.norm(form)
        if unchanged and np.linalg.matrix_rank(np.array([*chosen, form])) > len(chosen):
            chosen.append(form)
    chosen += _remaining_forms(hidden, chosen)
    return [_combination(form, covariance, names, scales) for form in chosen]


def _simple_forms(num: int) -> list[np.ndarray]:
    """Whole-number forms (num,), simplest first; of a form and its opposite the one whose last exponent is positive."""
    forms = []
    exponents = [e for e in range(-LARGEST_EXPONENT, LARGEST_EXPONENT + 1) if e]
    for count in range(1, min(num, MOST_FACTORS) + 1):
        for where in itertools.combinations(range(num), count):
            for values in itertools.product(exponents, repeat=count):
                if values[-1] > 0 and np.gcd.reduce(values) == 1:
                    form = np.zeros(num)
                    form[list(where)] = values
                    forms.append(form)
    return sorted(forms, key=lambda form: (np.count_nonzero(form), np.abs(form).sum()))


def _remaining_forms(hidden: np.ndarray, chosen: list[np.ndarray]) -> list[np.ndarray]:
    """A basis of the rest of the readable space, largest exponent 1."""
    taken = np.linalg.qr(np.column_stack([hidden, *chosen]))[0]
    complement = np.linalg.svd(taken, full_matrices=True)[0][:, taken.shape[1] :]
    return [form / form[np.argmax(np.abs(form))] for form in complement.T]


def _combination(form: np.ndarray, covariance: np.ndarray, names: Sequence[str], scales: np.ndarray) -> Combination:
    in_t = scales * form
    r2 = 1 - float(in_t @ covariance @ in_t) / float(in_t @ in_t)
    exponents = {name: round(float(e), 2) for name, e in zip(names, form, strict=True) if abs(e) >= 0.005}
    return Combination(exponents, r2)
