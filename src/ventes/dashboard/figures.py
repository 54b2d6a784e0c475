"""The numbers of the page: functions over DuckDB relations, no Streamlit.

Sums of money are exact decimals; means and shares are those of contract/arithmetic.py. Each function reads the views
that `query_sources.narrowed` makes, whose rows are sums (keys may repeat):

    clients    client_id, client_nom, pays, segment, jour, total_quantite, total_depense, nb_achats
    products   produit_id, produit_nom, categorie, quantite_totale, revenue_total, total_transactions
    minutes    minute (UTC), total_transactions, revenue_total, items_sold
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from ventes.contract.arithmetic import mean, mean_sql, share
from ventes.contract.dialect import fragment

Row = dict[str, Any]

POINTS = 400
"""Points per line at most: more than a screen can show."""
STEPS = (1, 5, 15, 60, 360, 1440, 10080)
"""Minutes between two points; the smallest value that gives at most POINTS points is used."""


@dataclass(frozen=True)
class Headline:
    """Sums over the sales that pass the filters. `revenue` in the currency's units, exact."""

    sales: int
    clients: int
    products: int
    revenue: Decimal

    @property
    def average(self) -> Decimal | None:
        """Of a sale, half up to cents; None for no sale."""
        return mean(self.revenue, self.sales)


_AVERAGE = fragment(mean_sql("revenue", "sales")).sql("duckdb")
"""Of a sale, from the columns revenue and sales."""


def headline(con: duckdb.DuckDBPyConnection, day: date) -> tuple[Headline, Headline]:
    """The figures of all sales, and those of one business day (without products: no roll-up has them by day)."""
    row = _row(
        con,
        "SELECT coalesce(sum(nb_achats), 0)::BIGINT, count(DISTINCT client_id), coalesce(sum(total_depense), 0), "
        "coalesce(sum(nb_achats) FILTER (jour = $day), 0)::BIGINT, count(DISTINCT client_id) FILTER (jour = $day), "
        "coalesce(sum(total_depense) FILTER (jour = $day), 0), "
        "(SELECT count(DISTINCT produit_id) FROM products) FROM clients",
        {"day": day},
    )
    return Headline(row[0], row[1], row[6], Decimal(row[2])), Headline(row[3], row[4], 0, Decimal(row[5]))


def countries(con: duckdb.DuckDBPyConnection) -> pa.Table:
    """pays, revenue, sales, items, customers, average; by revenue, largest first."""
    return con.execute(_GROUPED.format(column="pays", more="", average=_AVERAGE)).to_arrow_table()


def segments(con: duckdb.DuckDBPyConnection) -> pa.Table:
    """segment, revenue, sales, items, customers, average, countries; by revenue, largest first."""
    more = ", count(DISTINCT pays) AS countries"
    return con.execute(_GROUPED.format(column="segment", more=more, average=_AVERAGE)).to_arrow_table()


_GROUPED = """
WITH sums AS (
  SELECT {column}, sum(total_depense) AS revenue, sum(nb_achats)::BIGINT AS sales, sum(total_quantite)::BIGINT AS items,
         count(DISTINCT client_id) AS customers{more}
  FROM clients GROUP BY {column}
)
SELECT *, {average} AS average FROM sums ORDER BY revenue DESC, {column}
"""


def products(con: duckdb.DuckDBPyConnection, limit: int = 10, by: str = "quantity") -> pa.Table:
    """produit_id, produit_nom, categorie, quantity, revenue, sales of the best `limit`; `by` quantity or revenue."""
    if by not in ("quantity", "revenue"):
        raise ValueError(f"products by {by!r}")
    return con.execute(
        "SELECT produit_id, produit_nom, categorie, sum(quantite_totale)::BIGINT AS quantity, "
        "sum(revenue_total) AS revenue, sum(total_transactions)::BIGINT AS sales "
        f"FROM products GROUP BY ALL ORDER BY {by} DESC, produit_id, produit_nom LIMIT {limit:d}"
    ).to_arrow_table()


@dataclass(frozen=True)
class Timeline:
    """`points`: start (business zone, naive), sales, revenue, cumulative (sales so far), in time order."""

    points: pa.Table
    step_minutes: int


