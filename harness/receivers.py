"""Real receivers of alerts on this machine: an SMTP server, and an HTTP server that can be down and up again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from harness.pipeline import free_ports


class Mailbox:
    """What an SMTP server received."""

    def __init__(self) -> None:
        self.mails: list[Message] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(message_from_bytes(envelope.content))
        return "250 OK"

    def subjects(self) -> list[str]:
        return [str(mail["subject"]) for mail in self.mails]

    def text(self, number: int) -> str:
        """The plain text of a mail."""
        parts = [part for part in self.mails[number].walk() if part.get_content_type() == "text/plain"]
        payload = parts[0].get_payload(decode=True)
        assert isinstance(payload, bytes)
        return payload.decode()


@contextmanager
def smtp() -> Iterator[tuple[int, Mailbox]]:
    """(port, what arrived)."""
    mailbox = Mailbox()
    (port,) = free_ports(1)
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield port, mailbox
    finally:
        controller.stop()


class Webhook:
    """An HTTP receiver at a port of its own; down until `up` is called. `status` is what it answers."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.status = 200
        self.posts: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self._server: ThreadingHTTPServer | None = None

    def up(self) -> None:
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if webhook.status == 200:
                    webhook.posts.append(json.loads(body))
                    webhook.paths.append(self.path)
                self.send_response(webhook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def down(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def titles(self) -> list[str]:
        return [post["title"] for post in self.posts]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A receiver that is up."""
    receiver = Webhook()
    receiver.up()
    try:
        yield receiver
    finally:
        receiver.down()
