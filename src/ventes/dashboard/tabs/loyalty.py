"""Segments, and how loyal clients are."""

from __future__ import annotations

import streamlit as st

from ventes.dashboard import charts, figures, text
from ventes.dashboard.figures import Loyalty, Row, rows_of
from ventes.dashboard.query_sources import narrowed, tables_for
from ventes.dashboard.view import View

LABEL = "Segments & Loyalty"


def render(view: View) -> None:
    used = tables_for(view.filters, "clients")
    segments, spending, loyalty, best = view.shared("loyalty", used, lambda: _all(view))
    if not segments:
        view.nothing()
        return
    rules = view.settings.rules
    first, second, third = st.columns(3, gap="small")
    first.metric("Loyal clients", text.count(loyalty.loyal), border=True, help=f"{rules.loyal_from} purchases or more.")
    second.metric("Share of all clients", text.percent(loyalty.share_of_clients), border=True)
    third.metric("Share of revenue", text.percent(loyalty.share_of_revenue), border=True)
    left, right = st.columns(2)
    with left:
        st.subheader("Revenue by segment")
        view.chart(_bars(view, segments, "segment", "customers"), "segments", alt="Bar chart of revenue by segment")
    with right:
        st.subheader("Revenue by level of spending")
        view.chart(_bars(view, spending, "segment_depense", "clients"), "spending", alt="Bar chart of spending levels")
        st.caption(
            f"Premium from {text.markdown(view.money(rules.premium_from))}, "
            f"Standard from {text.markdown(view.money(rules.standard_from))} spent in all, else Economy."
        )
    st.subheader("Best clients")
    view.table(
        [
            {
                "Client": row["client_id"],
                "Name": text.cell(row["client_nom"]),
                "Country": text.cell(row["pays"]),
                "Segment": text.cell(row["segment"]),
                "Purchases": row["sales"],
                "Revenue": row["revenue"],
                "Average": row["average"],
                "Last day": row["last_day"],
            }
            for row in best
        ],
        "best-clients",
        money=("Revenue", "Average"),
    )


def _bars(view: View, rows: list[Row], name: str, clients: str) -> charts.Figure:
    currency = view.settings.page.currency
    hover = [
        f"<b>{text.plotly(row[name], 60)}</b><br>Revenue {text.plotly(view.money(row['revenue']), 60)}"
        f"<br>{row['sales']:,} sales<br>{row[clients]:,} clients"
        for row in rows
    ]
    return charts.bars(
        [row[name] for row in rows],
        [float(row["revenue"]) for row in rows],
        hover,
        f"Revenue ({text.plotly(currency)})",
        charts.money_axis(currency),
    )


def _all(view: View) -> tuple[list[Row], list[Row], Loyalty, list[Row]]:
    rules = view.settings.rules
    with narrowed(view.snapshots, view.filters, "clients") as con:
        return (
            rows_of(figures.segments(con)),
            rows_of(figures.spending(con, rules.standard_from, rules.premium_from)),
            figures.loyalty(con, rules.loyal_from),
            rows_of(figures.best_clients(con)),
        )
