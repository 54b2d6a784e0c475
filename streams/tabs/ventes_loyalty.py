"""Segments, and how loyal clients are: a tab of the page of ventes.py."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb
import streamlit as st

from ventes.contract.arithmetic import mean, share
from ventes.dashboard import charts, explained, help_text, text
from ventes.dashboard.language import in_words, tr
from ventes.dashboard.questions import Row, question
from ventes.dashboard.tabs.hovers import beside
from ventes.dashboard.view import View
from ventes.stream import ByDay, Count, Sum

LABEL = "Segments & Loyalty"

CLIENTS = question(
    "clients",
    ("client_id", "client_nom", "pays", "segment", ByDay()),
    Sum("revenue", "montant"),
    Count("sales"),
)
"""What every figure of this tab is computed from."""


def render(view: View) -> None:
    segments, spending, loyalty, best = view.shared("loyalty", view.answered_by(CLIENTS), lambda: _all(view))
    if not segments:
        view.nothing()
        return
    rules = view.settings.rules
    first, second, third = st.columns(3, gap="small")
    about = tr("{n} purchases or more.", n=rules.loyal_from)
    first.metric(tr("Loyal clients"), text.count(loyalty.loyal), border=True, help=about)
    second.metric(tr("Share of all clients"), text.percent(loyalty.share_of_clients), border=True)
    third.metric(tr("Share of revenue"), text.percent(loyalty.share_of_revenue), border=True)
    left, right = st.columns(2)
    with left:
        _heading(view, tr("Revenue by segment"), "segments", "segment")
        view.chart(_bars(view, segments, "segment"), "segments", alt=tr("Bar chart of revenue by segment"))
    with right:
        level = (
            f"CASE WHEN spent >= {rules.premium_from} THEN 'Premium' "
            f"WHEN spent >= {rules.standard_from} THEN 'Standard' ELSE 'Economy' END"
        )
        _heading(view, tr("Revenue by level of spending"), "spending", level)
        view.chart(_bars(view, spending, "segment_depense"), "spending", alt=tr("Bar chart of spending levels"))
        st.caption(
            tr(
                "Premium from {premium}, Standard from {standard} spent in all, else Economy.",
                premium=text.markdown(view.money(rules.premium_from)),
                standard=text.markdown(view.money(rules.standard_from)),
            )
        )
    view.as_table(
        lambda: [
            {
                tr("Group"): text.cell(row[name]),
                in_words("revenue"): row["revenue"],
                in_words("sales"): row["sales"],
                in_words("clients"): row["clients"],
            }
            for rows, name in ((segments, "segment"), (spending, "segment_depense"))
            for row in rows
        ],
        "loyalty",
        money={in_words("revenue"): view.settings.page.currency},
    )
    _heading(view, tr("Best clients"), "best-clients", "client_id, client_nom", " DESC\nLIMIT 20")
    view.table(
        [
            {
                tr("Client"): row["client_id"],
                tr("Name"): text.cell(row["client_nom"]),
                view.page.label("pays").one: text.cell(row["pays"]),
                view.page.label("segment").one: text.cell(row["segment"]),
                tr("Purchases"): row["sales"],
                in_words("revenue"): row["revenue"],
                in_words("average"): row["average"],
                tr("Last day"): row["last_day"],
            }
            for row in best
        ],
        "best-clients",
        money=(in_words("revenue"), in_words("average")),
        formats={tr("Client"): "%d"},
    )


def _heading(view: View, title: str, key: str, group: str, order: str = " DESC") -> None:
    """A heading with its help. `group`: SQL over a client with what it spent (`spent`) in all its purchases."""
    clients = (
        "SELECT client_id, client_nom, pays, segment, SUM(montant) AS spent, COUNT(*) AS bought\n"
        f"  FROM ventes_clean{explained.where(view.filters, view.stream.event)}\n"
        "  GROUP BY client_id, client_nom, pays, segment"
    )
    query = (
        f"SELECT {group} AS name, SUM(spent) AS revenue, SUM(bought) AS sales, COUNT(DISTINCT client_id) AS clients\n"
        f"FROM ({clients})\nGROUP BY {group}\nORDER BY revenue{order}"
    ).replace("client_id, client_nom AS name", "client_id, client_nom")
    about = tr("Revenue, sales and clients: exact sums over the clean sales, by client with all that it bought.")
    help_text.heading(view, title, key, about, view.answered_by(CLIENTS), query)


def _bars(view: View, rows: list[Row], name: str) -> charts.Figure:
    currency = view.settings.page.currency
    hover = [
        f"<b>{text.plotly(row[name], 60)}</b><br>{in_words('revenue')} {text.plotly(view.money(row['revenue']), 60)}"
        f"<br>{text.count(row['sales'])} {in_words('sales').lower()}"
        f"<br>{text.count(row['clients'])} {in_words('clients').lower()}"
        for row in rows
    ]
    return charts.bars(
        [row[name] for row in rows],
        [float(row["revenue"]) for row in rows],
        hover,
        f"{in_words('revenue')} ({text.plotly(currency)})",
        charts.money_axis(currency),
        beside(view, Sum("revenue", "montant"), [row["revenue"] for row in rows], sum(row["revenue"] for row in rows)),
    )


def _all(view: View) -> tuple[list[Row], list[Row], Loyalty, list[Row]]:
    rules = view.settings.rules
    with view.sums(CLIENTS) as con:
        return (
            segments_of(con),
            spending_of(con, rules.standard_from, rules.premium_from),
            loyalty_of(con, rules.loyal_from),
            best_clients(con),
        )


# -- figures, from the view `clients` -----------------------------------------------------------


def segments_of(con: duckdb.DuckDBPyConnection) -> list[Row]:
    """segment, revenue, sales, clients; by revenue, largest first."""
    return _rows(
        con,
        "SELECT segment, sum(revenue) AS revenue, sum(sales)::BIGINT AS sales, count(DISTINCT client_id) AS clients "
        "FROM clients GROUP BY segment ORDER BY revenue DESC, segment",
    )


def spending_of(con: duckdb.DuckDBPyConnection, standard_from: Decimal, premium_from: Decimal) -> list[Row]:
    """Clients by their total spending: segment_depense, clients, revenue, sales. Always three rows, Premium first.

    The two thresholds have at most 6 decimals.
    """
    return _rows(
        con,
        "WITH each AS (SELECT client_id, sum(revenue) AS spent, sum(sales) AS bought FROM clients GROUP BY 1), "
        "named AS (SELECT *, CASE WHEN spent >= CAST(? AS DECIMAL(34, 6)) THEN 'Premium' "
        "WHEN spent >= CAST(? AS DECIMAL(34, 6)) THEN 'Standard' ELSE 'Economy' END AS segment_depense FROM each) "
        "SELECT s.segment_depense, count(client_id) AS clients, coalesce(sum(spent), 0) AS revenue, "
        "coalesce(sum(bought), 0)::BIGINT AS sales "
        "FROM (VALUES ('Premium', 1), ('Standard', 2), ('Economy', 3)) AS s(segment_depense, rank) "
        "LEFT JOIN named USING (segment_depense) GROUP BY s.segment_depense, rank ORDER BY rank",
        f"{premium_from:f}",  # as text: DuckDB reads Decimal("5E+2") as 5.00
        f"{standard_from:f}",
    )


@dataclass(frozen=True)
class Loyalty:
    """Clients with at least `loyal_from` purchases, and their revenue."""

    clients: int
    loyal: int
    revenue: Decimal
    loyal_revenue: Decimal

    @property
    def share_of_clients(self) -> Decimal | None:
        """A fraction; None without clients."""
        return share(self.loyal, self.clients)

    @property
    def share_of_revenue(self) -> Decimal | None:
        """A fraction; None without revenue."""
        return share(self.loyal_revenue, self.revenue)


def loyalty_of(con: duckdb.DuckDBPyConnection, loyal_from: int) -> Loyalty:
    (row,) = _rows(
        con,
        "WITH each AS (SELECT sum(sales) AS bought, sum(revenue) AS spent FROM clients GROUP BY client_id) "
        "SELECT count(*) AS clients, count(*) FILTER (bought >= ?) AS loyal, coalesce(sum(spent), 0) AS revenue, "
        "coalesce(sum(spent) FILTER (bought >= ?), 0) AS loyal_revenue FROM each",
        loyal_from,
        loyal_from,
    )
    return Loyalty(row["clients"], row["loyal"], Decimal(row["revenue"]), Decimal(row["loyal_revenue"]))


def best_clients(con: duckdb.DuckDBPyConnection, limit: int = 20) -> list[Row]:
    """client_id, client_nom, pays, segment, sales, revenue, last_day, average; by revenue."""
    rows = _rows(
        con,
        "SELECT client_id, client_nom, pays, segment, sum(sales)::BIGINT AS sales, sum(revenue) AS revenue, "
        f"max(jour) AS last_day FROM clients GROUP BY ALL ORDER BY revenue DESC, client_id LIMIT {limit:d}",
    )
    return [{**row, "average": mean(row["revenue"], row["sales"])} for row in rows]


def _rows(con: duckdb.DuckDBPyConnection, query: str, *values: Any) -> list[Row]:
    rows: list[Row] = con.execute(query, list(values)).to_arrow_table().to_pylist()
    return rows
