"""What a verdict is given on: a Kafka message as columns."""

from __future__ import annotations

import pyarrow as pa

from ventes.contract.tables import HEADERS, UTC

RAW = pa.schema(
    [
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("headers", HEADERS),
        ("topic_id", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("kafka_ts", UTC),
    ]
)
"""A message as it was, and where it stood. `kafka_ts` is NULL where no broker says when the message arrived."""
