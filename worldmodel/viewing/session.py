"""The interface of a session, and the loop that runs one: commands come in by one queue, messages go out."""

import queue
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from worldmodel.viewing.messages import AnyCommand, Moment, Notice, Opening, Pace, StepOnce

Tell = Callable[[Moment | Notice], None]
Commands = queue.SimpleQueue[AnyCommand]

_IDLE_S = 0.1  # between looks at the queue while the session pauses


class Session(Protocol):
    """A simulation or a recording that can be looked at, stepped and changed."""

    opening: Opening
    """What stays the same throughout the session."""
    playing: bool
    """Whether it goes on by itself."""

    def advance(self) -> Moment:
        """Make one control step; returns the moment after it."""
        ...

    def moment(self) -> Moment:
        """The present moment."""
        ...

    def obey(self, command: AnyCommand) -> None:
        """Carry out a command; UserError or ValueError, in one line, where that cannot be done."""
        ...

    def close(self) -> None:
        """Free simulators and renderers."""
        ...


@dataclass
class Progress:
    """How far a session has come."""

    steps: int = 0
    """Control steps made."""
    stepping_s: float = 0.0
    """Seconds spent making them."""
    first_at: float = 0.0
    """When the first moment was there, by `time.monotonic`; 0 before it was."""
    last: Moment | None = None
    """The last moment; None before the first."""

    def advance(self, session: Session) -> Moment:
        """Make one control step of a session."""
        begun = time.perf_counter()
        self.last = session.advance()
        self.stepping_s += time.perf_counter() - begun
        self.steps += 1
        return self.last


def run_session(
    session: Session,
    commands: Commands,
    tell: Tell,
    stop: threading.Event,
    steps_per_s: float,
    most_steps: int | None = None,
    progress: Progress | None = None,
) -> Progress:
    """Run a session until `stop` is set, or it has made `most_steps`.

    A command that cannot be done is answered by a notice, and the session goes on.

    Args:
        commands: queue of the commands to carry out.
        tell: called with every moment and notice, in order.
        stop: ends the session at the next step.
        steps_per_s: control steps a second at most.
        progress: updated while the session runs, for readers in other threads.
    """
    progress = progress or Progress()
    first = True
    while not stop.is_set() and (most_steps is None or progress.steps < most_steps):
        due = time.monotonic() + 1 / steps_per_s
        once = False
        wanted = _drained(commands, 0.0 if session.playing or first else _IDLE_S)
        for command in wanted:
            if isinstance(command, Pace):
                steps_per_s = command.steps_per_s
            else:
                _obey(session, command, tell)
                once |= isinstance(command, StepOnce)
        try:
            if (session.playing or once) and not first:
                now = progress.advance(session)
            elif wanted or first:
                now = progress.last = session.moment()
            else:
                continue
        except Exception as error:  # whatever it is, people at the page are told, and may go on
            first = False
            _stumble(session, error, tell)
            continue
        if first:
            first, progress.first_at = False, time.monotonic()
        tell(now)
        stop.wait(max(0.0, due - time.monotonic()))
    return progress


def _obey(session: Session, command: AnyCommand, tell: Tell) -> None:
    try:
        session.obey(command)
    except ValueError as error:  # of which UserError is one
        tell(Notice(" ".join(str(error).split()), True))
    except Exception as error:
        _stumble(session, error, tell)


def _stumble(session: Session, error: Exception, tell: Tell) -> None:
    """Pause, and say why."""
    traceback.print_exception(error)
    session.playing = False
    tell(Notice(f"the session stumbled and pauses ({type(error).__name__}: {error}); try Reset", True))


def _drained(commands: Commands, patience_s: float) -> list[AnyCommand]:
    """All waiting commands; where there are none, one that comes within `patience_s` seconds."""
    found: list[AnyCommand] = []
    try:
        found.append(commands.get(timeout=patience_s) if patience_s else commands.get_nowait())
        while True:
            found.append(commands.get_nowait())
    except queue.Empty:
        return found
