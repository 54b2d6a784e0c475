"""Download links of the page: each is a random ticket that belongs to one session.

A ticket contains no path, no table and no SQL. It is valid while its session is connected (also after a reconnection),
for the host name with which that session opened the page and for the person who did, until it was not used for
LIFETIME_SECONDS. Streamlit has
compared that name with server.allowedHosts before the session began.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from ventes.query.csv_child import CsvTask

LIFETIME_SECONDS = 600.0
"""A ticket expires after this time without a run of the page in its session and without a download."""
LINKS_OF_A_VIEWER = 16
"""Links at most; the one that was shown least recently is dropped."""


class LinkRefused(Exception):
    """`status` for HTTP; the message is a sentence for the viewer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Download:
    """A CSV file: its name, and the task of the child process that writes it."""

    name: str
    task: Callable[[], CsvTask]
    what: str = ""
    """The table, or the query."""


class Viewer:
    """One session of the page. `host`: the Host header under which its browser opened the page. `person`: the name of
    who is logged in, "" without a login."""

    def __init__(self, host: str, person: str = "") -> None:
        self.host = host.lower()
        self.person = person
        self.connected = True
        self.used = 0.0

    def leave(self) -> None:
        self.connected = False


@dataclass(frozen=True)
class _Link:
    viewer: Viewer
    what: Hashable
    download: Download


class DownloadLinks:
    """The links of all sessions. Threads may share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.prefix: str | None = None
        """Path before the ticket; None while this process has no server that answers there."""
        self._clock = clock
        self._links: dict[str, _Link] = {}
        self._guard = threading.Lock()

    def keep(self, viewer: Viewer) -> None:
        """Keep the viewer's links valid. Call it in every run of the page."""
        viewer.connected = True
        viewer.used = self._clock()

    def issue(self, viewer: Viewer, what: Hashable, download: Download) -> str:
        """The address of `download`; the same one as long as its link is kept. `what` tells files apart."""
        with self._guard:
            viewer.used = self._clock()
            self._links = {ticket: link for ticket, link in self._links.items() if not self._expired(link.viewer)}
            mine = [ticket for ticket, link in self._links.items() if link.viewer is viewer]
            known = [ticket for ticket in mine if self._links[ticket].what == what]
            ticket = known[0] if known else secrets.token_urlsafe(24)
            for other in known or mine[: 1 - LINKS_OF_A_VIEWER]:
                del self._links[other]
            self._links[ticket] = _Link(viewer, what, download)  # moved to the end: shown most recently
            return f"{self.prefix}{ticket}"

    def find(self, ticket: str, host: str, person: str = "") -> tuple[Viewer, Download]:
        """The download of `ticket`, for whom it was made. Raises LinkRefused."""
        with self._guard:
            link = self._links.get(ticket)
            if link is None or not link.viewer.connected or self._expired(link.viewer):
                raise LinkRefused(404, "This link is no longer valid. Open the page again and take its new one.")
            if host.lower() != link.viewer.host:
                raise LinkRefused(403, "This link belongs to another address of the page. Open the page there.")
            if person != link.viewer.person:
                raise LinkRefused(403, "This link belongs to another person. Open the page and take your own.")
            link.viewer.used = self._clock()
            return link.viewer, link.download

    def _expired(self, viewer: Viewer) -> bool:
        return self._clock() - viewer.used > LIFETIME_SECONDS


LINKS = DownloadLinks()
"""Those of this process: the server answers them, the page shows them."""
