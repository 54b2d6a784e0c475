"""The last 100 messages of Bronze, as they were sent."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ventes.contract.tables import BRONZE
from ventes.dashboard import text
from ventes.dashboard.query_sources import last_messages
from ventes.dashboard.view import View

LABEL = "Raw Data"
ROWS = 100


def render(view: View) -> None:
    st.subheader(f"Last {ROWS} records")
    search = view.text("Search these records", "search", placeholder="a name, an id, a country …")
    rows = view.shared("last", (BRONZE.name,), lambda: _rows(view))
    if not rows:
        view.nothing()
        return
    found = [row for row in rows if _matches(row, search)]
    if search:
        st.caption(f"{len(found)} of the last {len(rows)} records contain it.")
    view.table(found, "raw", money=("montant",), height=560)
    st.caption(
        "Bronze as received, newest first; a message that Silver rejects shows why under *verdict*. "
        "Filters do not apply here. Click a column to sort."
    )


def _matches(row: dict[str, Any], search: str) -> bool:
    wanted = search.casefold().strip()
    return not wanted or any(wanted in str(value).casefold() for value in row.values())


def _rows(view: View) -> list[dict[str, Any]]:
    return [
        {
            "vente_id": row["vente_id"],
            "client_id": row["client_id"],
            "produit_id": row["produit_id"],
            "montant": row["montant"],
            "quantite": row["quantite"],
            "timestamp": view.local(row["timestamp"]),
            "client_nom": text.cell(row["client_nom"]),
            "produit_nom": text.cell(row["produit_nom"]),
            "categorie": text.cell(row["categorie"]),
            "pays": text.cell(row["pays"]),
            "segment": text.cell(row["segment"]),
            "verdict": ", ".join(row["motifs"] or ["valid"]),
            "kafka_ts": view.local(row["kafka_ts"]),
            "partition": row["partition"],
            "offset": row["offset"],
            "jour": row["jour"],
            "value": text.raw(row["value"], 500),
        }
        for row in last_messages(view.snapshots, ROWS).to_pylist()
    ]
