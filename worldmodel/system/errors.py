"""The one exception family whose message is meant for the person at the keyboard."""

from worldmodel.system.printable import printable

_LONGEST, _END = 1000, 300  # characters of a message, and of its end where the middle is left out


class UserError(ValueError):
    """Something the user can mend; the message is one line: what came, what was expected, the remedy.

    What it quotes may be a stranger's: a terminal obeys none of it, and the middle of a long message is left out.
    """

    def __init__(self, message: str) -> None:
        message = printable(" ".join(message.splitlines()))
        if len(message) > _LONGEST:
            message = f"{message[: _LONGEST - _END]} … {message[-_END:]}"
        super().__init__(message)


class StoreError(UserError):
    """A data set that is missing, empty, truncated, foreign, or of another schema."""


class CheckpointError(UserError):
    """A run directory or checkpoint that is missing, foreign, or of another schema or architecture."""


class ResultError(UserError):
    """A file of results that is missing, foreign, or of another schema or kind."""


class TrainingError(UserError):
    """Training that cannot continue: a non-finite loss or collapsed latents, with a diagnosis."""
