"""How numbers are written: fixed digits, intervals in brackets, a dash for what the data cannot tell."""

from collections.abc import Sequence

DASH = "–"


def digits(value: float | None, form: str = ".3f") -> str:
    """A number in the given format; a dash for None, what the data cannot tell."""
    return DASH if value is None else format(value, form)


def with_interval(value: float | None, interval: Sequence[float] | None, form: str = ".3f") -> str:
    """`0.900 [0.880, 0.920]`; the number alone where it has no interval."""
    ends = f" [{interval[0]:{form}}, {interval[1]:{form}}]" if interval else ""
    return digits(value, form) + ends
