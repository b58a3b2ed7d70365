"""The grid of looks that a run is judged under, from its settings."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from worldmodel.envs import MujocoWorld, looks
from worldmodel.envs.looks import Appearance, Look
from worldmodel.evaluation.robustness.films import read_films
from worldmodel.runs.robust_result import CLEAN, SuiteSetting
from worldmodel.settings import RobustConfig
from worldmodel.system.errors import UserError


@dataclass(frozen=True)
class GridCell:
    """One cell of the grid."""

    look: str
    """Kind of look, or `clean`."""
    strength: float | None
    """Its strength; None for looks without one."""
    unit: str
    """Unit of the strength."""
    looks: tuple[Look, ...]
    """The looks that it consists of."""
    suite: SuiteSetting | None = None
    """The setting of the Distracting Control Suite that it is; None for other looks."""

    def appearance(self, seed: int) -> Appearance | None:
        """An instance; None for the world as it is."""
        return Appearance(self.looks, seed) if self.looks else None


def shifts_of(config: RobustConfig, image_size: int, world: str) -> list[GridCell]:
    """The world as it is, then every look at every strength, then the Distracting Control Suite's levels.

    Args:
        config: names the looks.
        image_size: side of the world's frames.
        world: its name.

    Raises:
        UserError: an unknown kind, a strength out of range, or a folder without pictures.
    """
    films = read_films(Path(config.pictures), image_size, max(looks.NUM_FILMS.values())) if config.pictures else []
    pictures = np.concatenate(films) if films else None
    found = [GridCell(CLEAN, None, "", ())]
    for kind, strengths in config.looks.items():
        for strength in strengths:
            try:
                look = looks.make(kind, strength, pictures)
            except ValueError as error:
                raise UserError(f"looks: {error}") from error
            found.append(GridCell(kind, float(strength), look.unit, (look,)))
    for motion in config.motions:
        for level in config.levels:
            for axis, chosen in looks.suite_level(level, motion, world, films).items():
                setting = SuiteSetting(axis, level, motion)
                found.append(GridCell(f"suite {axis}, {level}, {motion}", None, "", tuple(chosen), setting))
    return found


def check_can_look(world: MujocoWorld) -> None:
    """UserError where a world cannot look different, since it is not rendered here."""
    if world.scene.draws_itself:
        raise UserError(
            f"{world.name} draws its own frames, so its looks cannot be changed here; probe and imagine need none"
        )
