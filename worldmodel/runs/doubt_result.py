"""Whether a model knows before it begins that it will fail."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DoubtResult:
    """Doubt of tasks before their first step, from their start and their goal image, beside their outcome.

    A frame is doubted where the encoder reads its decoded picture differently: its latent is then unlike those of
    training.
    """

    auroc: float | None
    """Chance that a task that failed was doubted more than one that did not; None where all or none failed."""
    auroc_interval: tuple[float, float] | None
    """Its 95 % interval."""
    doubted: float
    """Share of tasks that are doubted more than 99 % of usual frames."""
    success_doubted: float | None
    """Share of these that were solved all the same; None where none is doubted."""
    success_trusted: float | None
    """Share of the others that were solved; None where all are doubted."""
