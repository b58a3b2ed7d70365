"""What training chooses by itself where nobody has: settings, by short trainings and without labels."""

from worldmodel.choosing.choice import choose, left_open

__all__ = ["choose", "left_open"]
