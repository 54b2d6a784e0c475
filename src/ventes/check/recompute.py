"""The expected content of the tables, as plain DuckDB SQL over the judged messages, for `verify`.

On purpose this is not the jobs' SQL: duplicates are found by one window over all messages instead of lot by lot,
the roll-ups are GROUP BYs over all sales instead of sums of partials, and means are integer divisions of cents.

Relations it reads: judged (BRONZE columns without raw bytes), placed (position → lot, time), bronze, ventes_clean,
ventes_rejets. Relations it makes: `expected`, and `expected_<table>` with every column of the table but NOT_COMPARED.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from ventes.config import Rules
from ventes.contract.tables import AGGREGES, BRONZE, CLEAN, EVENT_FIELDS, PAR_MINUTE, PAR_PAYS, PAR_PRODUIT, PAR_SEGMENT
from ventes.contract.tables import REJETS as REJECTS

NOT_COMPARED: Mapping[str, Mapping[str, str]] = {
    BRONZE.name: {
        "timestamp": "read in the source zone of its time of ingestion",
        "motifs": "the verdict under the rules of its time of ingestion",
        "jour": "a day of the business zone of its time of ingestion",
        "date_ingestion": "when Bronze took the message",
        "key": "compared with the topic (I3)",
        "value": "compared with the topic (I3)",
        "headers": "compared with the topic (I3)",
        "kafka_ts": "compared with the topic (I3)",
    },
    CLEAN.name: {"date_traitement": "when Silver took the message"},
    REJECTS.name: {
        "date_traitement": "when Silver took the message",
        "value": "compared with Bronze by its hash",
    },
}
"""Table → column → why its value cannot be recomputed. Every other stored column is compared."""

_POSITION = 'topic_id, "partition", "offset"'
_CONTENT = ", ".join(f'"{name}"' for name in (*EVENT_FIELDS[1:], "_extra"))


def _money(cents: str, precision: int) -> str:
    """Whole cents as an amount."""
    return f"CAST({cents}::DECIMAL(18, 0) * 0.01::DECIMAL(2, 2) AS DECIMAL({precision}, 2))"


_UNIT_PRICE = _money("(((montant * 100)::HUGEINT * 2 + quantite) // (2 * quantite))", 12)
_MEAN_CENTS = "(((sum(montant) * 100)::HUGEINT * 2 + count(*)) // (2 * count(*)))"
_MEAN = _money(_MEAN_CENTS, 18)

MESSAGES = f"""
CREATE TABLE expected AS
WITH placed_here AS (
    -- Bronze reads a message again from Kafka where it lost it; Silver keeps the time when Bronze took it first.
    SELECT j.* REPLACE (least(j.date_ingestion, p.taken_at) AS date_ingestion), p.lot
    FROM judged j JOIN placed p USING ({_POSITION})),
valid AS (
    SELECT j.*, row({_CONTENT}) AS content,
           row_number() OVER same_id AS nth, first(row({_CONTENT})) OVER same_id AS first_content
    FROM placed_here j
    WHERE len(motifs) = 0
    WINDOW same_id AS (PARTITION BY vente_id ORDER BY lot, kafka_ts, {_POSITION}
                       ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))
SELECT * EXCLUDE (content, first_content, nth, motifs),
       CASE WHEN nth = 1 THEN []::VARCHAR[]
            WHEN content IS NOT DISTINCT FROM first_content THEN ['duplicate']
            ELSE ['conflict'] END AS motifs
FROM valid
UNION ALL BY NAME
SELECT * FROM placed_here WHERE len(motifs) > 0
"""
"""Every message that Silver has processed, with the expected verdict."""

BRONZE_FIELDS = """
CREATE TEMP VIEW expected_bronze AS
SELECT * EXCLUDE ("timestamp", motifs, jour, date_ingestion, kafka_ts) FROM judged
"""
"""Bronze's typed fields, from the raw bytes."""


