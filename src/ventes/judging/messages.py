"""A Kafka message as columns: the input of a verdict."""

from __future__ import annotations

import pyarrow as pa

from ventes.contract.tables import HEADERS
from ventes.stream.arrow import instant

RAW = pa.schema(
    [
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("headers", HEADERS),
        ("topic_id", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("kafka_ts", instant()),
    ]
)
"""The raw message and its position. `kafka_ts` is NULL where the topic has no LogAppendTime."""
