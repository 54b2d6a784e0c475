"""Connections to the broker, and questions about the topic.

client   configuration of all clients, errors of their connections, closing with a timeout, a consumer, the TCP probe
admin    topic id, partitions, first and last offsets; creating and changing the topic

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
    plain,
    unavailable,
    unreachable,
)

__all__ = [
    "CLOSE_SECONDS",
    "NOT_THERE",
    "Admin",
    "Connection",
    "OpenConsumer",
    "client_config",
    "closed_within",
    "consuming",
    "end_offsets",
    "ensure_topic",
    "plain",
    "topic_id",
    "unavailable",
    "unreachable",
    "wait_until_ready",
    "wanted_topic_settings",
]
