"""A real S3 server on this machine, and a proxy before it that makes it slow, unreliable or silent.

The server is moto's: real requests over HTTP, conditional writes as S3 has them. It keeps everything in memory.
"""

from __future__ import annotations

import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from harness.pipeline import free_ports
from ventes.runtime import parent_death

KEY, SECRET = "test-key", "test-secret-of-the-store"


@dataclass(frozen=True)
class S3Server:
    """A server that runs, reached at `port`."""

    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def make_bucket(self, name: str) -> str:
        """Make a bucket; returns its address as a lake."""
        client(self.endpoint).create_bucket(Bucket=name)
        return f"s3://{name}"


def environment(endpoint: str) -> dict[str, str]:
    """The variables with which a process reaches a server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }


def client(endpoint: str) -> Any:
    """Another program's client of the same server."""
    import boto3

    return boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
    )


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server of its own process, with nothing in it."""
    process = S3Process()
    try:
        process.start()
        yield process.server
    finally:
        process.kill()


class S3Process:
    """The process of a server, which can be killed and started again with what it held."""

    def __init__(self) -> None:
        self.server = S3Server(*free_ports(1))
        self._process: subprocess.Popen[bytes] | None = None
        self._starter = ThreadPoolExecutor(1, "s3")
        """The process ends with the thread that started it: not with that of a caller of `restart`."""

    def _launch(self) -> subprocess.Popen[bytes]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith("VENTES_")}
        return subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.server.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**kept, "PYTHONWARNINGS": "ignore"},
            preexec_fn=partial(parent_death.end_with, os.getpid()),  # a test run that is killed leaves none
        )

    def start(self) -> None:
        """Start it, and return when it answers."""
        process = self._process = self._starter.submit(self._launch).result()
        until = time.monotonic() + 240
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{self.server.endpoint}/moto-api/", timeout=5):
                return
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"moto's server does not answer (exit {process.poll()})")
            time.sleep(0.1)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9; nothing if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)
            self._process = None

    def restart(self) -> int:
        """kill -9, and start it with the objects that it held, as a store that keeps them on disks; their number.

        Nobody may use it meanwhile.
        """
        held = dict(_objects(client(self.server.endpoint)))
        self.kill()
        self.start()
        new = client(self.server.endpoint)
        for bucket in {bucket for bucket, _ in held}:
            new.create_bucket(Bucket=bucket)
        for (bucket, key), content in held.items():
            new.put_object(Bucket=bucket, Key=key, Body=content)
        return len(held)


def _objects(of: Any) -> Iterator[tuple[tuple[str, str], bytes]]:
    for bucket in of.list_buckets()["Buckets"]:
        for page in of.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"]):
            for one in page.get("Contents", []):
                content = of.get_object(Bucket=bucket["Name"], Key=one["Key"])["Body"].read()
                yield (bucket["Name"], one["Key"]), content


@dataclass
class Weather:
    """What a proxy does to requests. May be changed while it runs."""

    latency: float = 0.0
    """Seconds before each request is passed on."""
    errors: float = 0.0
    """Share of the requests that get 503 SlowDown instead, half of them after they were carried out."""
    down: bool = False
    """Every connection is cut."""
    refuses: tuple[int, str] | None = None
    """(status, code) that every request gets."""
    swallows: Callable[[str, str], bool] = lambda method, path: False
    """(method, path) → whether the request is carried out and its answer is lost: the connection is cut."""


@dataclass
class Proxy:
    port: int
    weather: Weather
    seen: Counter[str] = field(default_factory=Counter)
    """PUT, GET (with HEAD), LIST, DELETE → requests that came."""

    passing: int = 0
    """Requests that have no answer yet."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(method, path) of each request, in order."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def proxy(server: S3Server, seed: int = 1) -> Iterator[Proxy]:
    """A proxy before `server`; its weather is good at first."""
    weather, rng, guard = Weather(), random.Random(seed), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def _pass_on(self) -> None:
            with guard:
                found.passing += 1
            try:
                self._carry_out()
            finally:
                with guard:
                    found.passing -= 1

        def _carry_out(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with guard:
                found.seen[_kind(self.command, self.path)] += 1
                found.asked.append((self.command, self.path))
                unlucky, carried_out = rng.random() < weather.errors, rng.random() < 0.5
            if weather.latency:
                time.sleep(weather.latency)
            if weather.down:
                self._cut()
            elif weather.refuses is not None:
                self._say(weather.refuses[0], _error(weather.refuses[1]))
            elif unlucky and not carried_out:
                self._say(503, _error("SlowDown"))
            else:
                try:
                    status, headers, content = _forward(server.port, self.command, self.path, dict(self.headers), body)
                except (OSError, http.client.HTTPException):  # the server was killed
                    self._cut()
                    return
                if weather.swallows(self.command, self.path):
                    self._cut()
                elif unlucky:
                    self._say(503, _error("SlowDown"))
                else:
                    self._answer(status, headers, content)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on

        def _cut(self) -> None:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

        def _say(self, status: int, content: bytes) -> None:
            self._answer(status, {"Content-Type": "application/xml"}, content)

        def _answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
            with suppress(OSError):
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                        self.send_header(name, value)
                length = headers.get("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

    class Listening(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, address: object) -> None:
            pass  # a connection that was cut

    listening = Listening(("127.0.0.1", 0), Handler)
    found = Proxy(listening.server_address[1], weather)
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join(5)


def _kind(method: str, path: str) -> str:
    if "list-type=2" in path:
        return "LIST"
    if method == "POST":
        return "DELETE" if "?delete" in path else "PUT"
    return "GET" if method == "HEAD" else method


def _forward(
    port: int, method: str, path: str, headers: dict[str, str], body: bytes
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def _error(code: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'.encode()
