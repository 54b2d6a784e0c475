"""Whether a cluster that somebody else runs can be read now, asked of the cluster and not of one address."""

from __future__ import annotations

from ventes.config import Settings
from ventes.errors import VentesError
from ventes.kafka.admin import Admin
from ventes.kafka.topology import numbers
from ventes.runtime.counts import counted

READY_SECONDS = 4.0
"""Timeout in seconds of each of the two requests. A new client shakes hands twice: with the server that the settings
name, then with the broker that answers; with TLS and SCRAM that took 2 s on a busy machine."""


def cluster_ready(settings: Settings) -> tuple[bool, str]:
    """(True, how many brokers answer, and which partitions lack replicas) or (False, why not). Never raises.

    Ready means: some broker answers this client, and each partition of the topic has a leader. Up to 9 s.
    """
    try:
        with Admin(settings) as admin:
            cluster = admin.cluster(READY_SECONDS)
            partitions = admin.partition_states(READY_SECONDS)
    except VentesError as error:
        return False, str(error)
    if headless := [partition for partition in partitions if partition.leader is None]:
        return False, f"{settings.topic}: no leader now for partition(s) {numbers(headless)}; see `ventes doctor`"
    brokers = counted(len(cluster.brokers), "broker")
    text = f"Kafka at {settings.kafka.bootstrap}: {brokers}, cluster {cluster.cluster_id}"
    if lacking := [partition for partition in partitions if partition.under_replicated]:
        text += f"; replicas are missing for partition(s) {numbers(lacking)} of {settings.topic}"
    return True, text
