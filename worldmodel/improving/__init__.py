"""Training in rounds: the model drives its world, and goes on learning from what it saw."""

from worldmodel.improving.train_in_rounds import train

__all__ = ["train"]
