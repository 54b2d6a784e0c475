"""Client of the supervisor's control socket: <state>/run/control.sock.

A Unix stream socket with one JSON object per line in both directions. A request has the key "request", an answer the
key "event"; `requests` lists them. Access to it is full control of the pipeline: the folder is 0700, the socket 0600.
The server side is in `control_server`.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from pathlib import Path
from typing import Any

from ventes.errors import VentesError

NAME = "control.sock"
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
"""Timeout in seconds for the first answer: a new supervisor first ends the services of a killed one."""

Message = dict[str, Any]


class Disconnected(Exception):
    """The supervisor has closed the connection, or has ended."""


def path_of(state: Path) -> Path:
    return state / "run" / NAME


def address(folder: int) -> str:
    """The socket in the open folder. It always fits: sockaddr_un takes 107 bytes, a path of ours may have more."""
    return f"/proc/self/fd/{folder}/{NAME}"


def peer(sock: socket.socket) -> int:
    """The pid of the peer process, from the kernel."""
    pid: int = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    return pid


def encoded(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class Client:
    """A connection to the supervisor, which is the process `pid`. Use it in a `with`."""

    def __init__(self, sock: socket.socket) -> None:
        self.pid = peer(sock)
        self._socket = sock
        self._incoming = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, request: str, **arguments: object) -> Message:
        """Send a request and wait for the first event. Raises Disconnected, or VentesError if it is refused or late."""
        self.send(request, **arguments)
        answer = self.receive(ANSWER_SECONDS)
        if answer is None:
            raise VentesError(
                f"the supervisor (pid {self.pid}) has not answered for {ANSWER_SECONDS:.0f} s",
                f"`ventes logs supervisor`; if it is suspended: kill -CONT {self.pid}",
            )
        return answer

    def send(self, request: str, **arguments: object) -> None:
        """Send a request. Raises Disconnected."""
        try:
            self._socket.settimeout(CONNECT_SECONDS)
            self._socket.sendall(encoded({"request": request, **arguments}))
        except OSError:
            raise Disconnected from None

    def receive(self, seconds: float) -> Message | None:
        """The next event, waiting up to `seconds`; None if none came.

        Raises Disconnected, and VentesError if the supervisor refuses a request.
        """
        deadline = time.monotonic() + seconds
        while b"\n" not in self._incoming:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self._socket.recv(65_536)
            except TimeoutError:
                return None
            except OSError:
                data = b""
            if not data:
                raise Disconnected
            self._incoming += data
        line, _, self._incoming = self._incoming.partition(b"\n")
        event: Message = json.loads(line)
        if event["event"] == "error":
            raise VentesError(event["message"], event["hint"])
        return event


def connect(state: Path) -> Client | None:
    """A connection to the supervisor of this pipeline; None if none listens.

    Raises VentesError if it is there and does not take the connection.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(CONNECT_SECONDS)
    folder = -1
    try:
        folder = os.open(path_of(state).parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        sock.connect(address(folder))
    except (FileNotFoundError, ConnectionRefusedError):  # never made, or its supervisor was killed
        sock.close()
        return None
    except OSError as error:
        sock.close()
        raise VentesError(
            f"the supervisor does not answer at {path_of(state)}: {error.strerror or error}",
            "`ventes status` shows its pid; `ventes stop` ends it",
        ) from None
    finally:
        if folder >= 0:
            os.close(folder)
    return Client(sock)
