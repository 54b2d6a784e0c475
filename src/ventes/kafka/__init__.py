"""The broker and the topic: how every part reaches them, and what they are right now.

client   configuration of every client, what librdkafka says of its connections, bounded closing, a consumer, the probe
admin    questions and changes: which topic is this (its id survives no re-creation), where does it begin and end

Producing and consuming live with those who do it. Foreign errors end here: callers see BrokerUnavailable or another
VentesError.
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