def silver(watermark_minutes: int) -> str:
    """expected_ventes_clean and expected_ventes_rejets; expected_raw and stored_raw for the rejected bytes."""
    return f"""
    CREATE TEMP VIEW expected_ventes_clean AS
    SELECT vente_id, client_id, produit_id, "timestamp" AS horodatage, quantite, montant::DECIMAL(12, 2) AS montant,
           {_UNIT_PRICE} AS prix_unitaire, client_nom, produit_nom, categorie, pays, segment,
           kafka_ts - "timestamp" > INTERVAL {watermark_minutes} MINUTE AS en_retard,
           _extra, {_POSITION}, kafka_ts, date_ingestion, lot, jour
    FROM expected WHERE len(motifs) = 0;
    CREATE TEMP VIEW expected_ventes_rejets AS
    SELECT motifs, vente_id, {_POSITION}, kafka_ts, date_ingestion, lot FROM expected WHERE len(motifs) > 0;
    CREATE TEMP VIEW expected_raw AS
    SELECT b.topic_id, b."partition", b."offset", md5(b."value") AS fingerprint
    FROM bronze b SEMI JOIN ventes_rejets USING ({_POSITION});
    CREATE TEMP VIEW raw AS
    SELECT {_POSITION}, md5("value") AS fingerprint FROM ventes_rejets;
    """


JUDGED_OTHERWISE = f"""
SELECT count(*) FROM ventes_rejets r JOIN expected_ventes_rejets e USING ({_POSITION})
WHERE r.motifs IS DISTINCT FROM e.motifs
"""
"""Number of messages that are correctly in ventes_rejets, but with other reasons than expected."""


def aggregates(rules: Rules) -> str:
    """expected_<table> of the aggregate tables, and the table `sales` of all clean sales."""
    sums = "count(*) AS total_transactions, sum(montant)::DECIMAL(28, 2) AS revenue_total"
    items = "sum(quantite)::BIGINT AS items_sold"
    wider = f"{sums}, {_MEAN} AS transaction_moyenne, {items}, count(DISTINCT client_id) AS unique_customers"
    client = "client_id, client_nom, pays, segment, jour"
    return f"""
    CREATE TEMP TABLE sales AS SELECT * FROM expected_ventes_clean;
    CREATE TEMP VIEW expected_{AGGREGES.name} AS
    SELECT {client}, sum(quantite)::BIGINT AS total_quantite, sum(montant)::DECIMAL(28, 2) AS total_depense,
           count(*) AS nb_achats, {_MEAN} AS panier_moyen, min(montant) AS achat_min, max(montant) AS achat_max,
           count(DISTINCT produit_id) AS nb_produits_distincts,
           count(*) >= {rules.loyal_from} AS est_client_fidele,
           CASE WHEN sum(montant) >= {_amount(rules.premium_from)} THEN 'Premium'
                WHEN sum(montant) >= {_amount(rules.standard_from)} THEN 'Standard'
                ELSE 'Economy' END AS segment_depense,
           list_sort(list(DISTINCT produit_id)) AS produits
    FROM sales GROUP BY {client};
    CREATE TEMP VIEW expected_{PAR_PAYS.name} AS SELECT pays, {wider} FROM sales GROUP BY pays;
    CREATE TEMP VIEW expected_{PAR_SEGMENT.name} AS
    SELECT segment, {wider}, count(DISTINCT pays) AS countries_count FROM sales GROUP BY segment;
    CREATE TEMP VIEW expected_{PAR_PRODUIT.name} AS
    SELECT produit_id, produit_nom, categorie, sum(quantite)::BIGINT AS quantite_totale, {sums}
    FROM sales GROUP BY produit_id, produit_nom, categorie;
    CREATE TEMP VIEW expected_{PAR_MINUTE.name} AS
    SELECT date_trunc('minute', horodatage) AS minute, {sums}, {items} FROM sales GROUP BY 1;
    """


FIGURES = f"""
SELECT count(DISTINCT client_id), count(DISTINCT produit_id), coalesce(sum(montant), 0)::DECIMAL(28, 2),
       CASE WHEN count(*) > 0 THEN {_MEAN} END
FROM sales
"""
"""Of the table `sales` that `aggregates` makes: clients, products, revenue, average (None without a sale)."""


def _amount(value: Decimal) -> str:
    """A setting of money as an exact literal."""
    return f"'{value:f}'::DECIMAL(28, 6)"
