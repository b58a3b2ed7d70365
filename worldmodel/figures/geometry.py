"""The latent plane as it is drawn: latents rotated onto the truth, and the image of a grid of true values.

Letters: N samples, Z true variables, D latents.
"""

import numpy as np


def rotate_onto(truth: np.ndarray, latents: np.ndarray) -> np.ndarray:
    """Latents (N, D) turned onto standardised truth (N, Z) by the best map with orthonormal columns; returns (N, Z).

    This is the orthogonal Procrustes solution (the polar factor of the cross-covariance), which cannot stretch or bend.
    """
    target = (truth - truth.mean(0)) / np.maximum(truth.std(0), 1e-12)
    centred = latents - latents.mean(0)
    left, _, right = np.linalg.svd(centred.T @ target / len(target), full_matrices=False)
    return centred @ (left @ right)


def truth_grid(truth: np.ndarray, plane: np.ndarray, cells: int = 9) -> list[np.ndarray]:
    """Where a regular grid of true values lands in the plane: polylines (L, 2) through the mean of each cell.

    truth (N, 2) is cut into `cells` x `cells` equal boxes over its central 96 %; a box with fewer than 3 samples breaks
    the line.
    """
    low, high = np.quantile(truth, [0.02, 0.98], axis=0)
    index = np.floor((truth - low) / np.maximum(high - low, 1e-12) * cells).astype(int)
    inside = np.all((index >= 0) & (index < cells), axis=1)
    flat = index[inside, 0] * cells + index[inside, 1]
    count = np.bincount(flat, minlength=cells * cells)
    sums = np.stack([np.bincount(flat, plane[inside, axis], minlength=cells * cells) for axis in range(2)], axis=1)
    centres = sums / np.maximum(count, 1)[:, None]
    centres[count < 3] = np.nan
    nodes = centres.reshape(cells, cells, 2)
    return [*nodes, *nodes.transpose(1, 0, 2)]
