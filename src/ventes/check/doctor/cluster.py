"""Checks a Kafka that is not managed here: each server, the login, the brokers' own addresses, the topic's replicas."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import psutil

from ventes import kafka
from ventes.check.doctor.finding import Finding, bad, ok, warn
from ventes.config import Settings
from ventes.engines.spark import kafka_source
from ventes.errors import VentesError
from ventes.kafka import Cluster, Partition, refusals
from ventes.kafka.topology import numbers
from ventes.runtime.counts import counted
from ventes.supervise import ports

ENOUGH_BROKERS = 3
"""From so many brokers on a topic can have three replicas, of which two must have each message."""
REPLICAS, IN_SYNC = 3, 2


def findings(settings: Settings) -> Iterator[Finding]:
    """Nothing for the managed broker, which is one process of this pipeline. Up to some seconds per server."""
    if settings.kafka.managed:
        return
    security = settings.kafka.client_security()
    yield from _unused(security)
    try:
        kafka.client_config(settings)
        if settings.engine == "spark":
            kafka_source.java_security(security)
    except VentesError as error:
        yield bad("kafka.security", error.message.removeprefix("kafka.security").lstrip(": "), error.hint)
        return
    reached = False
    for finding in list(_servers(settings, security)):
        reached |= finding.level == "ok"
        yield finding
    yield from _cluster(settings, reached)


def _unused(security: Mapping[str, str]) -> Iterator[Finding]:
    """Keys that have no effect with this protocol: usually it is the protocol that was forgotten."""
    protocol = security.get("security.protocol", "PLAINTEXT")
    idle = [
        key
        for key in sorted(security)
        if (key.startswith("sasl.") and not protocol.startswith("SASL"))
        or (key.startswith("ssl.") and not protocol.endswith("SSL"))
    ]
    if idle:
        text = f"{', '.join(idle)} means nothing with security.protocol {protocol}"
        yield warn(
            "kafka.security", text, "set security.protocol to SASL_SSL (login and TLS) or SSL (TLS), or remove it"
        )


# -- servers ------------------------------------------------------------------------------------


def _servers(settings: Settings, security: dict[str, str]) -> Iterator[Finding]:
    """One finding for each server of the settings."""
    others = len(settings.kafka.addresses) > 1
    for host, port in settings.kafka.addresses:
        name = f"Kafka server {host}:{port}"
        if ports.given_to_outgoing(port) and _is_here(host):
            yield warn(
                name,
                "its port is one that this machine gives to outgoing connections: while that broker is down, a client "
                "may connect to itself there, and the broker can then not start",
                f"let it listen on another port, or sysctl -w net.ipv4.ip_local_reserved_ports={port}",
            )
        if why := kafka.refuses(host, port):
            step = "is it running, and open to this machine?"
            if others:
                yield warn(name, why, f"{step} The other servers are enough while they answer")
            else:
                yield bad(name, why, step)
        elif refusal := refusals.of_handshake(host, port, security):
            yield bad(name, refusal.cause, refusal.next_step)
        else:
            yield ok(name, "takes connections" + (", its certificate is good" if refusals.uses_tls(security) else ""))


def _is_here(host: str) -> bool:
    """Whether a name or address is one of this machine."""
    with suppress(OSError, UnicodeError, ValueError):
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
        own = {address.address for addresses in psutil.net_if_addrs().values() for address in addresses}
        return any(ipaddress.ip_address(one).is_loopback or one in own for one in found)
    return False


# -- the cluster and the topic ------------------------------------------------------------------


def _cluster(settings: Settings, reached: bool) -> Iterator[Finding]:
    name = "Kafka cluster"
    try:
        with kafka.Admin(settings) as admin:
            cluster, partitions = admin.cluster(), admin.partition_states()
            yield ok(name, f"{counted(len(cluster.brokers), 'broker')} in cluster {cluster.cluster_id}")
            yield from _advertised(cluster)
            own = admin.topic_settings() if partitions else {}
    except VentesError as error:
        step = error.hint if reached else "first mend what is said above about its servers"
        yield bad(name, error.message, step)
        return
    yield from topic(settings, cluster, partitions, own)


def _advertised(cluster: Cluster) -> Iterator[Finding]:
    """The addresses to which the cluster sends its clients: they are used for everything after the first question."""
    for number, (host, port) in sorted(cluster.brokers.items()):
        if why := kafka.refuses(host, port):
            yield bad(
                "Kafka cluster",
                f"broker {number} sends its clients to {host}:{port}, which cannot be reached from here: {why}",
                "let its owner set advertised.listeners to an address that this machine can reach",
            )


def topic(
    settings: Settings, cluster: Cluster, partitions: Iterable[Partition], own: Mapping[str, str]
) -> Iterator[Finding]:
    """The findings about the topic. `own`: its settings in Kafka. Pure."""
    name, found = f"topic {settings.topic}", list(partitions)
    if not found:
        yield warn(name, "is not there", "the producer, or `ventes start`, creates it")
        return
    trouble = [*_missing(name, found, own), *_exposed(name, cluster, found, own)]
    if not trouble:
        replicas, least = min(len(one.replicas) for one in found), own.get("min.insync.replicas", "1")
        text = f"{counted(len(found), 'partition')}, each with a leader; replicas {replicas}, all in sync"
        trouble = [ok(name, f"{text}; min.insync.replicas {least}")]
    yield from trouble
    if (limit := int(own.get("max.message.bytes", 0))) and limit < settings.kafka.max_message_bytes:
        yield warn(
            name,
            f"max.message.bytes is {limit:,}, kafka.max_message_bytes is {settings.kafka.max_message_bytes:,}",
            "larger messages of the producer are refused: lower the setting, or raise the topic's max.message.bytes",
        )


def _missing(name: str, partitions: list[Partition], own: Mapping[str, str]) -> Iterator[Finding]:
    """What is not there now."""
    least = int(own.get("min.insync.replicas", 1))
    headless = [one for one in partitions if one.leader is None]
    refused = [one for one in partitions if one.leader is not None and len(one.in_sync) < least]
    lacking = [one for one in partitions if one.leader is not None and one.under_replicated]
    if headless:
        brokers = sorted({number for one in headless for number in one.replicas})
        yield bad(
            name,
            f"no leader for partition(s) {numbers(headless)}: nothing can be read or sent there",
            f"their replicas are on broker(s) {', '.join(map(str, brokers))}: start one of these that was in sync",
        )
    if refused:
        yield bad(
            name,
            f"partition(s) {numbers(refused)} take no messages: fewer replicas are in sync than min.insync.replicas = "
            f"{least}; reading goes on",
            _back(refused),
        )
    elif lacking:
        yield warn(name, f"replicas are missing for partition(s) {numbers(lacking)}", _back(lacking))


def _back(partitions: list[Partition]) -> str:
    away = sorted({number for one in partitions for number in set(one.replicas) - set(one.in_sync)})
    return f"broker(s) {', '.join(map(str, away))} are down or behind: they catch up by themselves once they are back"


def _exposed(name: str, cluster: Cluster, partitions: list[Partition], own: Mapping[str, str]) -> Iterator[Finding]:
    """What a broker that fails would cost."""
    fewest = min(len(one.replicas) for one in partitions)
    least = int(own.get("min.insync.replicas", 1))
    seen = {number for one in partitions for number in one.replicas} | set(cluster.brokers)
    if len(seen) >= ENOUGH_BROKERS and fewest < REPLICAS:
        yield warn(
            name,
            f"its partitions have {counted(fewest, 'replica')}, and there are {len(seen)} brokers: "
            "a broker that is lost may take messages with it",
            "its owner can raise that with kafka-reassign-partitions; kafka.replication is for a new topic only",
        )
    elif len(seen) >= ENOUGH_BROKERS and least < IN_SYNC:
        yield warn(
            name,
            f"min.insync.replicas is {least}: a message may be acknowledged that is on one broker only",
            f"kafka-configs --alter --topic {name.removeprefix('topic ')} --add-config min.insync.replicas={IN_SYNC}",
        )
    if 1 < fewest <= least:
        yield warn(
            name,
            f"min.insync.replicas = {least} of {fewest} replicas: with any broker down nothing can be sent",
            f"set min.insync.replicas to {fewest - 1}",
        )
