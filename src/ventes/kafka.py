"""The broker and the topic: how every part reaches them, and what they are right now.

Owns the client configuration (address, security, log routing) and the admin questions: is the broker there, which
topic is this (its id survives no re-creation), where do its partitions begin and end. Producing and consuming live
with those who do it. Foreign errors end here: callers see BrokerUnavailable or another VentesError.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from ventes.config import Settings
from ventes.errors import BrokerUnavailable, VentesError
from ventes.runtime.stop import Stopper

ANSWER_SECONDS = 5.0
"""How long one question to the broker may take before it counts as absent."""

_log = logging.getLogger("ventes.kafka")

NOT_THERE = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})


def client_config(settings: Settings, **extra: Any) -> dict[str, Any]:
    """librdkafka's configuration for a client of this pipeline: address, security, then `extra`.

    `extra` holds librdkafka's own names, `**{"fetch.wait.max.ms": 20}`; its values win. What librdkafka has to say
    goes to the logger `ventes.kafka` (callers must poll). The result holds the secrets of [kafka.security]: never
    log it.
    """
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka.bootstrap,
        "logger": _log,
        "log.connection.close": False,  # an idle connection that the broker closes is no news
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,  # the default, 10 s, would be felt after each restart of the broker
        **settings.kafka.security,
    }
    if settings.kafka.host == "localhost":
        config["broker.address.family"] = "v4"  # the broker listens on 127.0.0.1; ::1 would only cost a refusal
    return {**config, **extra}


class Admin:
    """An open admin connection; use it in a `with` where several questions follow each other.

    Each question waits up to `timeout` seconds (default ANSWER_SECONDS) and raises BrokerUnavailable after that.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._why = ""
        # Logs of an admin client matter only as the reason of a failure, which `error_cb` already collects.
        config = client_config(settings, error_cb=self._note, log_level=0)
        del config["logger"]
        self._client = AdminClient(config)

    def __enter__(self) -> Admin:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end librdkafka's threads."""
        self._client.__exit__(None, None, None)

    def _note(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # says nothing that the error before it did not
            self._why = error.str()

    @property
    def _topic(self) -> str:
        return self._settings.kafka.topic

    # -- questions ----------------------------------------------------------------------------

    def topic_id(self, timeout: float = ANSWER_SECONDS) -> str | None:
        """The topic's UUID as Kafka prints it (22 characters), or None if there is no such topic."""
        topic = self._describe(timeout)
        return None if topic is None else _printed(topic.topic_id)

    def partitions(self, timeout: float = ANSWER_SECONDS) -> list[int]:
        """The partition numbers, ascending; empty if there is no such topic."""
        topic = self._describe(timeout)
        return [] if topic is None else sorted(partition.id for partition in topic.partitions)

    def end_offsets(self, timeout: float = ANSWER_SECONDS) -> dict[int, tuple[int, int]]:
        """Partition → (low, high): the first offset still kept and the one that the next message will get.

        Empty if there is no such topic.
        """
        numbers = self.partitions(timeout)
        if not numbers:
            return {}
        low = self._offsets(numbers, OffsetSpec.earliest(), timeout)
        high = self._offsets(numbers, OffsetSpec.latest(), timeout)
        return {number: (low[number], high[number]) for number in numbers}

    def topic_settings(self, timeout: float = ANSWER_SECONDS) -> dict[str, str]:
        """The topic's settings in force, defaults included (`message.timestamp.type` and so on)."""
        resource = ConfigResource(ResourceType.TOPIC, self._topic)
        answer = self._client.describe_configs([resource], request_timeout=timeout)[resource]
        entries: Mapping[str, Any] = self._result(answer, timeout)
        return {name: entry.value for name, entry in entries.items()}

    def _describe(self, timeout: float) -> Any:
        answers = self._client.describe_topics(TopicCollection([self._topic]), request_timeout=timeout)
        try:
            return self._result(answers[self._topic], timeout)
        except _Refused as refused:
            if refused.code in NOT_THERE:
                return None
            raise

    def _offsets(self, numbers: list[int], which: OffsetSpec, timeout: float) -> dict[int, int]:
        asked = {TopicPartition(self._topic, number): which for number in numbers}
        answers = self._client.list_offsets(asked, request_timeout=timeout)
        try:
            return {part.partition: self._result(answer, timeout).offset for part, answer in answers.items()}
        except _Refused as refused:
            if refused.code in NOT_THERE:  # it was there a moment ago: being made, or being deleted
                raise unavailable(self._settings, refused.message) from None
            raise

    # -- changes ------------------------------------------------------------------------------

    def ensure_topic(self, timeout: float = 30.0) -> str:
        """Make the topic as the settings say, or bring an existing one into line; returns its id.

        A broker that is not ours (`kafka.managed = false`) is asked only to create a topic that is missing: an
        existing topic is left as it is, and refused with the command to run if it does not use LogAppendTime.
        """
        wanted = wanted_topic_settings(self._settings)
        deadline = time.monotonic() + timeout
        if self.topic_id() is None:
            new = NewTopic(self._topic, self._settings.kafka.partitions, 1 if self._settings.kafka.managed else -1)
            new.config = wanted
            try:
                self._result(self._client.create_topics([new], request_timeout=timeout)[self._topic], timeout)
            except _Refused as refused:
                if refused.code != KafkaError.TOPIC_ALREADY_EXISTS:  # somebody else was quicker: fine
                    raise
            return self._appeared(deadline)
        self._apply_settings(wanted, timeout)
        return self._appeared(deadline)

    def _apply_settings(self, wanted: Mapping[str, str], timeout: float) -> None:
        found = self.topic_settings(timeout)
        different = {name: value for name, value in wanted.items() if found.get(name) != value}
        if self._settings.kafka.managed:
            if different:
                self._alter(different, timeout)
            if len(self.partitions(timeout)) < self._settings.kafka.partitions:  # Kafka cannot take partitions away
                more = NewPartitions(self._topic, self._settings.kafka.partitions)
                self._result(self._client.create_partitions([more], request_timeout=timeout)[self._topic], timeout)
        elif _APPEND_TIME in different:
            raise VentesError(
                f"topic {self._topic!r} has {_APPEND_TIME} = {found.get(_APPEND_TIME)!r}, "
                "but arrival times must be the broker's",
                f"kafka-configs.sh --bootstrap-server {self._settings.kafka.bootstrap} --alter --topic {self._topic} "
                f"--add-config {_APPEND_TIME}={wanted[_APPEND_TIME]}",
            )

    def _alter(self, values: Mapping[str, str], timeout: float) -> None:
        resource = ConfigResource(
            ResourceType.TOPIC,
            self._topic,
            incremental_configs=[
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in values.items()
            ],
        )
        self._result(self._client.incremental_alter_configs([resource], request_timeout=timeout)[resource], timeout)

    def _appeared(self, deadline: float) -> str:
        """Creation is acknowledged by the controller; the brokers' metadata may follow a moment later."""
        while True:
            found = self.topic_id()
            if found is not None:
                return found
            if time.monotonic() > deadline:
                raise VentesError(f"topic {self._topic!r} was created but does not appear", "look at the broker's log")
            self._client.poll(0.05)

    def _result(self, answer: Future[Any], timeout: float) -> Any:
        try:
            return answer.result(timeout + 1.0)  # librdkafka keeps the time; ours is only for its having died
        except KafkaException as error:
            self._client.poll(0)  # lets _note hear why
            cause = error.args[0]
            if cause.code() in _ABSENT:
                raise unavailable(self._settings, self._why or cause.str()) from None
            raise _Refused(self._settings, cause) from None
        except TimeoutError:
            raise unavailable(self._settings, self._why or "no answer") from None


_APPEND_TIME = "message.timestamp.type"

_ABSENT = frozenset(
    {
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_CONTROLLER,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.OFFSET_NOT_AVAILABLE,
        # A broker that hung is fenced and elected anew: for a moment client and broker know different leader epochs.
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.FENCED_LEADER_EPOCH,
    }
)
"""Codes that mean: not now, ask again later."""


class _Refused(VentesError):
    """The broker answered, with a no."""

    def __init__(self, settings: Settings, cause: KafkaError) -> None:
        super().__init__(
            f"Kafka at {settings.kafka.bootstrap} refused a request on topic {settings.kafka.topic!r}: {cause.str()}",
            "check the topic's name, the broker's log and the rights of [kafka.security]",
        )
        self.code = cause.code()


def unavailable(settings: Settings, why: str) -> BrokerUnavailable:
    """The error for a broker that does not answer; its hint depends on whose broker it is."""
    hint = (
        "is it running? `ventes status` shows it, `ventes start` starts it"
        if settings.kafka.managed
        else "start it, or correct kafka.host and kafka.port in ventes.toml"
    )
    return BrokerUnavailable(f"Kafka at {settings.kafka.bootstrap} does not answer: {why}", hint)


def wanted_topic_settings(settings: Settings) -> dict[str, str]:
    """The settings that our topic must have, as Kafka spells them."""
    wanted = {
        _APPEND_TIME: "LogAppendTime",
        "retention.ms": str(settings.kafka.retention_hours * 3_600_000),
        "max.message.bytes": str(settings.kafka.max_message_bytes),
    }
    if settings.kafka.flush_every_message:
        wanted["flush.messages"] = "1"
    return wanted


def _printed(uuid: Any) -> str:
    """librdkafka prints the plain base64 alphabet, Kafka itself the URL-safe one; ours is Kafka's."""
    return str(uuid).rstrip("=").translate(str.maketrans("+/", "-_"))


# -- one question, one connection -------------------------------------------------------------


def topic_id(settings: Settings, timeout: float = ANSWER_SECONDS) -> str | None:
    """The topic's UUID as Kafka prints it (22 characters), or None if there is no such topic.

    Raises BrokerUnavailable when the broker does not answer within `timeout` seconds.
    """
    with Admin(settings) as admin:
        return admin.topic_id(timeout)


def end_offsets(settings: Settings, timeout: float = ANSWER_SECONDS) -> dict[int, tuple[int, int]]:
    """Partition → (first offset kept, offset of the next message); {} if there is no such topic.

    Raises BrokerUnavailable when the broker does not answer within `timeout` seconds.
    """
    with Admin(settings) as admin:
        return admin.end_offsets(timeout)


def ensure_topic(settings: Settings, timeout: float = 30.0) -> str:
    """Make the topic as the settings say, or bring an existing one into line; returns its id. Safe to repeat.

    Raises BrokerUnavailable, or VentesError when a broker that is not ours holds an unsuitable topic.
    """
    with Admin(settings) as admin:
        return admin.ensure_topic(timeout)


def wait_until_ready(settings: Settings, seconds: float, stopper: Stopper | None = None) -> bool:
    """Wait until the broker answers: True; False if `stopper` was set first.

    Raises BrokerUnavailable after `seconds`.
    """
    deadline = time.monotonic() + seconds
    with Admin(settings) as admin:
        while stopper is None or not stopper.stopping:
            left = deadline - time.monotonic()
            try:
                admin.topic_id(timeout=max(0.1, min(1.0, left)))
                return True
            except BrokerUnavailable:
                if left <= 0:
                    raise
    return False
