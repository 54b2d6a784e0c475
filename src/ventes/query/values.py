"""Values of a result in Python, also those that Python has no form for: they become text.

DuckDB has dates before the year 1 and after 9999, and infinite ones. They are written as Spark writes them:
-0043-03-15, +12345-01-01, infinity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

DAY_US = 86_400_000_000
_UNITS_US = {"s": 1_000_000, "ms": 1_000, "us": 1}
_INFINITE = {2**31 - 1, 1 - 2**31, 2**63 - 1, 1 - 2**63}
"""How DuckDB keeps the infinite dates and times."""
_ERRORS = (ValueError, OverflowError, pa.ArrowException)


def python_values(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The values of a column. A value for which Python has no form is a text."""
    try:
        values: list[Any] = column.to_pylist()
    except _ERRORS:
        values = [_value(one) for one in column]
    return values


def rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Name → value for each row. The names differ, as those of a query do."""
    columns = [python_values(column) for column in batch.columns]
    names = batch.schema.names
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def for_python(table: pa.Table) -> pa.Table:
    """The same table with each column as text that holds a value for which Python has no form."""
    for number, field in enumerate(table.schema):
        if not _all_in_python(table.column(number)):
            texts = pa.array([text_of(one) for one in table.column(number)], pa.string())
            table = table.set_column(number, field.name, texts)
    return table


def _all_in_python(column: pa.ChunkedArray) -> bool:
    if not _holds(column.type, pa.types.is_temporal):
        return True
    try:
        column.to_pylist()
    except _ERRORS:
        return False
    return True


def _holds(kind: pa.DataType, wanted: Callable[[pa.DataType], bool]) -> bool:
    """Whether the type is one that is `wanted`, or has a part that is."""
    return wanted(kind) or any(_holds(kind.field(number).type, wanted) for number in range(kind.num_fields))


def text_of(scalar: pa.Scalar) -> str | None:
    """A value as text, whatever it is."""
    value = _value(scalar)
    return value if value is None or isinstance(value, str) else str(value)


def _value(scalar: pa.Scalar) -> Any:
    if not scalar.is_valid:
        return None
    kind = scalar.type
    if pa.types.is_struct(kind):
        return {field.name: _value(scalar[number]) for number, field in enumerate(kind)}
    if pa.types.is_map(kind):
        return [(_value(pair[0]), _value(pair[1])) for pair in scalar.values]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return [_value(item) for item in scalar.values]
    try:
        return scalar.as_py()
    except _ERRORS:
        return _time(scalar)


def _time(scalar: pa.Scalar) -> str:
    """A date or a time that is too early or too late for Python."""
    if scalar.value in _INFINITE:
        return "infinity" if scalar.value > 0 else "-infinity"
    if pa.types.is_date(scalar.type):
        return _date(scalar.value)
    if not pa.types.is_timestamp(scalar.type):
        return str(scalar)
    days, within = divmod(scalar.value * _UNITS_US[scalar.type.unit], DAY_US)
    seconds, micros = divmod(within, 1_000_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    zone = "+00:00" if scalar.type.tz else ""
    return f"{_date(days)} {hour:02}:{minute:02}:{second:02}{f'.{micros:06}' if micros else ''}{zone}"


def _date(days: int) -> str:
    """Days since 1970-01-01 in the Gregorian calendar, which repeats every 400 years."""
    era, day_of_era = divmod(days + 719_468, 146_097)  # eras begin on March 1st of a year that 400 divides
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    year = era * 400 + year_of_era + (month <= 2)
    sign = "" if 0 <= year <= 9999 else "+" if year > 0 else "-"
    return f"{sign}{abs(year):04}-{month:02}-{day_of_year - (153 * shifted + 2) // 5 + 1:02}"
