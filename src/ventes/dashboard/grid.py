"""Rows as a table that shows every number exactly.

The browser stores numbers as doubles: an integer above 2^53, or a decimal with more than 15 digits, would be changed. A
column with such a number is sent as text. Columns are Arrow's, not pandas': pandas converts the integers of a column
with missing values to floats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from ventes.dashboard import language, text

WHOLE = 2**53
DIGITS = 15
LONG = 9
"""From this length of its numbers a column gets an explicit width."""
IDENTIFIERS = ("partition", "offset")
"""Integer columns that are identifiers, besides those that end in `_id`: without thousands separators."""


def arrow_of(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The rows, one column for each key that occurs. Values of different kinds in a column become text."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: _array([row.get(name) for row in rows]) for name in names})


def shown(
    table: pa.Table, currency: str, money: Sequence[str] | Mapping[str, str], formats: Mapping[str, str]
) -> tuple[pa.Table, Any]:
    """The table as it is sent to the browser, and Streamlit's configuration of its columns.

    `money` columns are in `currency`, or each in its own; `formats` are Streamlit's, by column, where the usual one is
    not meant.
    """
    currencies = money if isinstance(money, Mapping) else dict.fromkeys(money, currency)
    columns, configuration = {}, {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if _is_number(kind):
            unit = currencies.get(name)
            pattern = formats.get(name) or _pattern(name, kind, unit)
            bounds = _bounds(column)
            width = _width([_written(bound, pattern, unit) for bound in bounds])
            if fits_a_double(column):
                pattern, step = _in_browser(pattern, kind)
                configuration[name] = st.column_config.NumberColumn(
                    _heading(name, unit), format=pattern, step=step, width=width
                )
            else:
                values = column.to_pylist()
                column = pa.array([None if v is None else _written(v, pattern, unit) for v in values], pa.string())
                configuration[name] = st.column_config.Column(name, alignment="right", width=width)
        elif pa.types.is_timestamp(kind):
            configuration[name] = st.column_config.DatetimeColumn(
                name, format=formats.get(name) or f"{language.day_format()} HH:mm:ss"
            )
        elif pa.types.is_date(kind):
            configuration[name] = st.column_config.DateColumn(name, format=formats.get(name) or language.day_format())
        else:
            configuration[name] = st.column_config.Column(name)
        columns[name] = column
    return pa.table(columns), configuration


def _array(values: list[Any]) -> pa.Array:
    try:
        array = pa.array(values)
    except (pa.ArrowException, OverflowError):
        array = pa.array([None if value is None else str(value) for value in values])
    return array.cast(pa.string()) if pa.types.is_null(array.type) else array


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _bounds(column: pa.ChunkedArray) -> list[Decimal]:
    """The smallest and the largest value; empty for floats (which are what they are) and where there is none."""
    if pa.types.is_floating(column.type):
        return []
    return [Decimal(bound) for bound in pc.min_max(column).as_py().values() if bound is not None]


def fits_a_double(column: pa.ChunkedArray) -> bool:
    """Whether a double holds every number of the column with all its digits."""
    largest = max(map(abs, _bounds(column)), default=Decimal(0))
    scale = column.type.scale if pa.types.is_decimal(column.type) else 0
    return largest <= WHOLE if scale == 0 else largest < Decimal(10) ** (DIGITS - scale)


def _width(texts: Sequence[str]) -> int | None:
    """Pixels, for a column of long numbers: the grid's automatic width ignores one long number among short ones."""
    longest = max(map(len, texts), default=0)
    return 24 + 8 * longest if longest > LONG else None


def _pattern(name: str, kind: pa.DataType, currency: str | None) -> str | None:
    """With thousands separators, except for identifiers."""
    if currency is not None:
        safe = currency.replace("%", "%%")
        return f"{safe}%,.2f" if len(currency) == 1 else f"%,.2f {safe}"
    if pa.types.is_integer(kind):
        return "%d" if name.endswith("_id") or name in IDENTIFIERS else "%,d"
    return f"%.{kind.scale}f" if pa.types.is_decimal(kind) else None


def _in_browser(pattern: str | None, kind: pa.DataType) -> tuple[str | None, float | None]:
    """The format of a column of numbers and its step, from which the browser takes the decimals.

    Streamlit's patterns write numbers as in English; any other language leaves it to the browser's own.
    """
    if language.current() == "en" or pattern in (None, "%d"):
        return pattern, None
    decimals = 2 if pattern.endswith(".2f") or ".2f" in pattern else kind.scale if pa.types.is_decimal(kind) else 0
    return "localized", 10.0**-decimals if decimals else 1


def _heading(name: str, unit: str | None) -> str:
    """With the currency, where the numbers below do not have it."""
    return name if unit is None or language.current() == "en" else f"{name} ({unit})"


def _written(value: Decimal | int, pattern: str | None, currency: str | None) -> str:
    """As the browser writes a number of this pattern, but exact."""
    if currency is not None:
        return text.money(Decimal(value), currency)
    if language.current() != "en" and pattern != "%d":
        return language.decimal(Decimal(value))
    return f"{value:,}" if pattern == "%,d" else f"{Decimal(value):f}"
