"""The Delta tables of a stream: columns, key, partition and statistics, derived from its declaration. No I/O.

The schemas are Arrow's, because every part can use them: deltalake creates the tables from them,
DuckDB and the embedded engine write them, Spark appends to the tables so created.
The pipeline's own columns have French names: they are the contract with the people who use the tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import pyarrow as pa

from ventes.config import Settings
from ventes.deltalog.table import Table
from ventes.stream.arrow import instant
from ventes.stream.declaration import Aggregate, Stream
from ventes.stream.kinds import Field
from ventes.stream.measures import hidden_columns

HEADERS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))
TEXTS = pa.list_(pa.string())

POSITION = ("topic_id", "partition", "offset")
"""The columns that identify a Kafka message."""

_POSITION_FIELDS = [("topic_id", pa.string()), ("partition", pa.int32()), ("offset", pa.int64())]


@dataclass(frozen=True)
class Tables:
    """The tables of one stream. `rollups` in the order in which a lot is merged into them."""

    stream: Stream
    bronze: Table
    clean: Table
    rejets: Table
    rollups: tuple[Table, ...]

    @cached_property
    def outcomes(self) -> tuple[Table, Table]:
        """The two tables that together hold each message of Bronze once."""
        return (self.clean, self.rejets)

    @cached_property
    def silver(self) -> tuple[Table, ...]:
        return (*self.outcomes, *self.rollups)

    @cached_property
    def all(self) -> tuple[Table, ...]:
        return (self.bronze, *self.silver)

    @cached_property
    def by_name(self) -> dict[str, Table]:
        return {table.name: table for table in self.all}


def of(settings: Settings) -> Tables:
    """The tables of the stream that the settings name. Raises DeclarationError."""
    return of_stream(settings.stream)


@lru_cache(maxsize=8)
def of_stream(stream: Stream) -> Tables:
    event = stream.event
    flags = [("signalements", TEXTS)] if stream.flagged else []
    bronze = Table(
        name="bronze",
        key=POSITION,
        partition_by=("jour",),
        stats=(event.id, *POSITION, "kafka_ts", event.at),
        schema=pa.schema(
            [
                # the fields as sent, converted where possible: NULL where the text does not fit the type
                *((field.name, field.bronze_type) for field in event.read),
                # the verdict, computed once, when the message is read
                ("motifs", TEXTS),  # [] = valid; never NULL
                *flags,  # codes of the rules that flag
                ("_extra", pa.string()),  # unknown fields as a JSON object, NULL if none
                # the position of the message in Kafka
                *_POSITION_FIELDS,
                ("kafka_ts", instant()),
                ("date_ingestion", instant()),
                # the raw message
                ("key", pa.binary()),
                ("value", pa.binary()),
                ("headers", HEADERS),
                ("jour", pa.date32()),
            ]
        ),
    )
    at = event.field(event.at).clean_name
    clean = Table(
        name=f"{stream.name}_clean",
        key=(event.field(event.id).clean_name,),
        partition_by=("jour",),
        stats=(event.field(event.id).clean_name, *POSITION, "lot", at, "kafka_ts"),
        schema=pa.schema(
            [
                *(
                    (field.clean_name, field.clean_type)
                    if isinstance(field, Field)
                    else (field.name, event.field(field.amount).clean_type)
                    for field in event.fields
                ),
                ("en_retard", pa.bool_()),  # kafka_ts - time of the event > watermark
                *flags,
                ("_extra", pa.string()),
                *_POSITION_FIELDS,
                ("kafka_ts", instant()),
                ("date_ingestion", instant()),  # Bronze's
                ("date_traitement", instant()),  # when Silver took it
                ("lot", pa.int64()),  # the Silver batch that wrote the row
                ("jour", pa.date32()),
            ]
        ),
    )
    rejets = Table(
        name=f"{stream.name}_rejets",
        key=POSITION,
        stats=(*POSITION, "lot", "kafka_ts"),
        schema=pa.schema(
            [
                ("motifs", TEXTS),  # every reason, sorted; never empty
                (event.id, event.field(event.id).bronze_type),  # NULL where it could not be read
                ("value", pa.binary()),
                *_POSITION_FIELDS,
                ("kafka_ts", instant()),
                ("date_ingestion", instant()),
                ("date_traitement", instant()),
                ("lot", pa.int64()),
            ]
        ),
    )
    return Tables(stream, bronze, clean, rejets, tuple(_rollup(stream, table) for table in stream.tables))


def _rollup(stream: Stream, declared: Aggregate) -> Table:
    event = stream.event
    grain = declared.grain
    columns = [
        (name, grain.type if grain is not None and name == grain.column else event.field(name).clean_type)
        for name in declared.key
    ]
    columns += [(measure.name, measure.type_in(event)) for measure in declared.measures]
    columns += hidden_columns(event, declared.measures)
    ordered = clustered_by(declared)
    return Table(
        name=declared.table,
        key=declared.key,
        stats=tuple(name for name, kind in columns if name in ordered and _has_bounds(kind)),
        schema=pa.schema(columns),
    )


def _has_bounds(kind: pa.DataType) -> bool:
    """Whether the log's text of a value has the order of the values: not so for a decimal."""
    return not pa.types.is_decimal(kind) and not pa.types.is_boolean(kind)


def clustered_by(declared: Aggregate) -> tuple[str, ...]:
    """The columns that a roll-up's rows are sorted by: its grain, then its fields. Those with bounds prune files."""
    grain = declared.grain
    fields = tuple(name for name in declared.key if grain is None or name != grain.column)
    return (*((grain.column,) if grain is not None else ()), *fields)
