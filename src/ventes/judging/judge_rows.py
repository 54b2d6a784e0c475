"""`judging.verdict.Judge` for a column of messages: used by both engines for the rows that the fast path left."""

from __future__ import annotations

from functools import lru_cache

import pyarrow as pa

from ventes.contract import tables
from ventes.judging.verdict import Judging, judge_of
from ventes.stream.declaration import Stream


@lru_cache(maxsize=8)
def columns_of(stream: Stream) -> pa.Schema:
    """The columns that `judge_rows` fills: the fields, motifs, _extra, jour. Not a rule's `signalements`."""
    bronze = tables.of_stream(stream).bronze.schema
    return pa.schema([bronze.field(name) for name in (*stream.event.names, "motifs", "_extra", "jour")])


def judge_rows(
    values: pa.Array | pa.ChunkedArray, kafka_ts: pa.Array | pa.ChunkedArray, judging: Judging
) -> pa.RecordBatch:
    """One row of `columns_of` for each message: its bytes (binary) and its arrival (timestamp[us, UTC])."""
    judge = judge_of(judging)
    verdicts = [judge(value, arrived) for value, arrived in zip(values.to_pylist(), kafka_ts.to_pylist(), strict=True)]
    schema = columns_of(judging.stream)
    if not verdicts:
        return pa.RecordBatch.from_pylist([], schema)
    columns = [
        *zip(*(verdict.values for verdict in verdicts), strict=True),
        [verdict.motifs for verdict in verdicts],
        [verdict.extra for verdict in verdicts],
        [verdict.jour for verdict in verdicts],
    ]
    return pa.RecordBatch.from_arrays(
        [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )
