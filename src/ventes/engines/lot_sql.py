"""The statements that split a lot, composed from the stream: DuckDB's, under either engine.

JUDGED    relations lot_rows and known_rows → the rows of lot_rows with Silver's verdict
CLEAN     relation judged_rows → rows of <stream>_clean; parameters $watermark_us, $processed_at, $lot
COMPUTED  relation judged_rows with _row → _row and the columns that CLEAN computes; parameter $watermark_us
REJECTED  relation judged_rows → rows of <stream>_rejets; parameters $processed_at, $lot

$watermark_us is the lateness in microseconds from which an event is en_retard, $processed_at the time of processing,
$lot the number of the lot.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import pyarrow as pa

from ventes.contract import tables
from ventes.stream.declaration import Event, Stream
from ventes.stream.kinds import Field, Quotient
from ventes.stream.sql_text import quoted

Name = Literal["judged", "clean", "computed", "rejected"]
JUDGED: Name = "judged"
CLEAN: Name = "clean"
COMPUTED: Name = "computed"
REJECTED: Name = "rejected"

_POSITION = 'topic_id, "partition", "offset"'
_IN_ORDER = 'kafka_ts NULLS FIRST, topic_id NULLS FIRST, "partition" NULLS FIRST, "offset" NULLS FIRST'
_TAKEN = "CAST($processed_at AS TIMESTAMPTZ) AS date_traitement, CAST($lot AS BIGINT) AS lot"


@lru_cache(maxsize=32)
def lot_sql(stream: Stream, name: Name) -> str:
    """One of the statements."""
    return {JUDGED: _judged, CLEAN: _clean, COMPUTED: _computed, REJECTED: _rejected}[name](stream)


def passed_on(stream: Stream) -> dict[str, str]:
    """The columns of <stream>_clean that CLEAN takes from judged_rows as they are → their names there."""
    fields = {
        part.clean_name: part.name
        for part in stream.event.fields
        if isinstance(part, Field) and part.clean_type == part.bronze_type
    }
    same = (*_flags(stream), "_extra", *tables.POSITION, "kafka_ts", "date_ingestion", "jour")
    return {**fields, **{name: name for name in same}}


def _judged(stream: Stream) -> str:
    """Bronze's reasons, or [duplicate] / [conflict], or [] for a clean event.

    lot_rows    Bronze rows of the lot, every Bronze column that the result has
    known_rows  clean rows whose id may occur in the lot (at least all that do): the id and its content
    Result: the columns of lot_rows, `motifs` replaced.

    The first of an id counts: an earlier lot's, else the first of this lot by (kafka_ts, topic_id, partition, offset).
    Few ids repeat, so only those are ranked.
    """
    event = stream.event
    id_, known_id = quoted(event.id), quoted(event.field(event.id).clean_name)
    known = ", ".join(quoted(field.clean_name) for field in event.read)
    as_known = ", ".join(_renamed(field) for field in event.read)
    same = " AND ".join(
        f"s.{quoted(field.name)} {_equals(field)} r.{quoted(field.clean_name)}" for field in _content(event)
    )
    kept = [*event.names, "motifs", *_flags(stream), "_extra", *tables.POSITION, *_AFTER_POSITION]
    columns = ", ".join(
        "coalesce(v.motifs, l.motifs) AS motifs" if name == "motifs" else f"l.{quoted(name)}" for name in kept
    )
    return f"""
