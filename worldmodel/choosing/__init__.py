"""Settings that training chooses by itself where the user has not: by short trainings and without labels."""

from worldmodel.choosing.choice import choose, left_open

__all__ = ["choose", "left_open"]
