"""Sends messages to Kafka, each at least once, and counts the outcome of each.

A message is spooled, then given to an idempotent librdkafka producer that retries without limit. Its batch is
deleted from the spool when Kafka has acknowledged all of it. After a fatal error of librdkafka (for example after the
broker lost data) a new producer is created and sends again what is still in the spool.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from confluent_kafka import KafkaError, Producer

from ventes import kafka
from ventes.config import Settings
from ventes.errors import BrokerUnavailable
from ventes.producer.message import Message
from ventes.producer.spool import Spool
from ventes.runtime.failpoints import failpoint

MAX_UNACKED = 50_000
"""Unacknowledged messages at most; at the limit no more are made, so that memory and spool stay small."""
PARK_SECONDS = 30.0
"""After this long without any acknowledgement the client is closed if no broker accepts a TCP connection, until one
does. A client that retries for hours may connect to itself, and the broker can then not bind its port."""
RETRY_SECONDS = 1.0
"""Seconds before a message that failed is sent again."""

_log = logging.getLogger("ventes.producer")

_HOPELESS = frozenset(
    {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD, KafkaError.POLICY_VIOLATION}
)
"""Errors that a retry cannot solve: Kafka refuses the message itself."""


class Client(Protocol):
    """What the sender needs of confluent_kafka.Producer."""

    def produce_batch(self, topic: str, messages: list[dict[str, Any]], *, on_delivery: Any) -> int: ...
    def poll(self, timeout: float) -> int: ...
    def purge(self) -> None: ...
    def close(self) -> bool: ...
    def __len__(self) -> int: ...


def connect(config: dict[str, Any]) -> Client:
    client: Client = kafka.made(Producer, config)
    return client


class _Batch:
    """The messages of one spool file, and the number of outstanding delivery reports."""

    __slots__ = ("_sender", "again", "number", "refused", "waiting")

    def __init__(self, sender: Sender, number: int) -> None:
        self._sender = sender
        self.number = number
        self.waiting = 0
        self.again: list[Message] = []
        """Failed without having been written; to be sent again."""
        self.refused = 0

    def delivered(self, error: KafkaError | None, message: Any) -> None:
        """librdkafka's delivery report of one message. Called from `poll` for each message, so it must be fast."""
        self.waiting -= 1
        if error is None:
            self._sender.unacked -= 1
        else:
            self._sender.came_back(self, error, message)
        if not self.waiting and not self.again:
            self._sender.finished(self)


