"""Declarations of streams: the names that a file in streams/ uses. No engine, no settings, no I/O but `loading`.

declaration   Stream, Event, Aggregate, Rule
kinds         the kinds of fields: column, and reader of a JSON value
measures      what an aggregate counts and sums: its columns, how they are combined and recomputed
grains        the units of time that an aggregate groups by
sql_text      quoting, and exact rounding in DuckDB's SQL
declared      the line of a declaration, its names
loading       a declaration's file → Stream
reasons       reason codes as sentences
strict_json   bytes → one JSON object, or a reason code
event_time    text → time, and its allowed range
zones         the offsets of a time zone as SQL for DuckDB
"""

from ventes.stream.declaration import Aggregate, Event, Rule, Stream
from ventes.stream.declared import DeclarationError
from ventes.stream.kinds import Boolean, Day, Decimals, Instant, Integer, Json, Money, Quotient, Text
from ventes.stream.measures import (
    BOOLEAN,
    TEXT,
    ByDay,
    ByHour,
    ByMinute,
    ByMonth,
    ByWeek,
    Count,
    Distinct,
    Expression,
    First,
    Last,
    Max,
    Mean,
    Min,
    Share,
    Sum,
    Top,
    Values,
)

__all__ = [
    "BOOLEAN",
    "TEXT",
    "Aggregate",
    "Boolean",
    "ByDay",
    "ByHour",
    "ByMinute",
    "ByMonth",
    "ByWeek",
    "Count",
    "Day",
    "Decimals",
    "DeclarationError",
    "Distinct",
    "Event",
    "Expression",
    "First",
    "Instant",
    "Integer",
    "Json",
    "Last",
    "Max",
    "Mean",
    "Min",
    "Money",
    "Quotient",
    "Rule",
    "Share",
    "Stream",
    "Sum",
    "Text",
    "Top",
    "Values",
]
