"""The expected content of Silver, computed row by row in plain Python from Bronze rows: slow, simple, without SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pyarrow as pa

from harness.shipped import EVENT_FIELDS

Row = dict[str, Any]
CENT = Decimal("0.01")
CONTENT = (*(field for field in EVENT_FIELDS if field != "vente_id"), "_extra")


def split(bronze: pa.Table) -> tuple[list[Row], list[Row]]:
    """(clean, rejected) of Bronze rows, in the order of their offsets; each with its final motifs."""
    first: dict[int, Row] = {}
    clean, rejected = [], []
    order = ("kafka_ts", "topic_id", "partition", "offset")
    for row in sorted(bronze.to_pylist(), key=lambda row: [row[name] for name in order]):
        earlier = first.get(row["vente_id"])
        if row["motifs"]:
            rejected.append(row)
        elif earlier is None:
            first[row["vente_id"]] = row
            clean.append(row)
        else:
            same = all(row[name] == earlier[name] for name in CONTENT)
            rejected.append(row | {"motifs": ["duplicate" if same else "conflict"]})
    return clean, rejected


def rollups(clean: Sequence[Row]) -> dict[str, list[Row]]:
    """The five aggregate tables of clean rows (default thresholds), as lists of rows."""
    clients = _grouped(clean, ("client_id", "client_nom", "pays", "segment", "jour"))
    return {
        "ventes_aggreges": [
            key
            | {
                "total_quantite": _sum(rows, "quantite"),
                "total_depense": _sum(rows, "montant"),
                "nb_achats": len(rows),
                "panier_moyen": _average(rows),
                "achat_min": min(row["montant"] for row in rows),
                "achat_max": max(row["montant"] for row in rows),
                "nb_produits_distincts": len({row["produit_id"] for row in rows}),
                "est_client_fidele": len(rows) >= 2,
                "segment_depense": _spending(_sum(rows, "montant")),
                "produits": sorted({row["produit_id"] for row in rows}),
            }
            for key, rows in clients
        ],
        "ventes_par_pays": [key | _totals(rows) for key, rows in _grouped(clean, ("pays",))],
        "ventes_par_segment": [
            key | _totals(rows) | {"countries_count": len({row["pays"] for row in rows})}
            for key, rows in _grouped(clean, ("segment",))
        ],
        "ventes_par_produit": [
            key
            | {
                "quantite_totale": _sum(rows, "quantite"),
                "revenue_total": _sum(rows, "montant"),
                "total_transactions": len(rows),
            }
            for key, rows in _grouped(clean, ("produit_id", "produit_nom", "categorie"))
        ],
        "ventes_par_minute": [
            key
            | {
                "total_transactions": len(rows),
                "revenue_total": _sum(rows, "montant"),
                "items_sold": _sum(rows, "quantite"),
            }
            for key, rows in _grouped(
                [row | {"minute": row["timestamp"].replace(second=0, microsecond=0)} for row in clean], ("minute",)
            )
        ],
    }


def _totals(rows: Sequence[Row]) -> Row:
    return {
        "total_transactions": len(rows),
        "revenue_total": _sum(rows, "montant"),
        "transaction_moyenne": _average(rows),
        "items_sold": _sum(rows, "quantite"),
        "unique_customers": len({row["client_id"] for row in rows}),
    }


def _grouped(rows: Iterable[Row], key: Sequence[str]) -> list[tuple[Row, list[Row]]]:
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in key)].append(row)
    return [(dict(zip(key, values, strict=True)), members) for values, members in groups.items()]


def _sum(rows: Sequence[Row], name: str) -> Any:
    return sum((row[name] for row in rows), start=type(rows[0][name])(0))


def _average(rows: Sequence[Row]) -> Decimal:
    return (Decimal(_sum(rows, "montant")) / len(rows)).quantize(CENT, ROUND_HALF_UP)


def _spending(total: Decimal) -> str:
    return "Premium" if total >= 500 else "Standard" if total >= 100 else "Economy"
