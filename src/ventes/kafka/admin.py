"""Admin requests to the broker: topic id, partitions, first and last offsets; creating and changing the topic."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from types import TracebackType
from typing import Any

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
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
from ventes.kafka import refusals
from ventes.kafka.client import Connection, client_config, closed_within, made, unavailable, unreachable
from ventes.kafka.topology import Cluster, Partition, least_in_sync, replicas
from ventes.runtime.stop import Stopper

ANSWER_SECONDS = 5.0
"""Timeout in seconds of one request to the broker; after it the broker counts as unavailable."""
LISTEN_SECONDS = 0.1
"""Seconds between two looks at what a connection reports, while an answer is waited for."""
PAUSE_SECONDS = 0.1
"""Seconds between two probes of a broker that is not available yet."""


NOT_THERE = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})


class Admin:
    """An admin connection; use it in a `with` for several requests.

    Each request waits up to `timeout` seconds (default ANSWER_SECONDS) and raises BrokerUnavailable after that. A
    client that got no answer is discarded: librdkafka may continue to ask a dead broker although the rest of the
    cluster answers. If it had answered before, a new client repeats the request once at once.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: AdminClient | None = None
        self._connection = Connection()
        self._proven = False
        """Whether this client has received an answer before."""

    def __enter__(self) -> Admin:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.renew()

    def renew(self) -> None:
        """Close the connections; the next request opens new ones."""
        client, self._client = self._client, None
        self._proven = False
        if client is not None:
            closed_within(lambda: client.__exit__(None, None, None))

    def _open(self, timeout: float) -> AdminClient:
        if self._client is None:
            if why := unreachable(self._settings, min(1.0, timeout)):
                raise unavailable(self._settings, why)
            self._connection = Connection()
            # The log would repeat what error_cb receives.
            config = client_config(self._settings, error_cb=self._connection.heard, log_level=0)
            self._client = made(AdminClient, config)
        return self._client

    def _ask(self, timeout: float, question: Callable[[AdminClient], Mapping[Any, Future[Any]]]) -> dict[Any, Any]:
        """All answers to a request that librdkafka splits into several."""
        proven = self._proven
        client = self._open(timeout)
        try:
            answers = {key: self._answer(client, future, timeout) for key, future in question(client).items()}
        except BrokerUnavailable:
            self.renew()
            if not proven:
                raise
            return self._ask(timeout, question)
        self._proven = True
        return answers

    def _answer(self, client: AdminClient, future: Future[Any], timeout: float) -> Any:
        # librdkafka applies the timeout; this longer one is only for the case that its thread died
        deadline = time.monotonic() + timeout + 1.0
        while not wait([future], LISTEN_SECONDS).done:
            client.poll(0)  # runs the callbacks of the connection
            if self._connection.lost and refusals.is_one(self._connection.why):
                raise self._unanswered("")  # librdkafka would try again until the timeout
            if time.monotonic() > deadline:
                raise self._unanswered("no answer")
        try:
            return future.result()
        except KafkaException as error:
            client.poll(0)
            cause = error.args[0]
            if not is_answer(cause.code()):
                raise self._unanswered(cause.str()) from None
            raise _Refused(self._settings, cause) from None

    def _unanswered(self, said: str) -> BrokerUnavailable:
        why = self._connection.why or said
        refusal = refusals.found(self._settings, self._connection.why)
        if refusal is None:
            return unavailable(self._settings, why)
        text = f"Kafka at {self._settings.kafka.bootstrap} is not open to this client: {refusal.cause}"
        return BrokerUnavailable(text, refusal.next_step)

    @property
    def _topic(self) -> str:
        return self._settings.topic

    # -- questions ----------------------------------------------------------------------------

    def topic_id(self, timeout: float = ANSWER_SECONDS) -> str | None:
        """The topic's UUID as Kafka prints it (22 characters), or None if there is no such topic."""
        topic = self._describe(timeout)
        return None if topic is None else _printed(topic.topic_id)

    def partitions(self, timeout: float = ANSWER_SECONDS) -> list[int]:
        """The partition numbers, ascending; empty if there is no such topic."""
        return [partition.number for partition in self.partition_states(timeout)]

    def partition_states(self, timeout: float = ANSWER_SECONDS) -> list[Partition]:
        """Leader and replicas of each partition, by number; empty if there is no such topic."""
        topic = self._describe(timeout)
        if topic is None:
            return []
        return [_partition(part) for part in sorted(topic.partitions, key=lambda part: part.id)]

    def cluster(self, timeout: float = ANSWER_SECONDS) -> Cluster:
        """The brokers that are in the cluster now."""
        (found,) = self._ask(timeout, lambda client: {"": client.describe_cluster(request_timeout=timeout)}).values()
        return Cluster(found.cluster_id, {node.id: (node.host, node.port) for node in found.nodes})

    def end_offsets(self, timeout: float = ANSWER_SECONDS, *, committed: bool = True) -> dict[int, tuple[int, int]]:
        """Partition → (low, high): the first offset still kept and the end of what a reader may read.

        `high` is the last stable offset: what an open transaction has written counts once it is committed; with
        `committed=False` it is the end of the log. Empty if there is no such topic. Raises BrokerUnavailable unless
        every partition answered: a partition without a leader, or an end before its beginning, is no answer.
        """
        topic = self._describe(timeout)
        if topic is None:
            return {}
        partitions = [_partition(part) for part in topic.partitions]
        without = sorted(partition.number for partition in partitions if partition.leader is None)
        if without:
            raise self._no_answer(f"partitions {without} of topic {self._topic!r} have no leader now")
        numbers = sorted(partition.number for partition in partitions)
        low = self._offsets(numbers, OffsetSpec.earliest(), timeout, committed)
        high = self._offsets(numbers, OffsetSpec.latest(), timeout, committed)
        odd = [number for number in numbers if not 0 <= low.get(number, -1) <= high.get(number, -1)]
        if odd:
            raise self._no_answer(f"partitions {odd} of topic {self._topic!r} do not say where they end")
        return {number: (low[number], high[number]) for number in numbers}

    def topic_settings(self, timeout: float = ANSWER_SECONDS) -> dict[str, str]:
        """The topic's settings in force, defaults included (`message.timestamp.type` and so on)."""
        resource = ConfigResource(ResourceType.TOPIC, self._topic)
        (entries,) = self._ask(
            timeout, lambda client: client.describe_configs([resource], request_timeout=timeout)
        ).values()
        return {name: entry.value for name, entry in entries.items()}

    def _describe(self, timeout: float) -> Any:
        asked = TopicCollection([self._topic])
        try:
            return self._ask(timeout, lambda client: client.describe_topics(asked, request_timeout=timeout))[
                self._topic
            ]
        except _Refused as refused:
            if refused.code in NOT_THERE:
                return None
            raise

    def _offsets(self, numbers: list[int], which: OffsetSpec, timeout: float, committed: bool) -> dict[int, int]:
        asked = {TopicPartition(self._topic, number): which for number in numbers}
        level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        options = {"request_timeout": timeout, "isolation_level": level}
        try:
            found = self._ask(timeout, lambda client: client.list_offsets(asked, **options))
        except _Refused as refused:
            if refused.code in NOT_THERE:  # the topic existed a moment ago: it is being created or deleted
                raise self._no_answer(refused.message) from None
            raise
        return {part.partition: answer.offset for part, answer in found.items()}

    def _no_answer(self, why: str) -> BrokerUnavailable:
        self.renew()  # this client's metadata of the cluster may be out of date
        return unavailable(self._settings, why)

    # -- changes ------------------------------------------------------------------------------

    def ensure_topic(self, timeout: float = 30.0) -> str:
        """Create the topic as the settings say, or change an existing one to them; returns its id.

        On an external broker (`kafka.managed = false`) only a missing topic is created; an existing topic is not
        changed, whatever its settings.
        """
        wanted = wanted_topic_settings(self._settings)
        deadline = time.monotonic() + timeout
        if self.topic_id() is None:
            self._create(wanted, timeout)
        else:
            self._apply_settings(wanted, timeout)
        return self._appeared(deadline)

    def _create(self, wanted: dict[str, str], timeout: float) -> None:
        """Create it, on a cluster with the replicas of the settings."""
        kafka, count = self._settings.kafka, 1
        if not kafka.managed:
            count = replicas(kafka.replication, self.cluster(), len(kafka.addresses))
            wanted = {**wanted, "min.insync.replicas": str(least_in_sync(kafka.min_insync_replicas, count))}
        new = NewTopic(self._topic, kafka.partitions, count, config=wanted)
        try:
            self._ask(timeout, lambda client: client.create_topics([new], request_timeout=timeout))
        except _Refused as refused:
            if refused.code == KafkaError.INVALID_REPLICATION_FACTOR:
                raise VentesError(
                    f"the cluster cannot make topic {self._topic!r} with {count} replicas: {refused.cause}",
                    "set kafka.replication to the number of its brokers, or less",
                ) from None
            if refused.code != KafkaError.TOPIC_ALREADY_EXISTS:  # another client created it at the same time
                raise

    def _apply_settings(self, wanted: Mapping[str, str], timeout: float) -> None:
        if not self._settings.kafka.managed:
            return
        found = self.topic_settings(timeout)
        different = {name: value for name, value in wanted.items() if found.get(name) != value}
        if different:
            self._alter(different, timeout)
        if len(self.partitions(timeout)) < self._settings.kafka.partitions:  # Kafka cannot take partitions away
            more = NewPartitions(self._topic, self._settings.kafka.partitions)
            self._ask(timeout, lambda client: client.create_partitions([more], request_timeout=timeout))

    def _alter(self, values: Mapping[str, str], timeout: float) -> None:
        resource = ConfigResource(
            ResourceType.TOPIC,
            self._topic,
            incremental_configs=[
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in values.items()
            ],
        )
        self._ask(timeout, lambda client: client.incremental_alter_configs([resource], request_timeout=timeout))

    def _appeared(self, deadline: float) -> str:
        """Wait for the topic: the controller acknowledges the creation, the brokers' metadata may follow later."""
        while True:
            found = self.topic_id()
            if found is not None:
                return found
            if time.monotonic() > deadline:
                raise VentesError(f"topic {self._topic!r} was created but does not appear", "look at the broker's log")
            time.sleep(0.05)


