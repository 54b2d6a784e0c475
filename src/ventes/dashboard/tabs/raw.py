"""The last 100 messages of Bronze, as they were sent."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import streamlit as st

from ventes.dashboard import text
from ventes.dashboard.query_sources import last_messages
from ventes.dashboard.view import View
from ventes.stream.kinds import Integer
from ventes.stream.page import Raw

ROWS = 100


def render(tab: Raw, view: View) -> None:
    st.subheader(f"Last {ROWS} records")
    view.say_unfiltered(f"these are the newest messages of all {view.page.many}")
    search = view.text("Search these records", "search", placeholder=tab.hint)
    rows = view.shared(tab, (view.contract.bronze.name,), lambda: _rows(view, tab))
    if not rows:
        view.nothing()
        return
    found = [row for row in rows if _matches(row, search)]
    if search:
        st.caption(f"{len(found)} of the last {len(rows)} records contain it.")
    event = view.stream.event
    currencies = {name: unit for name in event.names if (unit := view.currency_of(name)) is not None}
    identifiers = [field.name for field in event.read if field.dimension or field.name == event.id]
    plain = {name: "%d" for name in identifiers if isinstance(event.field(name), Integer)}
    view.table(found, "raw", money=currencies, height=560, formats=plain)
    st.caption(
        "Bronze as received, newest first; a message that Silver rejects shows why under *verdict*. "
        "Click a column to sort."
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
