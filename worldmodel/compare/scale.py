"""How much of everything: the quick scale finishes in an hour on two CPU cores, the full one wants a day or a GPU."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """hidden, steps: of every encoder at `batch_size` pairs a step. batch_sizes: swept with as many pairs in all, so
    with steps in inverse proportion, and learning rates by the square root. episodes: sizes of the data sweep, as
    shares of the training episodes. predictor_*: of the planning column. tasks: of its closed loop.
    """

    hidden: int
    steps: int
    batch_sizes: tuple[int, ...]
    shares: tuple[float, ...]
    predictor_hidden: int
    predictor_steps: int
    tasks: int
    batch_size: int = 256


SCALES = {
    "quick": Scale(64, 300, (32, 128, 1024), (1 / 64, 1.0), 192, 400, 40),
    "full": Scale(256, 4000, (32, 64, 128, 512, 1024), (1 / 256, 1 / 64, 1 / 16, 1 / 4, 1.0), 384, 4000, 500),
}
