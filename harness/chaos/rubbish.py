"""Messages that no correct producer sends; each is recorded in a ledger."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from harness.chaos import ledger
from harness.ingested import sale
from harness.messages import damaged

FIRST = 10_000_000_000
"""The first number of these messages; the load's numbers, which are also ids of sales, stay below."""
SECONDS = 15.0
"""Time limit of one kind if the broker does not answer."""
HUGE = 5_000_000

Headers = list[tuple[str, bytes | None]]
Place = tuple[int, int, int]
"""Number, partition, offset of a message."""


class Rubbish:
    """Sends such messages. `send` returns a text that describes them. For any thread."""

    def __init__(self, bootstrap: str, topic: str, path: Path) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._book = ledger.Writer(path)
        self._numbers = itertools.count(FIRST)
        self._kinds: dict[str, Callable[[random.Random], str]] = {
            "bad json": self._bad_json,
            "huge": self._huge,
            "headers": self._headers,
            "tombstones": self._tombstones,
            "keys": self._keys,
            "committed transaction": lambda rng: self._transaction(rng, commit=True),
            "aborted transaction": lambda rng: self._transaction(rng, commit=False),
        }

    def send(self, what: str, rng: random.Random) -> str:
        """Raises KafkaException if the broker does not accept it."""
        try:
            return self._kinds[what](rng)
        finally:
            self._book.flush()

    def close(self) -> None:
        self._book.close()

    # -- kinds --------------------------------------------------------------------------------

    def _bad_json(self, rng: random.Random) -> str:
        return self._plain(damaged(rng, 300))

    def _huge(self, rng: random.Random) -> str:
        filler = "x" * HUGE
        return self._plain([rng.randbytes(HUGE), b"{" * HUGE, sale(FIRST, canal=filler), sale(FIRST + 1, pays=filler)])

    def _headers(self, rng: random.Random) -> str:
        odd: list[Headers] = [
            [("source", None)],
            [("", b"")],
            [("é" * 300, rng.randbytes(3_000))],
            [("twice", b"1"), ("twice", b"2")],
            [(f"h{number}", rng.randbytes(20)) for number in range(500)],
        ]
        return self._plain([sale(FIRST + 10 + number) for number in range(len(odd))], odd)

    def _tombstones(self, rng: random.Random) -> str:
        return self._plain([None, b"", None])

    def _keys(self, rng: random.Random) -> str:
        """Keys that are in no ledger: Bronze keeps such messages, and the comparison ignores them."""
        client = self._connect()
        keys: list[bytes | None] = [None, b"", rng.randbytes(10), b"\xff" * 5_000]
        for key in keys:
            client.produce(self._topic, sale(rng.randrange(1, 10**6)), key=key)
        self._flush(client)
        return f"{len(keys)} messages"

    def _plain(self, values: Iterable[bytes | None], headers: Iterable[Headers] = ()) -> str:
        client = self._connect()
        given = iter(headers)
        taken: list[Place] = []
        count = 0
        for value in values:
            self._produce(client, value, next(given, None), taken)
            count += 1
        self._flush(client)
        for place in taken:
            self._book.acknowledged(*place)
        return f"{len(taken)} of {count} messages taken"

    def _transaction(self, rng: random.Random, *, commit: bool) -> str:
        """A transaction of some sales. If its result is unknown, the next one with this id ends it."""
        client = self._connect(
            **{
                "transactional.id": "chaos",
                "transaction.timeout.ms": int(SECONDS * 1000),
            }
        )
        client.init_transactions(SECONDS)
        client.begin_transaction()
        acknowledged: list[Place] = []
        count = rng.randint(1, 50)
        numbers = []
        for _ in range(count):
            value = sale(rng.randrange(1, 10**6), timestamp=datetime.now(timezone.utc).isoformat())
            numbers.append(self._produce(client, value, None, acknowledged))
        self._flush(client)
        if commit:
            client.commit_transaction(SECONDS)
            for place in acknowledged:
                self._book.acknowledged(*place)
        else:
            client.abort_transaction(SECONDS)
            for number in numbers:
                self._book.aborted(number)
        return f"{count} messages"

    # -- sending ------------------------------------------------------------------------------

    def _connect(self, **more: object) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self._bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "message.max.bytes": 10_000_000,
                "message.timeout.ms": int(SECONDS * 1000),
                "log_level": 0,
                **more,
            }
        )

    def _produce(self, client: Producer, value: bytes | None, headers: Headers | None, taken: list[Place]) -> int:
        """Pass a message to the client; `taken` gets its place when the broker acknowledged it. Returns the number."""
        number = next(self._numbers)
        self._book.attempted(number, value)

        def delivered(error: KafkaError | None, message: Any) -> None:
            if error is None:
                taken.append((number, message.partition(), message.offset()))

        options: dict[str, Any] = {} if headers is None else {"headers": headers}
        client.produce(self._topic, value, key=ledger.key(number), on_delivery=delivered, **options)
        return number

    def _flush(self, client: Producer) -> None:
        """Wait until each message is acknowledged or has failed."""
        left = client.flush(SECONDS + 1)
        if left:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{left} messages without an acknowledgement"))
