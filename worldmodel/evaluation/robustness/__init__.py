"""`worldmodel robust`: goals reached and state read in worlds that look different."""

from worldmodel.evaluation.robustness.under_looks import robust

__all__ = ["robust"]
