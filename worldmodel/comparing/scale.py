"""How much of everything: the quick scale finishes in an hour on two CPU cores, the full one wants a day or a GPU."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Sizes of everything in a study."""

    hidden: int
    """Units of a hidden layer of every encoder."""
    steps: int
    """Training steps of an encoder at the usual batch."""
    batch_sizes: tuple[int, ...]
    """Other batches, swept with as many pairs in all: steps in inverse proportion, learning rates by the root."""
    shares: tuple[float, ...]
    """Sizes of the data sweep, as shares of the training episodes."""
    predictor_hidden: int
    """Units of a hidden layer of the predictor that plans."""
    predictor_steps: int
    """Its training steps."""
    tasks: int
    """Tasks of its closed loop."""
    batch_size: int = 256
    """Pairs in the usual batch."""


SCALES = {
    "quick": Scale(64, 300, (32, 128, 1024), (1 / 64, 1.0), 192, 400, 40),
    "full": Scale(256, 4000, (32, 64, 128, 512, 1024), (1 / 256, 1 / 64, 1 / 16, 1 / 4, 1.0), 384, 4000, 500),
}
