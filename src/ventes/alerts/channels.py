"""Sends one message to one channel, by Apprise, and says what the channel answered.

Apprise writes what went wrong to its log, with addresses in the finer levels: its log is read here, and only the parts
that say what went wrong are kept, without the parts of the address.
"""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import apprise

from ventes.alerts.decide import OVER
from ventes.alerts.message import TEST
from ventes.runtime.logs import printable
from ventes.runtime.redaction import BLANK
from ventes.settings.alerts import secret_parts

with warnings.catch_warnings():  # of Python, about an old module that a plugin imports
    warnings.simplefilter("ignore", DeprecationWarning)
    apprise.Apprise.instantiate("json://localhost")  # loads the plugins, here and not in a channel's thread

_TYPES = {
    "info": apprise.NotifyType.INFO,
    "warning": apprise.NotifyType.WARNING,
    "critical": apprise.NotifyType.FAILURE,
}
_TYPES_OF_KINDS = {OVER: apprise.NotifyType.SUCCESS, TEST: apprise.NotifyType.INFO}
"""Of these whatever the severity: a test must not call anybody out."""
_WEB = ("http", "https", "webhook", "webhooks")
"""What people write for a webhook of their own; Apprise names it by what is sent there."""
_LONGEST = 400
_CAUSE = re.compile(
    r"\[Errno -?\d+\] [^\"'()<>]+|\(\d{3}, b?['\"][^'\"]{1,200}|timed out|CERTIFICATE_VERIFY_FAILED[^(]*"
)
"""In the text of an exception: what is no address."""


_ADDRESS = re.compile(r"[\w+.-]+://\S+")


@dataclass(frozen=True)
class Answer:
    """`text`: why it was not taken; no part of the address is in it."""

    taken: bool
    text: str = ""


def refused(url: str) -> str:
    """Why nothing can be sent to this URL; '' if it can be tried."""
    if not url:
        return "it has no URL"
    with _heard() as said:
        try:
            known = apprise.Apprise.instantiate(url) is not None
        except Exception as error:  # a plugin may raise anything, with the address in it
            said.append(f"{type(error).__name__} while its URL was read")
            known = False
    return "" if known else _why_not(said, url)


def send(url: str, title: str, body: str, severity: str, kind: str) -> Answer:
    """Send a message and wait for the answer: some 20 s at most for most channels. Raises nothing."""
    with _heard() as said:
        try:
            channel = apprise.Apprise.instantiate(url) if url else None
            if channel is None:
                return Answer(False, _why_not(said, url) if url else "it has no URL")
            kind_of = _TYPES_OF_KINDS.get(kind) or _TYPES[severity]
            taken = channel.notify(body=body, title=title, notify_type=kind_of, body_format=apprise.NotifyFormat.TEXT)
        except Exception as error:  # a plugin may raise anything, with the address in it
            said.append(": ".join(filter(None, (type(error).__name__, _cause(str(error))))))
            taken = False
    return Answer(True) if taken else Answer(False, _plain(said, url) or "it was not taken, without a reason")


def _why_not(said: Iterable[str], url: str) -> str:
    """Why Apprise cannot read this URL, and the next step. Of the URL no more than its scheme is said."""
    scheme = url.partition("://")[0].lower()
    kept = [line for line in said if not line.startswith("Unparseable")]  # that says only that it cannot
    why = _plain(kept, url) or f"Apprise cannot read this URL (scheme {scheme})"
    if scheme in _WEB:
        return f"{why}. Next step: for your own webhook write json://host:port/path, for https jsons://…"
    return f"{why}. Next step: docs/alerts.md shows what a URL looks like"


def _plain(said: Iterable[str], url: str) -> str:
    lines = [_ADDRESS.sub(BLANK, line.partition(" URL: ")[0]).strip().rstrip(".") for line in said]
    text = "; ".join(dict.fromkeys(filter(None, lines)))
    for part in sorted(secret_parts(url), key=len, reverse=True):
        text = text.replace(part, BLANK)
    return printable(" ".join(text.split()))[:_LONGEST]


def _cause(text: str) -> str:
    found = _CAUSE.search(text)
    return found[0].strip(" :") if found else ""


class _Listener(logging.Handler):
    """Keeps what Apprise's log says in each thread."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said: dict[int, list[str]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        lines = self.said.get(threading.get_ident())
        if lines is None:
            return
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            lines.append(text)
        elif text.startswith("Socket Exception") and (cause := _cause(text)):
            lines.append(cause)


_listener = _Listener()


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What Apprise says in this thread meanwhile. Its log goes nowhere else."""
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    if _listener not in logger.handlers:
        logger.handlers[:] = [_listener]
    lines = _listener.said[threading.get_ident()] = []
    try:
        yield lines
    finally:
        del _listener.said[threading.get_ident()]
