"""The HTTP server for the metrics, in threads of the supervisor. Nothing in it blocks or ends the supervisor.

GET /metrics is the text for Prometheus, GET / a line that says whose port this is. At most MOST_CONNECTIONS are open at
a time, none for longer than REQUEST_SECONDS. While the port is taken the pipeline goes on: `listen` is called again and
again.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MOST_CONNECTIONS = 8
REQUEST_SECONDS = 10.0
"""Prometheus itself waits 10 s."""
SILENT_SECONDS = 5.0
"""For the next bytes of a request, or for the client to take those of an answer."""
LOOK_SECONDS = 0.25
"""Between two looks for connections that are open for too long, and for the end."""

Text = Callable[[str], tuple[bytes, str]]
"""The header Accept → (the metrics, their content type). It may take some seconds."""


def greeting(pid: int) -> str:
    """The answer to GET /: `ventes status` recognises the supervisor by it."""
    return f"ventes supervisor, pid {pid}: metrics are at /metrics\n"


class Endpoint:
    """Serves metrics at an address, as long as it can."""

    def __init__(self, address: str, port: int, text: Text, request_seconds: float = REQUEST_SECONDS) -> None:
        self._address, self._port, self._text, self._seconds = address, port, text, request_seconds
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def listen(self) -> bool:
        """Listen and serve, unless it does already; whether it has begun now. Raises OSError if the port is taken."""
        if self._thread is not None and self._thread.is_alive():
            return False
        self.close()
        self._server = _Server(self._address, self._port, self._text, self._seconds)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(LOOK_SECONDS,), name="metrics")
        self._thread.daemon = True
        self._thread.start()
        return True

    @property
    def port(self) -> int:
        """The port, also if 0 was asked for. Only after `listen`."""
        assert self._server is not None
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening, and close all connections."""
        if self._server is not None:
            if self._thread is not None and self._thread.is_alive():
                self._server.shutdown()
            self._server.server_close()
            self._server.drop(0.0)
        self._server = self._thread = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: str, port: int, text: Text, request_seconds: float) -> None:
        self.text = text
        self._seconds = request_seconds
        self.only_this_machine = _is_loopback(address)
        self._open: dict[socket.socket, float] = {}
        self._guard = threading.Lock()
        if ":" in address:
            self.address_family = socket.AF_INET6
        super().__init__((address, port), _Handler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # not HTTPServer's, which asks DNS for this machine's name

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            full = len(self._open) >= MOST_CONNECTIONS
            if not full:
                self._open[request] = time.monotonic()
        if full:
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        self.drop(self._seconds)

    def drop(self, seconds: float) -> None:
        """End the connections that are open for longer: their threads then close them."""
        with self._guard:
            old = [one for one, since in self._open.items() if time.monotonic() - since > seconds]
            for one in old:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or was too slow: nothing to report."""


class _Handler(BaseHTTPRequestHandler):
    timeout = SILENT_SECONDS
    server: _Server

    def do_GET(self) -> None:
        if self.server.only_this_machine and not _names_this_machine(self.headers.get("Host", "")):
            self._answer(403, b"This name is not one of this machine's own.\n")
        elif self.path.partition("?")[0] == "/metrics":
            try:
                text, kind = self.server.text(self.headers.get("Accept", ""))
            except (
                Exception
            ) as error:  # a record that is being replaced, an unforeseen value: the next request may work
                self._answer(500, f"{type(error).__name__}: the metrics could not be made\n".encode())
            else:
                self._answer(200, text, kind)
        elif self.path == "/":
            self._answer(200, greeting(os.getpid()).encode())
        else:
            self._answer(404, b"There is only /metrics.\n")

    do_HEAD = do_GET

    def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "ventes"

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _names_this_machine(host: str) -> bool:
    """Whether the header Host is localhost or an IP address: a web site that lets its own name point to this machine
    (DNS rebinding) sends its own name."""
    name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.lower().rstrip(".") in ("localhost", "")
    return True