_APPEND_TIME = "message.timestamp.type"

_LATER = frozenset(
    {
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_CONTROLLER,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.OFFSET_NOT_AVAILABLE,
        # After a hung broker was fenced and elected again, client and broker have different leader epochs for a moment.
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.FENCED_LEADER_EPOCH,
    }
)
"""A broker's codes that mean: not now, ask again later."""

_WRONG_REQUEST = frozenset(
    {
        KafkaError._INVALID_ARG,
        KafkaError._NOT_IMPLEMENTED,
        KafkaError._UNSUPPORTED_FEATURE,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)
"""The client's own codes that would be the same on each attempt."""


def is_answer(code: int) -> bool:
    """Whether an error code is an answer that stays the same; else no broker has answered, and it is asked again.

    Negative codes below -1 are the client's own. Nearly all of them mean that no answer came: the connection ended, the
    request timed out, or the client's handle of the broker was replaced while the request waited.
    """
    if code < -1:
        return code in _WRONG_REQUEST
    return code not in _LATER


class _Refused(VentesError):
    """The broker answered with an error."""

    def __init__(self, settings: Settings, cause: KafkaError) -> None:
        super().__init__(
            f"Kafka at {settings.kafka.bootstrap} refused a request on topic {settings.topic!r}: {cause.str()}",
            "check the topic's name, the broker's log and the rights of [kafka.security]",
        )
        self.code = cause.code()
        self.cause = cause.str()


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


def _partition(described: Any) -> Partition:
    leader = described.leader.id if described.leader is not None and described.leader.id >= 0 else None
    return Partition(
        described.id,
        leader,
        tuple(node.id for node in described.replicas),
        tuple(node.id for node in described.isr),
    )


def _printed(uuid: Any) -> str:
    """librdkafka prints base64 with the standard alphabet, Kafka with the URL-safe one; this is Kafka's form."""
    return str(uuid).rstrip("=").translate(str.maketrans("+/", "-_"))


# -- one request, one connection --------------------------------------------------------------


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
    """Create the topic as the settings say, or change an existing one to them; returns its id. Idempotent.

    Raises BrokerUnavailable, or VentesError if an external broker has an unsuitable topic.
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
                admin.topic_id(timeout=max(0.1, min(ANSWER_SECONDS, left)))
                return True
            except BrokerUnavailable:
                if left <= 0:
                    raise
            (stopper or Stopper()).wait(PAUSE_SECONDS)
    return False