def timeline(con: duckdb.DuckDBPyConnection, zone: str, points: int = POINTS) -> Timeline:
    """Sales over time, as fine as at most `points` points allow.

    Offsets of zones are multiples of 15 minutes, so minutes are summed to quarters of an hour before the expensive
    conversion to the zone.
    """
    first, last = _row(con, "SELECT min(minute), max(minute) FROM minutes")
    span = (last - first).total_seconds() / 60 if first else 0
    step = next((step for step in STEPS if span / step < points), STEPS[-1])
    rows = con.execute(
        f"WITH coarse AS (SELECT time_bucket(INTERVAL {math.gcd(step, 15)} MINUTE, minute) AS minute, "
        "sum(total_transactions) AS sales, sum(revenue_total) AS revenue FROM minutes GROUP BY 1), "
        f"buckets AS (SELECT time_bucket(INTERVAL {step} MINUTE, timezone(?, minute)) AS start, "
        "sum(sales)::BIGINT AS sales, sum(revenue) AS revenue FROM coarse GROUP BY 1) "
        "SELECT *, (sum(sales) OVER (ORDER BY start))::BIGINT AS cumulative FROM buckets ORDER BY start",
        [zone],
    ).to_arrow_table()
    return Timeline(rows, step)


def spending(con: duckdb.DuckDBPyConnection, standard_from: Decimal, premium_from: Decimal) -> pa.Table:
    """Clients by their total spending: segment_depense, clients, revenue, sales. Always three rows, Premium first.

    The two thresholds have at most 6 decimals.
    """
    return con.execute(
        "WITH each AS "
        "(SELECT client_id, sum(total_depense) AS spent, sum(nb_achats) AS bought FROM clients GROUP BY 1), "
        "named AS (SELECT *, CASE WHEN spent >= CAST(? AS DECIMAL(34, 6)) THEN 'Premium' "
        "WHEN spent >= CAST(? AS DECIMAL(34, 6)) THEN 'Standard' ELSE 'Economy' END AS segment_depense FROM each) "
        "SELECT s.segment_depense, count(client_id) AS clients, coalesce(sum(spent), 0) AS revenue, "
        "coalesce(sum(bought), 0)::BIGINT AS sales "
        "FROM (VALUES ('Premium', 1), ('Standard', 2), ('Economy', 3)) AS s(segment_depense, rank) "
        "LEFT JOIN named USING (segment_depense) GROUP BY s.segment_depense, rank ORDER BY rank",
        [f"{premium_from:f}", f"{standard_from:f}"],  # as text: DuckDB reads Decimal("5E+2") as 5.00
    ).to_arrow_table()


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


def loyalty(con: duckdb.DuckDBPyConnection, loyal_from: int) -> Loyalty:
    clients, loyal, revenue, loyal_revenue = _row(
        con,
        "WITH each AS (SELECT sum(nb_achats) AS bought, sum(total_depense) AS spent FROM clients GROUP BY client_id) "
        "SELECT count(*), count(*) FILTER (bought >= ?), coalesce(sum(spent), 0), "
        "coalesce(sum(spent) FILTER (bought >= ?), 0) FROM each",
        [loyal_from, loyal_from],
    )
    return Loyalty(clients, loyal, Decimal(revenue), Decimal(loyal_revenue))


def best_clients(con: duckdb.DuckDBPyConnection, limit: int = 20) -> pa.Table:
    """client_id, client_nom, pays, segment, sales, revenue, average, last_day; by revenue."""
    return con.execute(
        "WITH sums AS (SELECT client_id, client_nom, pays, segment, sum(nb_achats)::BIGINT AS sales, "
        "sum(total_depense) AS revenue, max(jour) AS last_day FROM clients GROUP BY ALL "
        f"ORDER BY revenue DESC, client_id LIMIT {limit:d}) "
        f"SELECT * EXCLUDE (last_day), {_AVERAGE} AS average, last_day FROM sums ORDER BY revenue DESC, client_id"
    ).to_arrow_table()


@dataclass(frozen=True)
class Reconciliation:
    """messages = clean + duplicates + conflicts + invalid + waiting (taken by Bronze, not yet by Silver)."""

    messages: int
    clean: int
    duplicates: int
    conflicts: int
    invalid: int

    @property
    def rejected(self) -> int:
        return self.duplicates + self.conflicts + self.invalid

    @property
    def waiting(self) -> int:
        return self.messages - self.clean - self.rejected


def reconciliation(messages: int, clean: int, kinds: pa.Table) -> Reconciliation:
    """`kinds`: kind (duplicate, conflict, invalid), messages; keys may repeat."""
    sums = {"duplicate": 0, "conflict": 0, "invalid": 0}
    for row in kinds.to_pylist():
        sums[row["kind"]] += row["messages"]
    return Reconciliation(messages, clean, sums["duplicate"], sums["conflict"], sums["invalid"])


