"""The constant load: a producer in a separate process that writes a ledger.

    python -m harness.chaos.load --bootstrap 127.0.0.1:19092 --topic ventes_stream --rate 100 --ledger load.jsonl

It reads commands from stdin, one per line, and answers `pause` on stdout with the number of messages whose result is
unknown:

    pause     send nothing more, wait for acknowledgements
    resume    continue, with a new client

It ends when its stdin ends, so it ends with the process that started it.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from harness.chaos import ledger
from harness.ingested import sale
from ventes.config import PROJECT

FLUSH_SECONDS = 20.0
"""Seconds that a pause waits for acknowledgements."""
TURN_SECONDS = 0.02
AGAIN = 25
"""One message in this many repeats the id of an earlier sale: so each lot also writes to ventes_rejets."""
CLIENT = {
    "acks": "all",
    "enable.idempotence": True,
    "linger.ms": 5,
    "message.timeout.ms": 0,  # the broker may be down for long; unacknowledged messages stay in the queue
    "reconnect.backoff.max.ms": 500,
    "log_level": 0,
}


def value(number: int) -> bytes:
    """A sale with this number, dated now."""
    vente_id = number if number % AGAIN else max(1, number - AGAIN + 1)
    return sale(vente_id, timestamp=datetime.now(timezone.utc).isoformat())


class Load:
    """The part inside the load process."""

    def __init__(self, bootstrap: str, topic: str, rate: float, book: ledger.Writer, first: int) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._rate = rate
        self._book = book
        self._next = first
        self._dead = False
        self._client: Producer | None = None

    def run(self, commands: queue.Queue[str]) -> None:
        """Until the command is ''."""
        paused, began, made = True, 0.0, 0
        while True:
            with_command = _next_of(commands, TURN_SECONDS if paused else 0.0)
            if with_command == "":
                return
            if with_command == "pause":
                paused = True
                print(json.dumps({"unknown": self._drain()}), flush=True)
            elif with_command == "resume":
                paused, began, made = False, time.monotonic(), 0
                self._client = self._connect()
            if paused:
                continue
            if self._dead:
                self._client = self._connect()
            due = int((time.monotonic() - began) * self._rate) - made
            made += due
            for _ in range(due):
                self._send()
            assert self._client is not None
            self._client.poll(TURN_SECONDS)
            self._book.flush()

    def _connect(self) -> Producer:
        self._dead = False
        return Producer({**CLIENT, "bootstrap.servers": self._bootstrap, "error_cb": self._heard})

    def _heard(self, error: KafkaError) -> None:
        self._dead = self._dead or error.fatal()

    def _send(self) -> None:
        number, self._next = self._next, self._next + 1
        content = value(number)
        self._book.attempted(number, content)

        def delivered(error: KafkaError | None, message: Any) -> None:
            if error is None:
                self._book.acknowledged(number, message.partition(), message.offset())

        assert self._client is not None
        try:
            self._client.produce(self._topic, content, key=ledger.key(number), on_delivery=delivered)
        except (BufferError, KafkaException):  # down for long, or without the topic for now: it is never sent
            self._client.poll(TURN_SECONDS)

    def _drain(self) -> int:
        """Wait for acknowledgements; returns how many messages have none."""
        client, self._client = self._client, None
        if client is None:
            return 0
        left: int = client.flush(FLUSH_SECONDS)
        if left:
            client.purge()
            client.flush(1.0)
        self._book.flush()
        return left


def _next_of(commands: queue.Queue[str], seconds: float) -> str | None:
    try:
        return commands.get(timeout=seconds) if seconds else commands.get_nowait()
    except queue.Empty:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--rate", type=float, required=True, help="messages per second")
    parser.add_argument("--ledger", type=Path, required=True)
    options = parser.parse_args()
    commands: queue.Queue[str] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            commands.put(line.strip())
        commands.put("")

    threading.Thread(target=listen, daemon=True).start()
    first = max(ledger.Ledger.read(options.ledger).attempted, default=0) + 1
    book = ledger.Writer(options.ledger)
    Load(options.bootstrap, options.topic, options.rate, book, first).run(commands)
    book.close()


class LoadProcess:
    """Starts and controls the load process."""

    def __init__(self, bootstrap: str, topic: str, rate: float, path: Path, output: Path) -> None:
        kept = {name: text for name, text in os.environ.items() if not name.startswith("VENTES_")}
        with output.open("ab") as errors:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "harness.chaos.load", "--bootstrap", bootstrap, "--topic", topic),
                    *("--rate", str(rate), "--ledger", str(path)),
                ],
                cwd=PROJECT,
                env={**kept, "PYTHONPATH": f"{PROJECT / 'src'}:{PROJECT}"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # Ctrl-C goes to the run only, which then ends this process
            )
        self._output = output

    @property
    def pid(self) -> int:
        return self._process.pid

    def resume(self) -> None:
        self._say("resume")

    def pause(self) -> int:
        """Wait until no message is in flight; returns how many messages have an unknown result."""
        self._say("pause")
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            ready = selector.select(FLUSH_SECONDS + 30)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            raise RuntimeError(f"the load process does not answer: {self._output.read_text()[-1000:]}")
        return int(json.loads(line)["unknown"])

    @contextmanager
    def paused(self) -> Iterator[int]:
        yield self.pause()
        self.resume()

    def close(self) -> None:
        if self._process.stdin is not None:
            with suppress(OSError):  # it has ended
                self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _say(self, command: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(command.encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise RuntimeError(f"the load process has ended: {self._output.read_text()[-1000:]}") from None


if __name__ == "__main__":
    main()
