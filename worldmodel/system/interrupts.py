"""SIGTERM and Ctrl-C: at once where nothing is lost, at the next safe point where something would be."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class Terminated(BaseException):
    """A scheduler's SIGTERM. Like KeyboardInterrupt it is no Exception, so that only the command line catches it."""


@dataclass
class StopRequest:
    """A request to stop, if there is one."""

    signal: int = 0
    """Number of the signal that asked to stop; 0 while none has."""

    def raise_if_made(self) -> None:
        """Raise Terminated on SIGTERM, KeyboardInterrupt on Ctrl-C."""
        if self.signal:
            raise Terminated if self.signal == signal.SIGTERM else KeyboardInterrupt


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """SIGTERM raises Terminated wherever the main thread is, so that temporary files and workers are cleaned up."""
    with _handlers({signal.SIGTERM: _terminate}):
        yield


@contextmanager
def deferred() -> Iterator[StopRequest]:
    """SIGTERM and SIGINT become a request, which the caller looks at where it is safe to stop (`raise_if_made`).

    A second signal stops at once. A request that is still open at the end is raised there.
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
    """Set signal handlers meanwhile; outside the main thread, which alone may set them, nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in chosen.items()}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
