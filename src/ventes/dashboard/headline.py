"""The five figures, each with a small line of recent activity."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timezone

import streamlit as st

from ventes.contract.tables import BRONZE, CLEAN
from ventes.dashboard import figures, text
from ventes.dashboard.figures import Headline, Trend
from ventes.dashboard.query_sources import narrowed, recent_sales, tables_for
from ventes.dashboard.view import View

RECENT = 2000
"""Sales behind the small lines."""


def show(view: View) -> None:
    used = tables_for(view.filters, "clients", "products")
    today = (view.snapshots.as_of or datetime.now(timezone.utc)).astimezone(view.settings.business_zone).date()
    total, day = view.shared(("headline", today), used, lambda: _headline(view, today))
    trend = view.shared("trend", (CLEAN.name,), lambda: _trend(view))
    records = total.sales if view.filters.used else view.snapshots[BRONZE.name].rows
    about = (
        "Sales that match the filters."
        if view.filters.used
        else "Messages in Bronze: every one that Kafka delivered, rejected ones included."
    )
    with st.container(key="figures"):
        cards = st.columns(5, gap="small")
    with cards[0]:
        _card("Total Records", text.count(records), f"{day.sales:,} sales today", trend.sales, about)
    with cards[1]:
        _card("Unique Clients", text.count(total.clients), f"{day.clients:,} today", trend.clients)
    with cards[2]:
        _card("Unique Products", text.count(total.products), "sold so far", trend.products)
    with cards[3]:
        _card("Total Revenue", view.money(total.revenue), f"{view.money(day.revenue)} today", trend.revenue)
    with cards[4]:
        _card("Avg Transaction", view.money(total.average), f"{view.money(day.average)} today", trend.average)


def _card(label: str, value: str, note: str, line: Sequence[float], about: str | None = None) -> None:
    st.metric(
        label,
        value,
        delta=note,
        delta_color="blue",
        delta_arrow="off",
        border=True,
        chart_data=line or None,
        chart_type="area",
        help=about,
    )


def _headline(view: View, day: date) -> tuple[Headline, Headline]:
    with narrowed(view.snapshots, view.filters, "clients", "products") as con:
        return figures.headline(con, day)


def _trend(view: View) -> Trend:
    return figures.trend(recent_sales(view.snapshots, view.filters, RECENT))
