"""Example of a user tab: copy this file to a name without the leading `_`; the page shows it at the next refresh."""

import streamlit as st

LABEL = "Hours of the day"


def render(view):  # type: ignore[no-untyped-def]
    """`view` has the tables of this refresh; docs/dashboard.md lists what it offers."""
    st.subheader("When people buy")
    sales = view.spark.sql(
        "SELECT hour(horodatage) AS hour, COUNT(*) AS sales FROM ventes_clean GROUP BY hour(horodatage) ORDER BY hour"
    )
    st.bar_chart(sales.toPandas(), x="hour", y="sales", x_label="Hour (UTC)", y_label="Sales")
