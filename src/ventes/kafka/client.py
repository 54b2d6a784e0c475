"""librdkafka clients: configuration, connection errors, and closing with a timeout.

Two rules prevent a client from blocking a job. A callback only stores what it received: an exception in it would be
raised by the call that runs it, `close()` included. And every call into librdkafka has a timeout: `rd_kafka_destroy`
has been observed to block for ever after the machine was suspended.
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
"""Timeout in seconds for closing a client. Normally it takes milliseconds."""
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
        "log.connection.close": False,  # the broker closes idle connections: not an error
        "reconnect.backoff.ms": 50,
        # the default, 10 s, would delay the reconnection after each restart of the broker
        "reconnect.backoff.max.ms": 1000,
        **_security(settings),
    }
    if settings.kafka.host == "localhost":
        # the broker listens on 127.0.0.1 only; a connection to ::1 would be refused
        config["broker.address.family"] = "v4"
    return {**config, **extra}


def _security(settings: Settings) -> dict[str, str]:
    """[kafka.security] for librdkafka, which would repeat the name of a file that it cannot read in its errors."""
    values = settings.kafka.client_security()
    for key in values:
        if key.endswith(".location") and not os.access(values[key], os.R_OK):
            raise ConfigError(f"kafka.security {key}: there is no such file that can be read", "correct it there")
    return values


class Connection:
    """Stores the connection errors of a client. Give `heard` as `error_cb`."""

    def __init__(self) -> None:
        self.why = ""
        """The last error, as a text that stays the same while the cause is the same."""
        self.lost = False
        """Whether no broker could be reached, at any time so far."""
        self.fatal = ""
        """The fatal error of the client; '' while there is none."""

    def heard(self, error: KafkaError) -> None:
        if error.fatal():
            self.fatal = plain(error.str())
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.lost = True
        else:
            self.why = plain(error.str())

    @property
    def trouble(self) -> str:
        """Why this client cannot continue to read; '' if it can."""
        if self.fatal:
            return self.fatal
        return (self.why or "no broker can be reached") if self.lost else ""


class _Quiet:
    """librdkafka's log. Failed connections, hundreds per second, go to `Connection` too and are not logged here."""

    _CONNECTIONS = frozenset({"FAIL", "ERROR", "CONNECT", "CONNFAIL", "REQTMOUT", "BRKREASSIGN", "CLOSE", "MAXPOLL"})

    def log(self, level: int, text: str, *arguments: object) -> None:
        if not arguments or str(arguments[0]) not in self._CONNECTIONS:
            _log.log(level, text, *arguments)


def plain(text: str) -> str:
    """librdkafka's text without its changing parts: addresses of threads, durations, counts."""
    text = re.sub(r"^\S+: (?=\S+ )|^\[thrd:[^\]]*\]: ", "", text)
    text = re.sub(r"^\S+/(bootstrap|\d+): ", "", text)
    return re.sub(r"\s*\(after \d+ms in state .*\)$", "", text).strip()


def closed_within(close: Callable[[], object], seconds: float = CLOSE_SECONDS) -> bool:
    """Run `close` in a separate thread and wait for it; False if it had not ended after `seconds`.

    Its exceptions are logged at debug level only. A thread that hangs is abandoned with its client; it is a daemon
    thread and does not keep the process running.
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
    """The error for a broker that does not answer; the hint depends on whether the broker is managed."""
    hint = (
        "is it running? `ventes status` shows it, `ventes start` starts it"
        if settings.kafka.managed
        else "start it, or correct [kafka] in ventes.toml"
    )
    return BrokerUnavailable(f"Kafka at {settings.kafka.bootstrap} does not answer: {why}", hint)


# -- the probe --------------------------------------------------------------------------------


def unreachable(settings: Settings, seconds: float = PROBE_SECONDS) -> str:
    """Why none of the bootstrap addresses takes a TCP connection; empty if one does.

    Called before a client is created, so that no client exists while there is no broker: a client that retries for
    hours may connect to itself if the port is in the system's range for outgoing connections (TCP self-connection);
    the broker can then not bind the port.
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
    except (OSError, UnicodeError) as error:  # UnicodeError: the name is not a valid DNS name
        return f"{host}:{port}: {getattr(error, 'strerror', None) or error}"


# -- consuming --------------------------------------------------------------------------------


class OpenConsumer:
    """A consumer for given partitions without a consumer group: it commits no offsets."""

    def __init__(self, settings: Settings, group: str, **extra: Any) -> None:
        """`group`: required by librdkafka; used only as a name in the broker's log. `extra`: librdkafka settings."""
        self.connection = Connection()
        self.client = Consumer(
            client_config(
                settings,
                **{
                    "group.id": group,
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    # an offset that is missing is an error (see `ventes recover`), never skipped
                    "auto.offset.reset": "error",
                    # Aborted messages are not read; both engines and `verify` read the same way.
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
