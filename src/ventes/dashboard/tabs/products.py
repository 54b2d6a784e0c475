"""The ten products that sell best."""

from __future__ import annotations

import streamlit as st

from ventes.dashboard import charts, figures, text
from ventes.dashboard.figures import Row, rows_of
from ventes.dashboard.query_sources import narrowed, tables_for
from ventes.dashboard.view import View

LABEL = "Top 10 Products"


def render(view: View) -> None:
    by = view.choice("Ranked by", ("quantity", "revenue"), "rank")
    rows = view.shared(("products", by), tables_for(view.filters, "products"), lambda: _rows(view, by))
    if not rows:
        view.nothing()
        return
    money = view.money
    hover = [
        f"<b>{text.plotly(row['produit_nom'], 60)}</b> (product {row['produit_id']})<br>{text.plotly(row['categorie'])}"
        f"<br>{row['quantity']:,} items in {row['sales']:,} sales<br>Revenue {text.plotly(money(row['revenue']))}"
        for row in rows
    ]
    if by == "quantity":
        title, axis = "Items sold", None
    else:
        title = f"Total revenue ({view.settings.page.currency})".replace("$", "&#36;")
        axis = charts.money_axis(view.settings.page.currency)
    figure = charts.bars([row["produit_nom"] for row in rows], [float(row[by]) for row in rows], hover, title, axis)
    st.subheader(f"Best-selling products by {'volume' if by == 'quantity' else 'revenue'}")
    view.chart(figure, f"products-{by}", alt="Bar chart of the ten best-selling products")


def _rows(view: View, by: str) -> list[Row]:
    with narrowed(view.snapshots, view.filters, "products") as con:
        return rows_of(figures.products(con, by=by))
