"""`worldmodel compare`: the seed's table and its claims, measured for every method on one world."""

from worldmodel.compare.study import compare

__all__ = ["compare"]
