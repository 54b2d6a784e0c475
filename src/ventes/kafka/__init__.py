"""Connections to the broker, and questions about the topic.

client     configuration of all clients, errors of their connections, closing with a timeout, a consumer, the TCP probe
admin      topic id, partitions, first and last offsets; creating and changing the topic
topology   the brokers, and where replicas are; how many a new topic gets
readiness  whether a cluster that somebody else runs can be read now
refusals   why a secured connection fails, as a sentence

The producer is in ventes.producer, the reading of the topic in ventes.engines. Kafka's errors are translated here:
callers see BrokerUnavailable or another VentesError.
"""

from ventes.kafka.admin import (
    NOT_THERE,
    Admin,
    end_offsets,
    ensure_topic,
    topic_id,
    wait_until_ready,
    wanted_topic_settings,
)
from ventes.kafka.client import (
    CLOSE_SECONDS,
    Connection,
    OpenConsumer,
    client_config,
    closed_within,
    consuming,
    made,
    plain,
    refuses,
    unavailable,
    unreachable,
)
from ventes.kafka.readiness import cluster_ready
from ventes.kafka.topology import Cluster, Partition

__all__ = [
    "CLOSE_SECONDS",
    "NOT_THERE",
    "Admin",
    "Cluster",
    "Connection",
    "OpenConsumer",
    "Partition",
    "client_config",
    "closed_within",
    "cluster_ready",
    "consuming",
    "end_offsets",
    "ensure_topic",
    "made",
    "plain",
    "refuses",
    "topic_id",
    "unavailable",
    "unreachable",
    "wait_until_ready",
    "wanted_topic_settings",
]
