"""Checks of hyperparameters and shapes: what was expected, what came, and the remedy."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor


def check_at_least(least: float, **values: float) -> None:
    """Raises ValueError unless every named value >= least."""
    for name, value in values.items():
        if not value >= least:
            raise ValueError(f"{name} must be >= {least}, got {value}; set planner.{name}")


def check_positive(**values: float) -> None:
    """Raises ValueError unless every named value > 0."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be > 0, got {value}; set planner.{name}")


def check_momentum(momentum: float) -> None:
    """Raises ValueError unless momentum is in [0, 1)."""
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum must be in [0, 1), got {momentum}; set planner.momentum")


def check_ordered(**values: float) -> None:
    """Raises ValueError unless the named values, in this order, do not decrease."""
    for (name, value), (bound_name, bound) in pairwise(values.items()):
        if not value <= bound:
            raise ValueError(f"{name} must be <= {bound_name} = {bound}, got {value}; set planner.{name}")


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raises ValueError unless value is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}; set planner.{name}")


def check_horizon(horizon: int, action_block: int) -> None:
    """Raises ValueError unless the horizon is a whole number of action blocks."""
    check_at_least(1, horizon=horizon, action_block=action_block)
    if horizon % action_block:
        raise ValueError(
            f"horizon must be a multiple of action_block = {action_block}, got {horizon}; "
            "set planner.horizon or planner.action_block"
        )


def check_shape(name: str, tensor: Tensor, shape: Sequence[int | None], letters: str, remedy: str) -> None:
    """Raises ValueError unless tensor has this shape, in which None stands for any size."""
    fits = tensor.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, tensor.shape, strict=True))
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must have shape {letters} = ({wanted}), got {tuple(tensor.shape)}; {remedy}")
