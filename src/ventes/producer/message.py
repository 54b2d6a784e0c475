"""A Kafka record as the producer keeps and sends it."""

from __future__ import annotations

from typing import NamedTuple


class Message(NamedTuple):
    """The Kafka record."""

    key: bytes
    value: bytes
