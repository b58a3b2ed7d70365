"""The grid of looks that a run is judged under, from its settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from worldmodel.data.interchange.images import decode, fit_frames
from worldmodel.envs import looks
from worldmodel.envs.looks import Appearance, Look
from worldmodel.runs.robust_result import CLEAN
from worldmodel.settings import RobustConfig
from worldmodel.system.errors import UserError
from worldmodel.system.files import read_regular

MAX_PICTURE_BYTES = 64 * 2**20
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class GridCell:
    """One cell of the grid."""

    look: str
    """Kind of look, or `clean`."""
    strength: float | None
    """How strong; None where the name says it all."""
    unit: str
    """Unit of the strength."""
    looks: tuple[Look, ...]
    """What it consists of."""

    def appearance(self, seed: int) -> Appearance | None:
        """An instance; None for the world as it is."""
        return Appearance(self.looks, seed) if self.looks else None


def shifts_of(config: RobustConfig, image_size: int) -> list[GridCell]:
    """The world as it is, then every look at every strength, then the Distracting Control Suite's levels.

    Raises:
        UserError: an unknown kind, a strength out of range, or a folder without pictures.
    """
    pictures = read_pictures(Path(config.pictures), image_size) if config.pictures else None
    found = [GridCell(CLEAN, None, "", ())]
    for kind, strengths in config.looks.items():
        for strength in strengths:
            try:
                look = looks.make(kind, strength, pictures)
            except ValueError as error:
                raise UserError(f"looks: {error}") from error
            found.append(GridCell(kind, float(strength), look.unit, (look,)))
    for level in config.levels:
        for axis, chosen in looks.suite_level(level, pictures).items():
            found.append(GridCell(f"suite {axis}, {level}", None, "", tuple(chosen)))
    return found


def read_pictures(folder: Path, size: int) -> np.ndarray:
    """All pictures of a folder in the order of their names, cut square and reduced, uint8 (n, size, size, 3).

    Raises:
        UserError: there is no such folder, or no picture in it.
        StoreError: a file is no picture in spite of its name.
    """
    files: Sequence[Path] = sorted(folder.iterdir()) if folder.is_dir() else []
    chosen = [file for file in files if file.suffix.lower() in SUFFIXES]
    if not chosen:
        raise UserError(f"pictures={folder} holds no pictures ({', '.join(SUFFIXES)}); give a folder that does")
    return np.concatenate(
        [fit_frames(decode(read_regular(file, MAX_PICTURE_BYTES), file)[None], size) for file in chosen]
    )
