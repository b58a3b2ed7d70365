"""The one exception family whose message is meant for the person at the keyboard."""


class UserError(ValueError):
    """Something the user can mend; the message is one line: what came, what was expected, the remedy."""


class StoreError(UserError):
    """A data set that is missing, empty, truncated, foreign, or of another schema."""


class CheckpointError(UserError):
    """A run directory or checkpoint that is missing, foreign, or of another schema or architecture."""


class ResultError(UserError):
    """A file of results that is missing, foreign, or of another schema or kind."""


class TrainingError(UserError):
    """Training that cannot continue: a non-finite loss or collapsed latents, with a diagnosis."""