WITH valid_rows AS (
  SELECT * FROM lot_rows WHERE array_length(motifs) = 0
),
repeated_ids AS (
  SELECT {id_} FROM valid_rows GROUP BY {id_} HAVING count(*) > 1
),
suspects AS (
  SELECT * FROM valid_rows
  WHERE {id_} IN (SELECT {id_} FROM repeated_ids) OR {id_} IN (SELECT {known_id} FROM known_rows)
),
ranked AS (
  SELECT *, row_number() OVER (PARTITION BY {id_} ORDER BY {_IN_ORDER}) AS _rank
  FROM suspects
),
first_rows AS (
  SELECT {known}, _extra, 0 AS _rank
  FROM known_rows WHERE {known_id} IN (SELECT {id_} FROM suspects)
  UNION ALL
  SELECT {as_known}, _extra, _rank
  FROM ranked AS r
  WHERE _rank = 1 AND NOT EXISTS (SELECT 1 FROM known_rows AS k WHERE k.{known_id} = r.{id_})
),
verdicts AS (
  SELECT s.topic_id, s."partition", s."offset",
         CASE
           WHEN s._rank = 1 AND r._rank = 1 THEN CAST([] AS VARCHAR[])
           WHEN {same} AND s._extra IS NOT DISTINCT FROM r._extra THEN ['duplicate']
           ELSE ['conflict']
         END AS motifs
  FROM ranked AS s JOIN first_rows AS r ON s.{id_} = r.{known_id}
)
SELECT {columns}
FROM lot_rows AS l
LEFT JOIN verdicts AS v
  ON l.topic_id = v.topic_id AND l."partition" = v."partition" AND l."offset" = v."offset"
"""


_AFTER_POSITION = ("kafka_ts", "date_ingestion", "value", "jour")


def _clean(stream: Stream) -> str:
    event = stream.event
    columns = [_quotient(part, event) if isinstance(part, Quotient) else _cleaned(part) for part in event.fields]
    columns.append(_late(event))
    columns += [*_flags(stream), "_extra", _POSITION, "kafka_ts", "date_ingestion", _TAKEN, "jour"]
    return f"SELECT {', '.join(columns)} FROM judged_rows WHERE array_length(motifs) = 0"


def _computed(stream: Stream) -> str:
    event, same = stream.event, passed_on(stream)
    columns = [
        _quotient(part, event) if isinstance(part, Quotient) else _cleaned(part)
        for part in event.fields
        if isinstance(part, Quotient) or part.clean_name not in same
    ]
    return f"SELECT {', '.join(['_row', *columns, _late(event)])} FROM judged_rows"


def _late(event: Event) -> str:
    return f"epoch_us(kafka_ts) - epoch_us({quoted(event.at)}) > CAST($watermark_us AS BIGINT) AS en_retard"


def _rejected(stream: Stream) -> str:
    return (
        f"SELECT list_sort(motifs) AS motifs, {quoted(stream.event.id)}, value, {_POSITION}, kafka_ts, "
        f"date_ingestion, {_TAKEN} FROM judged_rows WHERE array_length(motifs) > 0"
    )


def _cleaned(field: Field) -> str:
    """The column of the clean events: its name and type may be others than Bronze's."""
    if field.clean_type == field.bronze_type:
        return _renamed(field)
    return f"CAST({quoted(field.name)} AS {_decimal(field.clean_type)}) AS {quoted(field.clean_name)}"


def _quotient(quotient: Quotient, event: Event) -> str:
    """amount / count half up, in whole cents: (2c + q) // 2q. No division of decimals, which DuckDB makes in floats."""
    kind = event.field(quotient.amount).clean_type
    amount, count = quoted(quotient.amount), quoted(quotient.count)
    cents = f"(2 * CAST({amount} * 100 AS BIGINT) + {count}) // (2 * {count})"
    return (
        f"CAST(CAST({cents} AS DECIMAL({kind.precision}, 0)) * CAST('0.01' AS DECIMAL(2, 2)) AS {_decimal(kind)}) "
        f"AS {quoted(quotient.name)}"
    )


def _content(event: Event) -> list[Field]:
    """What two events of one id are compared by, beside `_extra`."""
    return [field for field in event.read if field.name != event.id]


def _equals(field: Field) -> str:
    return "IS NOT DISTINCT FROM" if field.optional else "="


def _renamed(field: Field) -> str:
    name = quoted(field.name)
    return name if field.clean_name == field.name else f"{name} AS {quoted(field.clean_name)}"


def _flags(stream: Stream) -> list[str]:
    return ["signalements"] if stream.flagged else []


def _decimal(kind: pa.DataType) -> str:
    return f"DECIMAL({kind.precision}, {kind.scale})"
