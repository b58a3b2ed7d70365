"""Pictures and videos, drawn from plain arrays and numbers; knows no stage."""

from worldmodel.figures import style

__all__ = ["style"]
