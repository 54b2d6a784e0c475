"""The last 100 messages of Bronze, as they were sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import streamlit as st

from ventes.dashboard import explained, help_text, states, text
from ventes.dashboard.language import tr
from ventes.dashboard.query_sources import last_messages
from ventes.dashboard.tabs import sql
from ventes.dashboard.view import View
from ventes.stream.kinds import Integer
from ventes.stream.page import Raw

ROWS = 100


def render(tab: Raw, view: View) -> None:
    help_text.heading(
        view,
        tr("Last {n} records", n=ROWS),
        "raw",
        tr("The {n} newest messages of Bronze, rejected ones included, with the verdict on each.", n=ROWS),
        (view.contract.bronze.name,),
        explained.newest(ROWS),
    )
    view.say_unfiltered(tr("these are the newest messages of all {many}", many=view.page.many))
    search = view.text(tr("Search these records"), "search", placeholder=tab.hint)
    rows = view.shared(tab, (view.contract.bronze.name,), lambda: _rows(view, tab))
    if not rows:
        view.nothing()
        return
    found = [row for row in rows if _matches(row, search)]
    if search:
        _found(view, search, len(found), len(rows))
    if not found:
        return
    event = view.stream.event
    currencies = {name: unit for name in event.names if (unit := view.currency_of(name)) is not None}
    plain = {name: "%d" for name in view.identifiers if isinstance(event.field(name), Integer)}
    view.table(found, "raw", money=currencies, height=560, formats=plain)
    st.caption(
        tr(
            "Bronze as received, newest first; a message that Silver rejects shows why under *verdict*. "
            "Click a column to sort."
        )
    )


def _found(view: View, search: str, found: int, among: int) -> None:
    """How many of the newest records contain it, and the way to all of them."""
    left, right = st.columns([3, 1], vertical_alignment="center")
    if found:
        left.caption(tr("{n} of the last {all} records contain it.", n=found, all=among))
    else:
        with left:
            states.empty(tr("None of the last {all} records contains it.", all=among))
    if not view.settings.page.sql:
        return
    query = search_of_all(view.contract.clean.name, [field.clean_name for field in view.stream.event.read], search)
    label = tr("Search all {many}", many=view.page.many)
    if right.button(label, key="_search_all", icon=":material/search:", on_click=sql.open_with, args=(query,)):
        st.rerun()  # the tabs are outside of this fragment


def search_of_all(table: str, columns: Sequence[str], search: str) -> str:
    """A query in Spark's dialect: the newest clean events with a column that contains the text, in any case."""
    text_of_all = ", ".join(f"CAST(`{name}` AS STRING)" for name in columns)
    wanted = search.strip().replace("\\", "\\\\").replace("'", "\\'")
    return (
        f"SELECT *\nFROM {table}\nWHERE contains(lower(concat_ws(' ', {text_of_all})), lower('{wanted}'))\n"
        f"ORDER BY kafka_ts DESC\nLIMIT {ROWS}"
    )


def _matches(row: dict[str, Any], search: str) -> bool:
    wanted = search.casefold().strip()
    return not wanted or any(wanted in str(value).casefold() for value in row.values())


def _rows(view: View, tab: Raw) -> list[dict[str, Any]]:
    fields = tab.columns or view.stream.event.names
    return [
        {
            **{name: _shown(view, row[name]) for name in fields},
            "verdict": ", ".join(row["motifs"] or ["valid"]),
            **({"signalements": ", ".join(row["signalements"] or [])} if view.contract.stream.flagged else {}),
            "kafka_ts": view.local(row["kafka_ts"]),
            "partition": row["partition"],
            "offset": row["offset"],
            "jour": row["jour"],
            "value": text.raw(row["value"], 500),
        }
        for row in last_messages(view.snapshots, ROWS).to_pylist()
    ]


def _shown(view: View, value: Any) -> Any:
    if isinstance(value, str):
        return text.cell(value)
    return view.local(value) if isinstance(value, datetime) else value