def reasons(con: duckdb.DuckDBPyConnection) -> pa.Table:
    """motif, messages; most frequent first. From the view `motifs` (motif, minute, messages)."""
    return con.execute(
        "SELECT motif, sum(messages)::BIGINT AS messages FROM motifs GROUP BY ALL ORDER BY messages DESC, motif"
    ).to_arrow_table()


def reasons_over_time(con: duckdb.DuckDBPyConnection, zone: str, points: int = 120, top: int = 6) -> pa.Table:
    """start (business zone, naive), motif (rare ones as 'other'), messages. From the view `motifs`."""
    first, last = _row(con, "SELECT min(minute), max(minute) FROM motifs")
    span = (last - first).total_seconds() / 60 if first else 0
    step = next((step for step in STEPS if span / step < points), STEPS[-1])
    return con.execute(
        f"WITH ranked AS (SELECT motif FROM motifs GROUP BY 1 ORDER BY sum(messages) DESC, 1 LIMIT {top:d}) "
        f"SELECT time_bucket(INTERVAL {step} MINUTE, timezone(?, minute)) AS start, "
        "CASE WHEN motif IN (FROM ranked) THEN motif ELSE 'other' END AS motif, sum(messages)::BIGINT AS messages "
        "FROM motifs GROUP BY ALL ORDER BY start, motif",
        [zone],
    ).to_arrow_table()


@dataclass(frozen=True)
class Trend:
    """One value per slice of time, oldest first, for the small lines beside the figures. Empty without sales.

    Money is in floats: it only gives the height of a line.
    """

    sales: list[int]
    clients: list[int]
    products: list[int]
    revenue: list[float]
    average: list[float]


def trend(recent: pa.Table, slices: int = 24) -> Trend:
    """Equal slices of the time of `recent` (kafka_ts, client_id, produit_id, montant)."""
    times = recent["kafka_ts"].cast(pa.int64()).to_numpy() // 1000
    if not len(times) or (span := int(times.max() - times.min())) < 1000:
        return Trend([], [], [], [], [])
    place = np.minimum(slices - 1, (times - times.min()) * slices // span)
    sales = np.bincount(place, minlength=slices)
    revenue = np.bincount(place, recent["montant"].cast(pa.float64()).to_numpy(), slices)

    def different(column: str) -> list[int]:
        pairs = np.unique(np.stack([place, recent[column].to_numpy()]), axis=1)
        counts: list[int] = np.bincount(pairs[0], minlength=slices).tolist()
        return counts

    average = np.divide(revenue, sales, out=np.zeros(slices), where=sales > 0)
    return Trend(sales.tolist(), different("client_id"), different("produit_id"), revenue.tolist(), average.tolist())


def delays(con: duckdb.DuckDBPyConnection, zone: str, points: int = 120) -> pa.Table:
    """start (business zone, naive) and p50/p95 in seconds of three ways, from the view `recent`.

    event_p50, event_p95 (event → Kafka), bronze_p50, … (Kafka → Bronze), silver_p50, … (Bronze → Silver), and
    total_p50, total_p95 (Kafka → Silver), with sales.
    """
    first, last = _row(con, "SELECT min(kafka_ts), max(kafka_ts) FROM recent")
    span = (last - first).total_seconds() / 60 if first else 0
    step = next((step for step in STEPS if span / step < points), STEPS[-1])
    spans = {
        "event": "epoch_us(kafka_ts) - epoch_us(horodatage)",
        "bronze": "epoch_us(date_ingestion) - epoch_us(kafka_ts)",
        "silver": "epoch_us(date_traitement) - epoch_us(date_ingestion)",
        "total": "epoch_us(date_traitement) - epoch_us(kafka_ts)",
    }
    columns = ", ".join(
        f"quantile_cont({sql}, 0.5) / 1e6 AS {name}_p50, quantile_cont({sql}, 0.95) / 1e6 AS {name}_p95"
        for name, sql in spans.items()
    )
    return con.execute(
        f"SELECT time_bucket(INTERVAL {step} MINUTE, timezone(?, kafka_ts)) AS start, {columns}, count(*) AS sales "
        "FROM recent GROUP BY 1 ORDER BY 1",
        [zone],
    ).to_arrow_table()


def rows_of(table: pa.Table) -> list[Row]:
    """The rows as dictionaries."""
    listed: list[Row] = table.to_pylist()
    return listed


def _row(
    con: duckdb.DuckDBPyConnection, query: str, values: list[Any] | dict[str, Any] | None = None
) -> tuple[Any, ...]:
    row = con.execute(query, values or []).fetchone()
    assert row is not None  # an aggregate without GROUP BY has one row
    return row
