"""Pictures and films of a user's folder, for backgrounds."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from worldmodel.data.interchange.images import decode, fit_frames
from worldmodel.data.interchange.video_frames import VideoReader
from worldmodel.system.errors import StoreError, UserError
from worldmodel.system.files import read_regular
from worldmodel.system.progress import progress

MAX_FILM_FRAMES = 100
"""Most frames read of a film, from its start; films of DAVIS have at most 104."""
_MAX_PICTURE_BYTES = 64 * 2**20
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")
_FILMS = (".mp4",)


def read_films(folder: Path, size: int, most: int) -> list[np.ndarray]:
    """The first films of a folder in the order of their names, cut square and reduced, uint8 (T, size, size, 3) each.

    A picture is a film of one frame, a folder of pictures is one film, and so is an MP4 file; DAVIS' folder
    JPEGImages/480p is such a folder of films.

    Raises:
        UserError: there is no such folder, or neither a picture nor a film in it.
        StoreError: a file is not what its name says.
    """
    places: list[Path] = sorted(folder.iterdir()) if folder.is_dir() else []
    chosen = list(islice((place for place in places if _is_film(place)), most))
    if not chosen:
        raise UserError(
            f"pictures={folder} holds neither pictures ({', '.join(_PICTURES)}) nor videos ({', '.join(_FILMS)}, or "
            "folders of pictures); give a folder that does"
        )
    return [_film(place, size) for place in progress(chosen, desc=f"reading {folder}", unit="film")]


def _is_film(place: Path) -> bool:
    if place.is_dir():
        if place.is_symlink():
            raise UserError(f"{place} is a link; give a folder that holds the pictures themselves")
        return any(_is_picture(file) for file in place.iterdir())
    return _is_picture(place) or place.suffix.lower() in _FILMS


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in _PICTURES


def _film(place: Path, size: int) -> np.ndarray:
    frames = [fit_frames(frame[None], size) for frame in islice(_frames(place), MAX_FILM_FRAMES)]
    if not frames:
        raise StoreError(f"{place} holds no frames")
    return np.concatenate(frames)


def _frames(place: Path) -> Iterator[np.ndarray]:
    """Frames uint8 (H, W, 3) of a picture, a folder of pictures or a video."""
    if place.suffix.lower() in _FILMS and not place.is_dir():
        reader = VideoReader()
        try:
            yield from reader.first(place, MAX_FILM_FRAMES)
        finally:
            reader.close()
        return
    files = sorted(file for file in place.iterdir() if _is_picture(file)) if place.is_dir() else [place]
    for file in files:
        yield decode(read_regular(file, _MAX_PICTURE_BYTES), file)
