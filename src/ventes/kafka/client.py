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
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

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
        # A broker that hangs closes no connection. A request to it ends after this time (the default is 60 s); and who
        # leads a partition now is asked this often (5 min), not only after an error.
        "socket.timeout.ms": 10_000,
        "topic.metadata.refresh.interval.ms": 5_000,
        **_security(settings),
    }
    if settings.kafka.managed and settings.kafka.host == "localhost":
        # the managed broker listens on 127.0.0.1 only; a connection to ::1 would be refused
        config["broker.address.family"] = "v4"
    return {**config, **extra}


def _security(settings: Settings) -> dict[str, str]:
    """[kafka.security] for librdkafka, which would repeat the name of a file that it cannot read in its errors."""
    values = settings.kafka.client_security()
    for key in values:
        if key.endswith(".location") and not os.access(values[key], os.R_OK):
            raise ConfigError(f"kafka.security {key}: there is no such file that can be read", "correct it there")
    if values.get("security.protocol", "").startswith("SASL"):
        missing = [key for key in ("sasl.mechanism", "sasl.username", "sasl.password") if not values.get(key)]
        if missing:
            raise ConfigError(
                f"kafka.security: security.protocol asks for a login, and {', '.join(missing)} is not set",
                "set it in [kafka.security], a password in VENTES_KAFKA__SECURITY__SASL_PASSWORD",
            )
    if bool(values.get("ssl.certificate.location")) != bool(values.get("ssl.key.location")):
        raise ConfigError(
            "kafka.security: a certificate and its key belong together",
            "set both ssl.certificate.location and ssl.key.location, or none of them",
        )
    return values


_Made = TypeVar("_Made")


def made(make: Callable[[dict[str, Any]], _Made], config: dict[str, Any]) -> _Made:
    """A client of librdkafka. Raises ConfigError, without any value, if it refuses [kafka.security]."""
    try:
        return make(config)
    except KafkaException as error:
        said = error.args[0].str()
    key = next((key for key in _UNUSABLE if key in said), "")
    if "key values mismatch" in said:
        why, step = "that key is not the one of the certificate", "name the pair that belongs together"
    else:
        why, step = _UNUSABLE.get(key, ("librdkafka refuses the settings of a client", "`ventes doctor` looks at them"))
    raise ConfigError(f"kafka.security{f' {key}' if key else ''}: {why}", step)


_UNUSABLE = {
    "ssl.ca.location": ("that file holds no certificate", "name a PEM file with the certificates of authorities"),
    "ssl.certificate.location": ("that file holds no certificate", "name a PEM file"),
    "ssl.key.location": (
        "no private key can be read from that file",
        "name a PEM file; the password of an encrypted key is ssl.key.password",
    ),
}
"""Key → what is wrong with its file, and the next step."""


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

    thread = Thread(target=run, name="kafka-close", daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def unavailable(settings: Settings, why: str) -> BrokerUnavailable:
    """The error for a broker that does not answer; the hint depends on whether the broker is managed."""
    hint = (
        "is it running? `ventes status` shows it, `ventes start` starts it"
        if settings.kafka.managed
        else "is it running, and reachable from here? `ventes doctor` asks each server that [kafka] names"
    )
    return BrokerUnavailable(f"Kafka at {settings.kafka.bootstrap} does not answer: {why}", hint)


# -- the probe --------------------------------------------------------------------------------


def unreachable(settings: Settings, seconds: float = PROBE_SECONDS) -> str:
    """Why none of the bootstrap addresses takes a TCP connection; empty as soon as one does.

    All are tried at the same time: a host that is off must not delay what its cluster can answer.

    Called before a client is created, so that no client exists while there is no broker: a client that retries for
    hours may connect to itself if the port is in the system's range for outgoing connections (TCP self-connection);
    the broker can then not bind the port.
    """
    addresses = settings.kafka.addresses
    if len(addresses) == 1:
        return refuses(*addresses[0], seconds)
    answers: SimpleQueue[str] = SimpleQueue()

    def probe(host: str, port: int) -> None:
        answers.put(refuses(host, port, seconds))

    for server in addresses:
        Thread(target=probe, args=server, name="kafka-probe", daemon=True).start()
    reasons: list[str] = []
    deadline = time.monotonic() + 2 * seconds  # a name server that does not answer takes longer than `seconds`
    with suppress(Empty):
        while len(reasons) < len(addresses):
            why = answers.get(timeout=max(0.0, deadline - time.monotonic()))
            if not why:
                return ""
            reasons.append(why)
    return "; ".join(sorted(reasons)) or f"no answer within {2 * seconds:g} s"


def refuses(host: str, port: int, seconds: float = PROBE_SECONDS) -> str:
    """Why this address takes no TCP connection; empty if it does."""
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
        """`group`: required by librdkafka, which asks for its coordinator and uses nothing of it; it begins with
        ventes-, so that one rule of a secured cluster lets all of them in. `extra`: librdkafka settings."""
        self.connection = Connection()
        config = client_config(
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
        self.client = made(Consumer, config)

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
