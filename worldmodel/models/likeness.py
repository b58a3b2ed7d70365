"""How alike the edges of two pictures are, wherever a moved camera has put them."""

import torch
from torch import Tensor

_SHIFTS = 16
"""A camera may have moved the picture by a share 1 / 16 of its side in every direction."""


def likeness(frames: Tensor, pictures: Tensor) -> Tensor:
    """Correlation of the edges of frames with those of pictures, float32 (n, 3, W, W) in grey levels each, (n,).

    Edges alone count, so that neither colours nor light matter. It is the highest correlation over all shifts of up to
    a sixteenth of the side: 1 for a picture of the same scene, 0 where the two have nothing in common.
    """
    one, other = (_standardised(_edges(of)) for of in (frames, pictures))
    farthest = max(1, frames.shape[-1] // _SHIFTS)
    side = one.shape[-1] + farthest  # zeros between the two ends, so that nothing is shifted round the edge
    spectra = torch.fft.rfft2(one, s=(side, side)) * torch.fft.rfft2(other, s=(side, side)).conj()
    near = torch.arange(-farthest, farthest + 1, device=frames.device) % side
    return torch.fft.irfft2(spectra, s=(side, side))[:, near][:, :, near].amax((1, 2))


def _edges(pictures: Tensor) -> Tensor:
    """Length of the gradient in the channel where it is longest, (n, 3, W, W) -> (n, W-1, W-1)."""
    down, right = (torch.diff(pictures, dim=dim) for dim in (-2, -1))
    return (down[..., :-1].square() + right[..., :-1, :].square()).amax(1).sqrt()


def _standardised(maps: Tensor) -> Tensor:
    """Maps (n, W, W) less their mean, and of length 1; nought where nothing stands out."""
    centred = maps - maps.mean((1, 2), keepdim=True)
    return centred / centred.flatten(1).norm(dim=1).clamp_min(1e-6)[:, None, None]
