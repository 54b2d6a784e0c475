"""How late flights are by the hour of the day and by month: a tab of the page of vols.py."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import duckdb
import streamlit as st

from ventes.dashboard import charts, text
from ventes.dashboard.language import choice, month, tr
from ventes.dashboard.questions import Question, Row, columns_of, expressions, finished
from ventes.dashboard.tabs.hovers import axis_of
from ventes.dashboard.view import View
from ventes.stream import ByMinute, Count, Mean, Share
from ventes.stream.declaration import Event
from ventes.stream.measures import Measure
from ventes.stream.sql_text import quoted

LABEL = "By hour and month"

MEASURES: dict[str, Measure] = {
    "Late by 15 min or more": Share("late", where="retard_arrivee >= 15"),
    "Mean departure delay, min": Mean("departure", "retard_depart", scale=1),
    "Mean arrival delay, min": Mean("arrival", "retard_arrivee", scale=1),
    "Flights": Count("flights"),
}


def asked(event: Event) -> Question:
    """What the two charts are computed from: the measures for each minute of planned departure."""
    return Question("minutes", (ByMinute(),), columns_of(MEASURES.values(), event))


def render(view: View) -> None:
    event = view.stream.event
    hours, months = view.shared("hours and months", view.answered_by(asked(event)), lambda: _both(view))
    if not hours:
        view.nothing()
        return
    show = view.choice(tr("Show"), list(MEASURES), "delays")
    left, right = st.columns(2)
    with left:
        st.subheader(tr("By hour of planned departure ({zone})", zone=text.markdown(view.settings.rules.time_zone)))
        _chart(view, show, hours, [f"{row['part']:02d}:00" for row in hours], "hours")
    with right:
        st.subheader(tr("By month"))
        _chart(view, show, months, [month(row["part"]) for row in months], "months")


def _both(view: View) -> tuple[list[Row], list[Row]]:
    event, zone = view.stream.event, view.settings.business_zone
    with view.sums(asked(event)) as con:
        return parts_of(con, event, zone, "hour"), parts_of(con, event, zone, "month")


def parts_of(con: duckdb.DuckDBPyConnection, event: Event, zone: ZoneInfo, part: str) -> list[Row]:
    """part (0 to 23, or 1 to 12, in `zone`), late, departure, arrival, flights; ascending. From the view `minutes`."""
    found = {name: sql for measure in MEASURES.values() for name, sql in expressions(measure, event).items()}
    listed = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in found.items())
    query = f"SELECT date_part('{part}', timezone(?, minute)) AS part, {listed} FROM minutes GROUP BY 1 ORDER BY 1"
    rows: list[Row] = con.execute(query, [str(zone)]).to_arrow_table().to_pylist()
    return [finished(row, MEASURES.values()) for row in rows]


def _chart(view: View, show: str, rows: list[Row], labels: list[str], key: str) -> None:
    measure = MEASURES[show]
    hover = [
        "<br>".join(
            [f"<b>{label}</b>", *(f"{choice(name)}: {view.written(m, row[m.name])}" for name, m in MEASURES.items())]
        )
        for label, row in zip(labels, rows, strict=True)
    ]
    values = [float(row[measure.name] or 0) for row in rows]
    figure = charts.bars(labels, values, hover, choice(show), axis_of(view, measure))
    view.chart(figure, f"{key}-{measure.name}", alt=tr("Bar chart of {what}", what=choice(show).lower()))
