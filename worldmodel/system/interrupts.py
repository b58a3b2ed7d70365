"""What SIGTERM and Ctrl-C do: at once where nothing is lost by it, at the next safe point where something would be."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class Terminated(BaseException):
    """A scheduler's SIGTERM. Like KeyboardInterrupt no Exception, so that nothing but the command line catches it."""


@dataclass
class StopRequest:
    """The signal that asked to stop, 0 while none has."""

    signal: int = 0

    def raise_if_made(self) -> None:
        if self.signal:
            raise Terminated if self.signal == signal.SIGTERM else KeyboardInterrupt


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """SIGTERM raises Terminated wherever the main thread is, so that temporary files and workers are cleared away."""
    with _handlers({signal.SIGTERM: _terminate}):
        yield


@contextmanager
def deferred() -> Iterator[StopRequest]:
    """Collect SIGTERM and SIGINT instead of breaking off; a second one breaks off after all.

    Whoever is inside looks at the request when it is safe to stop, and calls `raise_if_made`; what is left of it is
    raised at the end.
    """
    request = StopRequest()

    def note(number: int, frame: FrameType | None) -> None:
        if request.signal:
            request.raise_if_made()
        request.signal = number

    with _handlers({signal.SIGTERM: note, signal.SIGINT: note}):
        yield request
    request.raise_if_made()


@contextmanager
def _handlers(chosen: dict[signal.Signals, object]) -> Iterator[None]:
    """Signal handlers for a while; only a main thread may set them, elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in chosen.items()}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
