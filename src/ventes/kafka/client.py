"""librdkafka's clients: their configuration, what they say of their connections, and how they are closed.

Two rules keep a client from stopping a job. A callback only takes a note: one that raised would come out of whatever
call runs it, `close()` too. And no call into librdkafka is waited for without a bound: `rd_kafka_destroy` has been
seen to wait for ever after the machine slept.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from ventes.config import Settings
from ventes.errors import BrokerUnavailable, ConfigError

CLOSE_SECONDS = 10.0
"""How long a client may take to close. A healthy one takes milliseconds."""
PROBE_SECONDS = 1.0
"""How long a TCP connection to one address may take."""

_log = logging.getLogger("ventes.kafka")


def client_config(settings: Settings, **extra: Any) -> dict[str, Any]:
    """librdkafka's configuration for a client of this pipeline: address, security, then `extra`.

    `extra` holds librdkafka's own names, `**{"fetch.wait.max.ms": 20}`; its values win. The result holds the secrets of
    [kafka.security]: never log it.
    """
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka.bootstrap,
        "logger": _Quiet(),
        "log.connection.close": False,  # an idle connection that the broker closes is no news
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,  # the default, 10 s, would be felt after each restart of the broker
        **_security(settings),
    }
    if settings.kafka.host == "localhost":
        config["broker.address.family"] = "v4"  # the broker listens on 127.0.0.1; ::1 would only cost a refusal
    return {**config, **extra}


def _security(settings: Settings) -> dict[str, str]:
    """[kafka.security] for librdkafka, which would repeat the name of a file that it cannot read in its errors."""
    values = settings.kafka.client_security()
    for key in values:
        if key.endswith(".location") and not os.access(values[key], os.R_OK):
            raise ConfigError(f"kafka.security {key}: there is no such file that can be read", "correct it there")
    return values


class Connection:
    """What librdkafka says of a client's connections, as notes. Give `heard` as `error_cb`."""

    def __init__(self) -> None:
        self.why = ""
        """What it said last, in words that stay the same while the cause does."""
        self.lost = False
        """Whether no broker could be reached, at any time so far."""
        self.fatal = ""
        """Why the client can do nothing more; empty while it can."""

    def heard(self, error: KafkaError) -> None:
        if error.fatal():
            self.fatal = plain(error.str())
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.lost = True
        else:
            self.why = plain(error.str())

    @property
    def trouble(self) -> str:
        """Why reading cannot go on with this client; empty if it can."""
        if self.fatal:
            return self.fatal
        return (self.why or "no broker can be reached") if self.lost else ""


class _Quiet:
    """librdkafka's log. Failing connections reach `Connection` as well, hundreds a second; they are not logged here."""

    _CONNECTIONS = frozenset({"FAIL", "ERROR", "CONNECT", "CONNFAIL", "REQTMOUT", "BRKREASSIGN", "CLOSE", "MAXPOLL"})

    def log(self, level: int, text: str, *arguments: object) -> None:
        if not arguments or str(arguments[0]) not in self._CONNECTIONS:
            _log.log(level, text, *arguments)


def plain(text: str) -> str:
    """librdkafka's text without what changes each time: addresses of threads, durations, counts."""
    text = re.sub(r"^\S+: (?=\S+ )|^\[thrd:[^\]]*\]: ", "", text)
    text = re.sub(r"^\S+/(bootstrap|\d+): ", "", text)
    return re.sub(r"\s*\(after \d+ms in state .*\)$", "", text).strip()


def closed_within(close: Callable[[], object], seconds: float = CLOSE_SECONDS) -> bool:
    """Run `close` in a thread of its own and wait for it; False if it had not ended after `seconds`.

    What it raises is dropped: a client that is being closed has nothing to tell any more. A thread that hangs is left
    to itself, with its client; it does not keep the process alive.
    """

    def run() -> None:
        try:
            close()
        except Exception as error:
            _log.debug("closing a Kafka client: %s", error)

    thread = threading.Thread(target=run, name="kafka-close", daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def unavailable(settings: Settings, why: str) -> BrokerUnavailable:
    """The error for a broker that does not answer; its hint depends on whose broker it is."""
    hint = (
        "is it running? `ventes status` shows it, `ventes start` starts it"
        if settings.kafka.managed
        else "start it, or correct [kafka] in ventes.toml"
    )
    return BrokerUnavailable(f"Kafka at {settings.kafka.bootstrap} does not answer: {why}", hint)


# -- the probe --------------------------------------------------------------------------------


def unreachable(settings: Settings, seconds: float = PROBE_SECONDS) -> str:
    """Why none of the bootstrap addresses takes a TCP connection; empty if one does.

    Asked before a client is made, so that none exists while there is no broker: a client that tries for hours may
    connect to itself where the port is one that the system gives to outgoing connections; the broker can then not
    bind it.
    """
    why = ""
    for host, port in settings.kafka.addresses:
        why = _refuses(host, port, seconds)
        if not why:
            return ""
    return why


def _refuses(host: str, port: int, seconds: float) -> str:
    try:
        with socket.create_connection((host, port), seconds) as found:
            if found.getsockname() == found.getpeername():
                return f"nothing listens on {host}:{port}"
            return ""
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that no DNS can hold
        return f"{host}:{port}: {getattr(error, 'strerror', None) or error}"


# -- consuming --------------------------------------------------------------------------------


class OpenConsumer:
    """A consumer for reading given partitions without a group: nothing is ever committed."""

    def __init__(self, settings: Settings, group: str, **extra: Any) -> None:
        """`group`: librdkafka wants one; it only names the client in the broker's log. `extra`: its own names."""
        self.connection = Connection()
        self.client = Consumer(
            client_config(
                settings,
                **{
                    "group.id": group,
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "auto.offset.reset": "error",  # an offset that is gone is for `ventes recover`, never skipped
                    # What a transaction took back was never said; both engines and `verify` read alike.
                    "isolation.level": "read_committed",
                    "error_cb": self.connection.heard,
                    **extra,
                },
            )
        )

    def assign(self, topic: str, offsets: Mapping[int, int]) -> None:
        self.client.assign([TopicPartition(topic, number, offset) for number, offset in offsets.items()])

    def close(self) -> bool:
        """False if it could not be closed in time."""
        return closed_within(self.client.close)


@contextmanager
def consuming(settings: Settings, group: str, **extra: Any) -> Iterator[OpenConsumer]:
    """An OpenConsumer, closed at the end."""
    consumer = OpenConsumer(settings, group, **extra)
    try:
        yield consumer
    finally:
        consumer.close()
