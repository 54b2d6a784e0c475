"""The value of a SELECT, now: run in the sandbox (ventes.query), within bounded time and memory."""

from __future__ import annotations

from ventes.alerts.reading import Reading, unfit
from ventes.alerts.tables import FollowedTables
from ventes.errors import VentesError
from ventes.query import sandbox
from ventes.query.outcome import SqlFailed, TableUnreadable
from ventes.query.sandbox import Limits
from ventes.settings.alerts import Alert

SECONDS = 10.0
MEMORY_MB = 256


def read(alert: Alert, tables: FollowedTables) -> Reading:
    """The answer. NULL, and an answer without a row, is unknown; so is everything while a table is not there."""
    try:
        wanted = sandbox.translated(alert.sql, frozenset(tables.names)).tables
    except SqlFailed as error:  # reading a text of this length takes milliseconds: the machine is busy
        return Reading(None, f"it could not be read in time: {error.message}")
    except VentesError as error:
        return Reading(None, problem=str(error))
    try:
        there = tables.there()
        if missing := [name for name in wanted if name not in there]:
            return Reading(None, f"the table {missing[0]} is not there yet")
        answer = sandbox.run(alert.sql, there, Limits(SECONDS, 1, MEMORY_MB, 1))
    except TableUnreadable as error:  # removed by vacuum meanwhile: the next check reads a newer version
        return Reading(None, error.message)
    except VentesError as error:
        return Reading(None, problem=str(error))
    if answer.table.num_columns != 1 or answer.truncated:
        size = "more than one row" if answer.truncated else f"{answer.table.num_columns} columns"
        return Reading(None, problem=f"its answer has {size}: select one number, or one boolean")
    values = answer.table.column(0).to_pylist()
    if not values or values[0] is None:
        return Reading(None, "the answer is NULL" if values else "the answer has no row")
    if why := unfit(alert, values[0]):
        return Reading(None, problem=why)
    return Reading(values[0])
