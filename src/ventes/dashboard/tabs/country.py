"""Revenue by country."""

from __future__ import annotations

import streamlit as st

from ventes.dashboard import charts, figures, text
from ventes.dashboard.figures import Row, rows_of
from ventes.dashboard.query_sources import narrowed, tables_for
from ventes.dashboard.view import View

LABEL = "Sales by Country"


def render(view: View) -> None:
    rows = view.shared("countries", tables_for(view.filters, "clients"), lambda: _rows(view))
    if not rows:
        view.nothing()
        return
    money = view.money
    hover = [
        f"<b>{text.plotly(row['pays'], 60)}</b><br>Revenue {text.plotly(money(row['revenue']))}"
        f"<br>{row['sales']:,} sales · {row['items']:,} items<br>{row['customers']:,} clients"
        f"<br>Average {text.plotly(money(row['average']))}"
        for row in rows
    ]
    figure = charts.bars(
        [row["pays"] for row in rows[:SHOWN]],
        [float(row["revenue"]) for row in rows[:SHOWN]],
        hover[:SHOWN],
        f"Total revenue ({view.settings.page.currency})".replace("$", "&#36;"),
        charts.money_axis(view.settings.page.currency),
    )
    st.subheader("Total revenue by country")
    view.chart(figure, "country", alt="Bar chart of total revenue by country")
    if len(rows) > SHOWN:
        st.caption(f"The {SHOWN} largest of {len(rows)} countries; all of them in the table.")
    with st.expander("As a table"):
        view.table(
            [
                {
                    "Country": text.cell(row["pays"]),
                    "Revenue": row["revenue"],
                    "Sales": row["sales"],
                    "Items": row["items"],
                    "Clients": row["customers"],
                    "Average": row["average"],
                }
                for row in rows
            ],
            "country-table",
            money=("Revenue", "Average"),
        )


SHOWN = 25


def _rows(view: View) -> list[Row]:
    with narrowed(view.snapshots, view.filters, "clients") as con:
        return rows_of(figures.countries(con))
