"""Pictures of other toolkits as frames: decoded, with three channels of 8 bits, cut square."""

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from worldmodel.data.interchange.foreign import MAX_EPISODE_BYTES
from worldmodel.system.errors import StoreError

MAX_IMAGE_PIXELS = 4096 * 4096
CHANNELS_LAST, CHANNELS_FIRST = (1, 3, 4), (1, 3)
"""How many channels an array of images may have, (n, H, W, channels) or (n, channels, H, W)."""
_FORMATS = ("PNG", "JPEG", "WEBP")
_PNG, _JPEG, _RIFF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF"
_PNG_BIT_DEPTH = 24  # byte of the file


def is_encoded(content: bytes) -> bool:
    """Whether bytes begin as a PNG, JPEG or WebP file does."""
    return content.startswith((_PNG, _JPEG)) or (content.startswith(_RIFF) and content[8:12] == b"WEBP")


def decode(content: bytes, path: Path) -> np.ndarray:
    """A PNG, JPEG or WebP file as uint8 (H, W, 3): gray is repeated, alpha left out, of several pictures
    the first taken.

    path: the file that holds it, for messages.

    Raises:
        StoreError: it is none of these, damaged, too large, or of 16 bits a channel.
    """
    if not is_encoded(content):
        raise StoreError(f"{path} holds an image that is no PNG, JPEG or WebP file; only those are decoded")
    if content.startswith(_PNG) and content[_PNG_BIT_DEPTH : _PNG_BIT_DEPTH + 1] == b"\x10":
        raise StoreError(
            f"{path} holds images of 16 bits, such as depth; frames have 8 bits a channel: choose another camera"
        )
    try:
        with Image.open(BytesIO(content), formats=_FORMATS) as image:
            if image.width * image.height > MAX_IMAGE_PIXELS:
                raise StoreError(
                    f"{path} holds an image of {image.width} x {image.height} pixels, more than {MAX_IMAGE_PIXELS}"
                )
            return np.array(image.convert("RGB"))
    except StoreError:
        raise
    except Exception as error:  # Pillow raises whatever the file provokes
        raise StoreError(
            f"{path} holds a damaged image ({type(error).__name__}: {' '.join(str(error).split())[:80]})"
        ) from error


def as_frames(values: np.ndarray, path: Path) -> np.ndarray:
    """Images as uint8 (n, H, W, 3): of uint8 or as fractions of 1, with channels last or first, gray or with alpha.

    StoreError where fractions are none, or a fourth channel is no alpha: four gray images are stored so, too.
    """
    if values.shape[3] not in CHANNELS_LAST:
        values = np.moveaxis(values, 1, 3)
    if values.dtype != np.uint8:
        if not ((values >= 0) & (values <= 1)).all():
            raise StoreError(
                f"{path} has images of type {values.dtype} from {values.min():g} to {values.max():g}; store them as "
                "uint8, or as fractions from 0 to 1"
            )
        values = np.rint(255 * values).astype(np.uint8)
    if values.shape[3] == 4 and (values[..., 3] != 255).any():
        raise StoreError(f"{path} has images of four channels, the last of which is no alpha; store one image of three")
    return values.repeat(3, 3) if values.shape[3] == 1 else values[..., :3]


def fitted(blocks: Iterable[np.ndarray], size: int, path: Path) -> np.ndarray:
    """Blocks of frames, each uint8 (n, H, W, 3), through `fit_frames`, as one array.

    StoreError where they are not of one size, or too large for one episode.
    """
    found, num_bytes = [], 0
    for block in blocks:
        found.append(fit_frames(block, size))
        num_bytes += found[-1].nbytes
        if found[-1].shape[1:] != found[0].shape[1:]:
            raise StoreError(
                f"{path}: an episode has frames of {found[0].shape[1]} and of {found[-1].shape[1]} pixels a side; "
                f"set image_size={min(found[0].shape[1], found[-1].shape[1])}, which all are reduced to"
            )
        if num_bytes > MAX_EPISODE_BYTES:
            raise StoreError(f"{path}: an episode is larger than {MAX_EPISODE_BYTES} bytes; set image_size")
    return np.concatenate(found)


def fit_frames(frames: np.ndarray, size: int) -> np.ndarray:
    """uint8 (n, H, W, 3) cut to the middle square, area-averaged to (n, size, size, 3); size 0 keeps the square's."""
    height, width = frames.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    frames = frames[:, top : top + side, left : left + side]
    if size in (0, side):
        return np.ascontiguousarray(frames)
    parts = [
        functional.adaptive_avg_pool2d(part.movedim(-1, -3).float(), size).round().to(torch.uint8).movedim(-3, -1)
        for part in torch.from_numpy(np.ascontiguousarray(frames)).split(256)
    ]
    return np.ascontiguousarray(torch.cat(parts).numpy())
