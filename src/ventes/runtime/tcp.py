"""Whether one of several servers takes a connection. Standard library only: Spark's workers import it."""

from __future__ import annotations

import socket
from collections.abc import Iterable

Server = tuple[str, int]


def refusal(servers: Iterable[Server], seconds: float) -> tuple[Server, str] | None:
    """The last server that took no connection, and why; None as soon as one takes one, or without a server.

    They are tried one after the other, each for up to `seconds`.
    """
    found = None
    for host, port in servers:
        try:
            socket.create_connection((host, port), seconds).close()
        except OSError as error:
            found = (host, port), str(error.strerror or error)
        else:
            return None
    return found
