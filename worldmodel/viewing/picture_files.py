"""Frames as picture files: exact ones as PNG, decoded ones, which are smooth anyway, as JPEG."""

import imageio.v3 as imageio
import numpy as np


def png(frame: np.ndarray) -> bytes:
    """A frame uint8 (S, S, 3) as PNG, without loss."""
    return imageio.imwrite("<bytes>", frame, plugin="pillow", extension=".png", compress_level=3)


def jpeg(picture: np.ndarray) -> bytes:
    """A picture uint8 (height, width, 3) as JPEG of high quality."""
    return imageio.imwrite("<bytes>", picture, plugin="pillow", extension=".jpg", quality=92, subsampling=0)


def tiles(frames: np.ndarray) -> bytes:
    """Frames uint8 (n, S, S, 3) side by side as one JPEG."""
    return jpeg(np.concatenate(list(frames), 1))
