"""`worldmodel view`: a model at work, live in the browser; or a recording, with a model's prediction beside it.

`open_session` opens the same without a server: a `Session`, each step of which returns a `Moment`.
"""

from worldmodel.runs import ViewResult
from worldmodel.viewing.messages import read_command
from worldmodel.viewing.session import Session
from worldmodel.viewing.start import open_session, view

__all__ = ["Session", "ViewResult", "open_session", "read_command", "view"]
