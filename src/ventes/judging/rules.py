"""A stream's own rules, applied to a batch of judged messages: codes in `motifs`, or in `signalements`.

DuckDB evaluates the conditions over the typed fields, whichever path typed them. An error in a condition (a division by
zero, a cast that fails) counts as NULL: the rule is not broken. So no message can stop the job.
"""

from __future__ import annotations

from functools import lru_cache

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ventes.deltalog.database import connect, run
from ventes.stream.declaration import Rule, Stream

Columns = dict[str, "pa.Array | pa.ChunkedArray"]
Rows = npt.NDArray[np.bool_]
"""Which rows of a batch."""


def require_usable(stream: Stream) -> None:
    """Raise DeclarationError, with the rule's line, for a condition that DuckDB cannot use."""
    if stream.rules:
        _query(stream)


def apply(con: duckdb.DuckDBPyConnection, stream: Stream, columns: Columns) -> Columns:
    """`columns` of Bronze with the codes of the broken rules; only messages without another reason are looked at.

    Raises DeclarationError like `require_usable`.
    """
    if not stream.rules:
        return columns
    rows = len(columns["motifs"])
    valid: Rows = pc.equal(pc.list_value_length(columns["motifs"]), 0).to_numpy(zero_copy_only=False)
    broken = _broken(con, stream, columns, rows)
    result = dict(columns)
    rejected = _codes(stream, "reject", broken, valid)
    if rejected:
        motifs = columns["motifs"].to_pylist()
        for row, codes in rejected.items():
            motifs[row] = codes
        result["motifs"] = pa.array(motifs, pa.list_(pa.string()))
    if stream.flagged:
        flags = _codes(stream, "flag", broken, valid)
        result["signalements"] = pa.array([flags.get(row, []) for row in range(rows)], pa.list_(pa.string()))
    return result


def _codes(stream: Stream, severity: str, broken: list[Rows], valid: Rows) -> dict[int, list[str]]:
    """Row → the codes of the rules of this severity that it breaks, sorted; only rows that break one."""
    found: dict[int, list[str]] = {}
    for rule, rows in sorted(zip(stream.rules, broken, strict=True), key=lambda pair: pair[0].code):
        if rule.severity == severity:
            for row in np.flatnonzero(rows & valid).tolist():
                found.setdefault(row, []).append(rule.code)
    return found


def _broken(con: duckdb.DuckDBPyConnection, stream: Stream, columns: Columns, rows: int) -> list[Rows]:
    """For each rule, which rows break it."""
    typed = {field: _as_seen(columns[field]) for field in stream.event.names}
    found = run(con, _query(stream), {"_typed": pa.table({"_row": pa.array(np.arange(rows)), **typed})})
    return [found[f"_broken{number}"].to_numpy() for number in range(len(stream.rules))]


def _as_seen(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """An instant as a naive TIMESTAMP in UTC, so that no time zone of a connection has a part in a rule."""
    return column.cast(pa.timestamp("us")) if pa.types.is_timestamp(column.type) else column


@lru_cache(maxsize=8)
def _query(stream: Stream) -> str:
    """The statement over `_typed`; checked once per process."""
    event = stream.event
    empty = pa.table({"_row": pa.array([], pa.int64())})
    for field in event.read:
        empty = empty.append_column(field.name, _as_seen(pa.array([], field.bronze_type)))
    with connect(spills=False) as con:
        con.register("_typed", empty)
        for rule in stream.rules:
            _require(con, rule)
    columns = ", ".join(
        f"NOT coalesce(TRY({_condition(rule)}), true) AS _broken{number}" for number, rule in enumerate(stream.rules)
    )
    return f"SELECT {columns} FROM _typed ORDER BY _row"  # the connection may not preserve the order of insertion


def _condition(rule: Rule) -> str:
    return f"(\n{rule.condition}\n)"  # on a line of its own: it may end with a comment


def _require(con: duckdb.DuckDBPyConnection, rule: Rule) -> None:
    """Raise DeclarationError unless the condition is one expression of type BOOLEAN over the fields of one event."""
    import sqlglot  # 8 MB in each process; those that only judge do not need it
    from sqlglot import exp

    try:
        # on its own, so that it cannot close the parentheses that it is put into
        parsed = sqlglot.parse(rule.condition, read="duckdb")
        if len(parsed) != 1 or parsed[0] is None:
            raise rule.refuse(f"rule {rule.code}: {rule.condition!r} is not one condition")
        if parsed[0].find(exp.Query):
            raise rule.refuse(f"rule {rule.code}: {rule.condition!r} has a query of its own; use the event's fields")
        # in WHERE neither an aggregate nor a window can be used: a verdict does not depend on other messages
        con.execute(f"SELECT 1 FROM _typed WHERE TRY({_condition(rule)})")
        kind = con.execute(f"DESCRIBE SELECT {_condition(rule)} AS met FROM _typed").fetchone()
    except (duckdb.Error, sqlglot.errors.SqlglotError) as error:
        raise rule.refuse(f"rule {rule.code}: {rule.condition!r} cannot be used: {error}") from None
    if kind is None or kind[1] != "BOOLEAN":
        raise rule.refuse(f"rule {rule.code}: {rule.condition!r} is no condition: its type is {kind and kind[1]}")