class Sender:
    """Sends to the topic of the settings. For one thread; reports arrive in `poll`."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        connect: Callable[[dict[str, Any]], Client] = connect,
        unreachable: Callable[[Settings], str] = kafka.unreachable,
        *,
        retry_seconds: float = RETRY_SECONDS,
        park_seconds: float = PARK_SECONDS,
    ) -> None:
        self._settings = settings
        self._topic = settings.topic
        self._spool = spool
        self._connect = connect
        self._unreachable = unreachable
        self._retry_seconds = retry_seconds
        self._park_seconds = park_seconds
        self._open: dict[int, _Batch] = {}
        self._retry_at: float | None = None
        self._topic_missing = False
        self._dead = ""
        self.accepted = 0
        """Messages given to `send` or `resume`: accepted = acked + failed + unacked, at any moment."""
        self.unacked = 0
        self.failed = 0
        self.trouble = ""
        """librdkafka's last connection error; the connection may work again."""
        self._acked_before, self._heard_at = 0, time.monotonic()
        self._client: Client | None = self._new_client()

    @property
    def parked(self) -> bool:
        """Whether there is no client, because there is no broker: nothing can be sent."""
        return self._client is None

    @property
    def acked(self) -> int:
        return self.accepted - self.failed - self.unacked

    def send(self, messages: Sequence[Message]) -> None:
        """Spool and send the messages. Raises OSError, with nothing done, if they cannot be spooled."""
        if not messages:
            return
        number = self._spool.keep(messages)
        failpoint("producer.after_spool")
        self.accepted += len(messages)
        self.unacked += len(messages)
        self._hand_over(number, messages)

    def resume(self, number: int) -> int:
        """Send the messages of a spooled batch (again); returns their number."""
        messages = self._spool.read(number)
        self.accepted += len(messages)
        self.unacked += len(messages)
        self._hand_over(number, messages)
        return len(messages)

    def poll(self, seconds: float) -> None:
        """Process delivery reports for up to `seconds`; replace a failed client and send failed messages again."""
        if self._client is None:
            self._resume_when_reachable(seconds)
            return
        self._client.poll(seconds)
        if self._dead:
            _log.error("the Kafka client gave up (%s); a new one sends %d messages again", self._dead, self.unacked)
            self._start_again()
        elif self._silent_for() >= self._park_seconds and (why := self._unreachable(self._settings)):
            self._park(why)
        elif self._retry_at is not None and time.monotonic() >= self._retry_at:
            self._retry_at = None
            self._send_again()

    def close(self, seconds: float) -> None:
        """Wait up to `seconds` for outstanding reports; messages not acknowledged by then stay in the spool."""
        deadline = time.monotonic() + seconds
        while self.unacked and time.monotonic() < deadline:
            self.poll(0.1)
        if self._client is not None:
            _end(self._client)
        self._spool.close()

    # -- librdkafka's callbacks, always called from `poll` --------------------------------------

    def finished(self, batch: _Batch) -> None:
        del self._open[batch.number]
        self._spool.release(batch.number)

    def came_back(self, batch: _Batch, error: KafkaError, message: Any) -> None:
        if error.code() in _HOPELESS:
            batch.refused += 1
            self.failed += 1
            self.unacked -= 1
            _log.error("Kafka refuses a message for good (%s): %s", error.str(), message.value()[:300])
            return
        batch.again.append(Message(message.key(), message.value()))
        self._topic_missing |= error.code() in kafka.NOT_THERE
        self._later(error)

    def _hear_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._dead = error.str()
        elif error.code() != KafkaError._ALL_BROKERS_DOWN:  # the error before it has the cause
            self.trouble = error.str()

    # -- recovery ------------------------------------------------------------------------------

    def _new_client(self) -> Client:
        return self._connect(
            kafka.client_config(
                self._settings,
                **{
                    "enable.idempotence": True,
                    "acks": "all",
                    "message.timeout.ms": 0,  # retry without limit: the spool would only send it again
                    "topic.metadata.propagation.max.ms": 5_000,  # after this time a missing topic counts as deleted
                    "queue.buffering.max.messages": 4 * MAX_UNACKED,  # room for a resumed spool on top
                    "queue.buffering.max.kbytes": 1_048_576,
                    "linger.ms": 5,
                    "batch.size": 1_000_000,
                    "message.max.bytes": self._settings.kafka.max_message_bytes,
                    "error_cb": self._hear_error,
                },
            )
        )

    def _hand_over(self, number: int, messages: Sequence[Message]) -> None:
        batch = self._open[number] = _Batch(self, number)
        self._queue(batch, messages)
        if not messages:
            self.finished(batch)

    def _queue(self, batch: _Batch, messages: Sequence[Message]) -> None:
        assert self._client is not None  # nothing is queued while there is no client: `full`
        rows: list[dict[str, Any]] = [{"key": key, "value": value} for key, value in messages]
        batch.waiting += len(rows)
        if self._client.produce_batch(self._topic, rows, on_delivery=batch.delivered) < len(rows):
            back = [(message, row["_error"]) for message, row in zip(messages, rows, strict=True) if "_error" in row]
            batch.waiting -= len(back)
            batch.again.extend(message for message, _ in back)
            self._later(back[0][1])

    def _later(self, error: KafkaError) -> None:
        if self._retry_at is None:
            _log.warning("messages came back (%s); sent again in %g s", error.str(), self._retry_seconds)
            self._retry_at = time.monotonic() + self._retry_seconds

    def _send_again(self) -> None:
        if self._topic_missing:
            try:
                kafka.ensure_topic(self._settings)
                self._topic_missing = False
            except BrokerUnavailable as error:
                self.trouble = error.message
                self._retry_at = time.monotonic() + self._retry_seconds
                return
        for batch in list(self._open.values()):
            again, batch.again = batch.again, []
            if again:
                self._queue(batch, again)

    def _silent_for(self) -> float:
        """Seconds since the last acknowledgement while messages are unacknowledged."""
        if self.acked != self._acked_before or not self.unacked:
            self._acked_before, self._heard_at = self.acked, time.monotonic()
        return time.monotonic() - self._heard_at

    def _park(self, why: str) -> None:
        self.trouble = why
        _log.warning(
            "no broker for %.0f s (%s); %d messages are kept until there is one", self._park_seconds, why, self.unacked
        )
        assert self._client is not None
        _end(self._client)
        self._client = None

    def _resume_when_reachable(self, seconds: float) -> None:
        if why := self._unreachable(self._settings):
            self.trouble = why
            time.sleep(min(seconds, self._retry_seconds))
            return
        self._heard_at = time.monotonic()
        self._start_again()

    def _start_again(self) -> None:
        """Replace a client that failed or was closed by a new one.

        Acknowledged messages of an open batch are sent twice.
        """
        if self._client is not None:
            _end(self._client)
        self._dead, self._retry_at = "", None
        self._client = self._new_client()
        for number, old in list(self._open.items()):
            messages = self._spool.read(number)
            self.failed -= old.refused
            self.unacked += len(messages) - old.waiting - len(old.again)
            self._hand_over(number, messages)


def _end(client: Client) -> None:
    """Discard unsent messages (the spool has them) and close the connections."""
    client.purge()
    kafka.closed_within(client.close)
