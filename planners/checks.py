"""Checks of hyperparameters and shapes. An error says what was expected, what came, and what to set."""

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from itertools import pairwise
from typing import get_type_hints

from torch import Tensor

MAX_DRAWN, MAX_HORIZON = 2**26, 10_000
"""Most random numbers of a plan, and control steps that it looks ahead: both may come with a stranger's run."""


def check_known(what: str, name: object, known: Sequence[str]) -> None:
    """Raises ValueError, with the nearest known name, unless a name is known."""
    if name not in known:
        close = get_close_matches(str(name).lower(), known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"unknown {what} {name!r}; {hint}choose from {', '.join(known)}")


def check_parameters(planner: str, cls: type, params: Mapping[str, object]) -> None:
    """Raises ValueError unless each parameter is a field of the dataclass `cls`, and a number where that takes one."""
    known, types = [field.name for field in fields(cls)], get_type_hints(cls)
    for name, value in params.items():
        check_known(f"parameter of planner {planner}", name, known)
        wanted = {int: numbers.Integral, float: numbers.Real}.get(types[name])
        if wanted is not None and (isinstance(value, bool) or not isinstance(value, wanted)):
            number = "a whole number" if wanted is numbers.Integral else "a number"
            raise ValueError(f"{name} must be {number}, got {value!r}; set planner.{name}")


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


def check_choice(name: str, value: str, choices: Sequence[str], option: str = "") -> None:
    """Raises ValueError unless value is one of the choices; `option` is what to set, planner.NAME by default."""
    if value not in choices:
        remedy = option or f"planner.{name}"
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}; set {remedy}")


def check_horizon(horizon: int, action_block: int) -> None:
    """Raises ValueError unless the horizon is a whole number of action blocks, and at most `MAX_HORIZON`."""
    check_at_least(1, horizon=horizon, action_block=action_block)
    if horizon % action_block:
        raise ValueError(
            f"horizon must be a multiple of action_block = {action_block}, got {horizon}; "
            "set planner.horizon or planner.action_block"
        )
    if horizon > MAX_HORIZON:
        raise ValueError(f"horizon must be <= {MAX_HORIZON}, got {horizon}; set planner.horizon")


def check_size(num_iterations: int, num_samples: int, num_blocks: int, action_dim: int = 1) -> None:
    """Raises ValueError where a plan would try more than `MAX_DRAWN` numbers, in iterations of samples of blocks."""
    if num_iterations * num_samples * num_blocks * action_dim > MAX_DRAWN:
        raise ValueError(
            f"a plan would try {num_iterations} x {num_samples} sequences of {num_blocks} x {action_dim} numbers, at "
            f"most {MAX_DRAWN} numbers are tried; lower planner.num_samples, planner.num_iterations or planner.horizon"
        )


def check_shape(name: str, tensor: Tensor, shape: Sequence[int | None], letters: str, remedy: str) -> None:
    """Raises ValueError unless a tensor has this shape, in which None stands for any size."""
    fits = tensor.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, tensor.shape, strict=True))
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must have shape {letters} = ({wanted}), got {tuple(tensor.shape)}; {remedy}")
