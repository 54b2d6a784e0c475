"""Declarations of streams: the names that a file in streams/ uses. No engine, no settings, no I/O but `loading`.

declaration   Stream, Event, Aggregate, Rule
kinds         the kinds of fields: column, and reader of a JSON value
fast_form     what the kinds share of the SQL that types their values
measures      what an aggregate counts and sums: its columns, how they are combined and recomputed
grains        the units of time that an aggregate groups by
sql_text      quoting, and exact rounding in DuckDB's SQL
page          what the page shows: figures, tabs, labels
arrow         Arrow's types, loaded when they are needed
declared      the line of a declaration, its names
loading       a declaration's file → Stream
reasons       reason codes as sentences
strict_json   bytes → one JSON object, or a reason code
event_time    text → time, and its allowed range
zones         the offsets of a time zone as SQL for DuckDB
"""

from ventes.stream.declaration import Aggregate, Event, Rule, Stream
from ventes.stream.declared import DeclarationError
from ventes.stream.grains import ByDay, ByHour, ByMinute, ByMonth, ByWeek
from ventes.stream.kinds import Boolean, Day, Decimals, Instant, Integer, Json, Money, Quotient, Text
from ventes.stream.measures import (
    BOOLEAN,
    TEXT,
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
from ventes.stream.page import Bars, Example, Figure, Label, Page, Rank, Ranking, Raw, Records, TabFile, Timeline

__all__ = [
    "BOOLEAN",
    "TEXT",
    "Aggregate",
    "Bars",
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
    "Example",
    "Expression",
    "Figure",
    "First",
    "Instant",
    "Integer",
    "Json",
    "Label",
    "Last",
    "Max",
    "Mean",
    "Min",
    "Money",
    "Page",
    "Quotient",
    "Rank",
    "Ranking",
    "Raw",
    "Records",
    "Rule",
    "Share",
    "Stream",
    "Sum",
    "TabFile",
    "Text",
    "Timeline",
    "Top",
    "Values",
]
