"""A lake with consistent tables, written in seconds without Kafka or Spark: for tests of the page and benches.

SQL derives the sales from hashes of their number, so the same arguments give the same lake. Silver and the
roll-ups come from the pipeline's own SQL. `bench/make_lake.py` is its command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.shipped import ALL, BRONZE, CLEAN, REJETS, SILVER_APP
from harness.silver_run import publisher_of
from ventes.config import Settings
from ventes.deltalog.commit import append
from ventes.deltalog.database import connect
from ventes.deltalog.log import Log
from ventes.engines.lot_sql import lot_sql
from ventes.lake import tables
from ventes.lake.rollup_partials import partials_of_rows

COUNTRIES = (
    "France", "Allemagne", "Espagne", "Italie", "Belgique", "Suisse",
    "Portugal", "Pays-Bas", "Maroc", "Canada", "Sénégal", "Tunisie",
)  # fmt: skip
SEGMENTS = ("Particulier", "Professionnel", "Entreprise")
CATEGORIES = ("Informatique", "Maison", "Sport", "Mode", "Livres", "Jardin")
PRODUCTS = (
    ("Casque audio", 59.99), ("Cafetière à piston", 34.50), ("Tapis de yoga", 24.90), ("Écharpe en laine", 29.00),
    ("Roman policier", 8.90), ("Sécateur", 17.40), ("Clavier mécanique", 89.00), ("Bouilloire inox", 39.90),
    ("Corde à sauter", 9.90), ("Ceinture en cuir", 25.00), ("Atlas du monde", 27.50), ("Arrosoir 10 L", 14.20),
    ("Souris sans fil", 22.90), ("Poêle 28 cm", 31.00), ("Gourde isotherme", 18.50), ("Bonnet côtelé", 15.00),
    ("Carnet quadrillé", 4.90), ("Gants de jardin", 7.60), ("Câble USB-C", 9.40), ("Lampe de bureau", 42.00),
    ("Ballon de football", 19.90), ("Chaussettes (lot de 3)", 12.00), ("Guide de voyage", 16.90),
    ("Graines de tomate", 3.20),
)  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script>",
    "<b>gras</b> & <a href='javascript:alert(1)'>x</a>",
    "=cmd|' /C calc'!A0",
    "[x](javascript:alert(1))",
    "$\\href{javascript:alert(1)}{x}$",
    "\u202egnp.exe\u202c",
    "👩‍👩‍👧‍👦 famille",
    "N" * 200,
    ":red[rouge] :smile: `code` | a_b_c *d*",
    "%{x} %{customdata[0]}",
    "-1+1",
    "@SUM(A1)",
    "\tTAB",
)
"""Names that must stay text, although a renderer or a spreadsheet could interpret them."""
TOPIC = "sample-topic"
APP = "sample"
CHUNK = 1_000_000


@dataclass(frozen=True)
class Shape:
    """The distribution of the sales."""

    clients: int = 300
    days: float = 30.0
    bad_percent: float = 2.0
    hostile: Sequence[str] = ()
    random_ids: bool = False
    """Ids of 53 random bits; otherwise they rise with time."""
    countries: int = len(COUNTRIES)
    """More than there are names for: "Pays 1", "Pays 2", …"""


def make(
    settings: Settings, sales: int, shape: Shape | None = None, now: datetime | None = None, lots: int = 8
) -> None:
    """Add `sales` messages, ending at `now`, in about `lots` commits to every table of the lake of `settings`."""
    shape = shape or Shape()
    end = now or datetime.now(timezone.utc)
    for table in ALL:
        tables.ensure(settings, table)
    first = next_offset(settings)
    start = end - timedelta(days=shape.days)
    step = min(CHUNK, max(1, -(-sales // lots)))
    for done in range(0, sales, step):
        count = min(step, sales - done)
        _take(settings, _messages(first + done, count, done, sales, start, end, shape))


def add(settings: Settings, rows: pa.Table) -> None:
    """Add Bronze rows (BRONZE's schema) and the Silver rows and roll-ups that result from them."""
    _take(settings, rows)


def add_to_bronze(settings: Settings, rows: pa.Table) -> None:
    """Add Bronze rows only, in one commit: work for a Silver job."""
    append(Log.open(tables.path_of(settings, BRONZE)), BRONZE, rows, APP, _lot(settings))


def messages(
    first: int, count: int, end: datetime, shape: Shape | None = None, seconds: float | None = None
) -> pa.Table:
    """`count` Bronze rows from offset `first`, of the last `seconds` before `end` (default: one per second)."""
    start = end - timedelta(seconds=count if seconds is None else seconds)
    return _messages(first, count, 0, count, start, end, shape or Shape())


def next_offset(settings: Settings) -> int:
    """The offset after the last one in Bronze."""
    snapshot = tables.snapshot(settings, BRONZE)
    if not snapshot.files:
        return 0
    with connect() as con:
        return int(con.sql(f'SELECT max("offset") + 1 FROM ({snapshot.select()})').fetchall()[0][0])


def _messages(first: int, count: int, done: int, total: int, start: datetime, end: datetime, shape: Shape) -> pa.Table:
    catalogue = pa.table(
        {
            "p": list(range(1, len(PRODUCTS) + 1)),
            "produit_nom": [name for name, _ in PRODUCTS],
            "cents": [round(price * 100) for _, price in PRODUCTS],
            "categorie": [CATEGORIES[i % len(CATEGORIES)] for i in range(len(PRODUCTS))],
        }
    )
    hostile = list(shape.hostile)
    place = f"floor({shape.countries} * pow(u(c, 5), 1.8))::BIGINT"
    country = f"countries[1 + {place}]" if shape.countries <= len(COUNTRIES) else f"'Pays ' || (1 + {place})"
    ids = "1 + CAST(hash(i * 31 + 9) % 9007199254740991 AS BIGINT)" if shape.random_ids else "i + 1"
    with connect(1500) as con:
        con.register("catalogue", catalogue)
        con.execute(
            "CREATE TEMP TABLE names AS "
            "SELECT ?::VARCHAR[] AS countries, ?::VARCHAR[] AS segments, ?::VARCHAR[] AS hostile",
            [list(COUNTRIES), list(SEGMENTS), hostile],
        )
        con.execute("CREATE TEMP MACRO u(i, salt) AS (hash(i * 31 + salt) % 1000003) / 1000003.0")
        span = (end - start).total_seconds()
        waves = max(1.0, shape.days)
        return (
            con.execute(
                f"""
            WITH drawn AS (
              SELECT i, least({shape.clients}, 1 + floor({shape.clients} * pow(u(i, 1), 2.6)))::BIGINT AS c,
                     least({len(PRODUCTS)}, 1 + floor({len(PRODUCTS)} * pow(u(i, 2), 1.5)))::BIGINT AS p,
                     CASE WHEN u(i, 3) < 0.75 THEN 1 WHEN u(i, 3) < 0.95 THEN 2 ELSE 3 END::BIGINT AS q,
                     u(i, 4) * 100 < {shape.bad_percent} AS bad, ({done} + i - {first} + 1) / {total}::DOUBLE AS x
              FROM (SELECT unnest(range({first}, {first + count})) AS i)
            ), placed AS (
              SELECT *, TIMESTAMPTZ '{start.isoformat()}'
                + to_microseconds(CAST(1e6 * {span} * (x - 0.7 * sin(2 * pi() * {waves} * x) / (2 * pi() * {waves}))
                                       AS BIGINT)) AS t
              FROM drawn
            ), sales AS (
              SELECT {ids} AS vente_id, c AS client_id, p AS produit_id, t AS "timestamp", q AS quantite,
                     CAST(cents * q * CASE WHEN bad THEN -1 ELSE 1 END / 100 AS DECIMAL(18, 2)) AS montant,
                     'Client ' || lpad(CAST(c AS VARCHAR), 4, '0') AS client_nom,
                     CASE WHEN {len(hostile)} > 0 AND i % 7 = 0 THEN hostile[1 + (i // 7) % {max(1, len(hostile))}]
                          ELSE produit_nom END AS produit_nom,
                     categorie,
                     CASE WHEN {len(hostile)} > 0 AND i % 5 = 0 THEN hostile[1 + (i // 5) % {max(1, len(hostile))}]
                          ELSE {country} END AS pays,
                     segments[1 + (hash(c) % {len(SEGMENTS)})::BIGINT] AS segment, bad, i, t
              FROM placed JOIN catalogue USING (p), names
            )
            SELECT vente_id, client_id, produit_id, "timestamp", quantite, montant, client_nom, produit_nom, categorie,
                   pays, segment, CASE WHEN bad THEN ['negative:montant'] ELSE []::VARCHAR[] END AS motifs,
                   NULL::VARCHAR AS _extra, '{TOPIC}' AS topic_id, 0::INTEGER AS "partition", i AS "offset",
                   t + INTERVAL 150 MILLISECOND + to_microseconds((u(i, 6) * 80000)::BIGINT) AS kafka_ts,
                   t + INTERVAL 900 MILLISECOND + to_microseconds((u(i, 7) * 900000)::BIGINT) AS date_ingestion,
                   encode(CAST(client_id AS VARCHAR)) AS "key",
                   encode(CAST(json_object('vente_id', vente_id, 'client_id', client_id, 'produit_id', produit_id,
                     'timestamp', strftime("timestamp", '%Y-%m-%dT%H:%M:%S.%fZ'), 'quantite', quantite,
                     'montant', montant, 'client_nom', client_nom, 'produit_nom', produit_nom, 'categorie', categorie,
                     'pays', pays, 'segment', segment) AS VARCHAR)) AS value,
                   NULL::STRUCT("key" VARCHAR, value BLOB)[] AS headers, CAST("timestamp" AS DATE) AS jour
            FROM sales ORDER BY i
            """
            )
            .to_arrow_table()
            .cast(BRONZE.schema)
        )


def _take(settings: Settings, bronze: pa.Table) -> None:
    """One lot: Bronze, then rejets and clean, split as in the Silver job."""
    version = _lot(settings)
    append(Log.open(tables.path_of(settings, BRONZE)), BRONZE, bronze, APP, version)
    # as the job does: the row was read when Bronze took it, and judged a little later
    taken: dict[str, Any] = {"processed_at": datetime.now(timezone.utc), "lot": version}
    with connect(1500) as con:
        con.register("judged_rows", bronze)
        rejets = con.execute(lot_sql(settings.stream, "rejected"), taken).to_arrow_table().cast(REJETS.schema)
        clean = con.execute(lot_sql(settings.stream, "clean"), {"watermark_us": 600_000_000, **taken}).to_arrow_table()
    clean = _treated(clean.cast(CLEAN.schema))
    append(Log.open(tables.path_of(settings, REJETS)), REJETS, _treated(rejets), APP, version)
    append(Log.open(tables.path_of(settings, CLEAN)), CLEAN, clean, SILVER_APP, version)
    publisher_of(settings).publish(_partials(clean, settings), version)


def _treated(rows: pa.Table) -> pa.Table:
    """`rows` with date_traitement a second or two after date_ingestion, so that delays look like a live pipeline's."""
    with connect(1500) as con:
        con.register("lot_rows", rows)
        return (
            con.execute(
                'SELECT * REPLACE (date_ingestion + to_microseconds(1100000 + (hash("offset") % 1200000)::BIGINT) '
                'AS date_traitement) FROM lot_rows ORDER BY "offset"'
            )
            .to_arrow_table()
            .cast(rows.schema)
        )


def _lot(settings: Settings) -> int:
    return Log.open(tables.path_of(settings, BRONZE)).transactions.get(APP, 0) + 1


def _partials(clean: pa.Table, settings: Settings) -> dict[str, pa.Table]:
    """The partials of the lot."""
    with connect(1500) as con:
        return partials_of_rows(con, settings, clean)


def settings_at(folder: Path, maintenance: dict[str, object] | None = None, **page: object) -> Settings:
    """Settings of a separate pipeline under `folder`."""
    return Settings(
        config_file=folder / "ventes.toml",
        paths={"lake": folder / "delta", "logs": folder, "state": folder / "state"},  # type: ignore[arg-type]
        page=page,  # type: ignore[arg-type]
        maintenance=maintenance or {},  # type: ignore[arg-type]
        kafka={"port": 19890, "controller_port": 19891},  # type: ignore[arg-type]
    )
