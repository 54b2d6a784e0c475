"""`judging.verdict.judge` for a column of messages: used by both engines for the rows that the fast path left."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pyarrow as pa

from ventes.contract.tables import BRONZE, EVENT_FIELDS
from ventes.judging.verdict import judge

VERDICT = pa.schema([BRONZE.schema.field(name) for name in (*EVENT_FIELDS, "motifs", "_extra", "jour")])
"""The columns of Bronze that come from the verdict."""


def judge_rows(
    values: pa.Array | pa.ChunkedArray,
    kafka_ts: pa.Array | pa.ChunkedArray,
    source_zone: ZoneInfo,
    business_zone: ZoneInfo,
) -> pa.RecordBatch:
    """One VERDICT row for each message: its bytes (binary) and its arrival (timestamp[us, UTC])."""
    verdicts = [
        judge(value, arrived, source_zone, business_zone)
        for value, arrived in zip(values.to_pylist(), kafka_ts.to_pylist(), strict=True)
    ]
    columns = [[getattr(verdict, name) for verdict in verdicts] for name in (*EVENT_FIELDS, "motifs", "extra", "jour")]
    return pa.RecordBatch.from_arrays(
        [pa.array(column, type=field.type) for column, field in zip(columns, VERDICT, strict=True)], schema=VERDICT
    )
