"""The supervisor's side of the control socket (`control`).

It has no thread: it uses the selector of its process and never blocks on a client. The memory per client is limited to
an incomplete line of LONGEST_LINE bytes and MOST_UNREAD unsent bytes; beyond that the connection is closed.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ventes.errors import VentesError
from ventes.supervise.control import NAME, Message, address, encoded, path_of, peer

LONGEST_LINE = 4096
"""Bytes of a request."""
MOST_UNREAD = 262_144
"""Bytes that wait for a client, beside what the kernel holds for it: some 500 events."""
MOST_CLIENTS = 32
IDLE_SECONDS = 10.0
"""A connection without requests and events for so long is closed."""


class Connection:
    """One client, which is the process `pid`.

    `send` writes what the kernel accepts and buffers the rest. For a closed connection it does nothing.
    """

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self.pid = peer(sock)
        self.served = False
        """Whether the client receives events over time: then it may send nothing for long."""
        self.heard = time.monotonic()
        self._server = server
        self._socket = sock
        self._incoming = b""
        self._outgoing = b""

    def send(self, message: Message) -> None:
        if self.closed:
            return
        self._outgoing += encoded(message)
        self._flush()
        if len(self._outgoing) > MOST_UNREAD:
            self.close()

    def refuse(self, error: VentesError) -> None:
        self.send({"event": "error", "message": error.message, "hint": error.hint})

    def close(self) -> None:
        if not self.closed:
            self._server.forget(self)
            self._socket.close()

    @property
    def closed(self) -> bool:
        return self._socket.fileno() < 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def act(self, events: int) -> None:
        """Read or write, as the selector reports that it is possible without blocking."""
        if events & selectors.EVENT_WRITE:
            self._flush()
        if events & selectors.EVENT_READ and not self.closed:
            self._read()

    def _flush(self) -> None:
        if self.closed:
            return
        try:
            while self._outgoing:
                self._outgoing = self._outgoing[self._socket.send(self._outgoing) :]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self._server.watch(self, writing=bool(self._outgoing))

    def _read(self) -> None:
        try:
            data = self._socket.recv(LONGEST_LINE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self.heard = time.monotonic()
        *lines, self._incoming = (self._incoming + data).split(b"\n")
        for line in lines:
            if not self.closed:
                self._take(line)
        if len(self._incoming) > LONGEST_LINE:
            self.refuse(VentesError(f"a request has at most {LONGEST_LINE} bytes", "one JSON object on a line"))
            self.close()

    def _take(self, line: bytes) -> None:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if isinstance(request, dict) and isinstance(request.get("request"), str):
            self._server.handle(self, request)
        else:
            shown = line[:80].decode("utf-8", "replace")
            self.refuse(VentesError(f"not a request: {shown!r}", 'a line such as {"request": "state"}'))


class Server:
    """Listens on the socket within `selector`, whose keys hold a function of the events that came.

    `handle(connection, request)` is called for each request, `gone(connection)` after a connection has ended.
    """

    def __init__(
        self,
        state: Path,
        selector: selectors.BaseSelector,
        handle: Callable[[Connection, Message], None],
        gone: Callable[[Connection], None],
    ) -> None:
        """The caller holds the supervisor's lock: an existing socket is of a killed supervisor. Raises VentesError."""
        self.handle = handle
        self._gone = gone
        self._selector = selector
        self._connections: set[Connection] = set()
        self._folder = os.open(path_of(state).parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        before = os.umask(0o177)  # the socket is created with mode 0600, so that other users never have access
        try:
            os.fchmod(self._folder, 0o700)
            self._unlink()
            self._socket.bind(address(self._folder))
            self._socket.listen(MOST_CLIENTS)
        except OSError as error:
            self._socket.close()
            os.close(self._folder)
            raise VentesError(
                f"{path_of(state)} cannot be made: {error.strerror}", "remove what is there, or set another paths.state"
            ) from None
        finally:
            os.umask(before)
        selector.register(self._socket, selectors.EVENT_READ, self._accept)

    def close(self) -> None:
        """Close all connections and remove the socket."""
        for connection in list(self._connections):
            connection.close()
        self._selector.unregister(self._socket)
        self._socket.close()
        self._unlink()
        os.close(self._folder)

    def close_idle(self, now: float) -> None:
        """Close idle connections; `now` is time.monotonic()."""
        for connection in list(self._connections):
            if not connection.served and now - connection.heard > IDLE_SECONDS:
                connection.close()

    def watch(self, connection: Connection, *, writing: bool) -> None:
        """Let the selector wait for requests, and for room to write if there is something to write."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
        if self._selector.get_key(connection).events != events:
            self._selector.modify(connection, events, connection.act)

    def forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._selector.unregister(connection)
        self._gone(connection)

    def _accept(self, events: int) -> None:
        try:
            sock, _ = self._socket.accept()
        except OSError:  # it has gone already
            return
        sock.setblocking(False)
        connection = Connection(self, sock)
        self._connections.add(connection)
        self._selector.register(connection, selectors.EVENT_READ, connection.act)
        if len(self._connections) > MOST_CLIENTS:
            connection.refuse(VentesError(f"{MOST_CLIENTS} clients are connected already", "close some of them"))
            connection.close()

    def _unlink(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(NAME, dir_fd=self._folder)
