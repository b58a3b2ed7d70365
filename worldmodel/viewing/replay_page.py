"""The page, for a server or, with the moments of a session in it, as a file that needs none."""

import base64
import gzip
import threading
from collections import deque
from importlib import resources

from worldmodel.viewing.messages import Opening, encoded

LONGEST = 3_000
"""Moments kept: two minutes at 25 steps a second."""


class Recorder:
    """Keeps the last moments of a session."""

    def __init__(self, opening: Opening) -> None:
        self._opening = encoded(opening)
        self._moments: deque[bytes] = deque(maxlen=LONGEST)
        self._lock = threading.Lock()

    def keep(self, moment: bytes) -> None:
        """Keep an encoded moment; beyond `LONGEST` the oldest is dropped. Any thread may call this and `page`."""
        with self._lock:
            self._moments.append(moment)

    def page(self) -> str:
        """The recording as one HTML page."""
        with self._lock:
            moments = tuple(self._moments)
        return page(gzip.compress(b"\n".join([self._opening, *moments]), 6))


def page(recording: bytes = b"", nonce: str | None = None) -> str:
    """The page, for a server or with a recording in it.

    Args:
        recording: messages as lines of JSON, compressed by gzip; empty: the page connects to its server.
        nonce: of the content security policy, which allows only scripts that carry it; None in a file.
    """
    parts = {
        "{{ style }}": _asset("style.css"),
        "{{ nonce }}": f' nonce="{nonce}"' if nonce else "",
        "{{ scene }}": _asset("scene.js"),
        "{{ app }}": _asset("app.js"),
        "{{ recording }}": base64.b64encode(recording).decode(),
    }
    html = _asset("index.html")
    for place, content in parts.items():
        html = html.replace(place, content)
    return html


def _asset(name: str) -> str:
    return resources.files("worldmodel.viewing").joinpath("page", name).read_text(encoding="utf-8")
