"""What Silver should hold, as plain DuckDB SQL over the judged messages: the other opinion that `verify` compares with.

On purpose not the jobs' SQL: duplicates are found by one window over the whole history instead of lot by lot, and the
aggregates are GROUP BYs over all sales instead of sums of partial sums. Averages and unit prices are compared in whole
cents, rounded half up in integers.

Relations it reads: judged (BRONZE columns without raw bytes), placed (position → lot as stored), bronze, ventes_clean,
ventes_rejets. Relations it makes: expected, expected_<table> and stored_<table> for each comparison.
"""

from __future__ import annotations

from ventes.config import Rules
from ventes.contract.tables import EVENT_FIELDS, ROLLUPS

_CONTENT = ", ".join(f'"{name}"' for name in (*EVENT_FIELDS[1:], "_extra"))

_UNIT_CENTS = "(((montant * 100)::HUGEINT * 2 + quantite) // (2 * quantite))::BIGINT"
_MEAN_CENTS = "(((sum(montant) * 100)::HUGEINT * 2 + count(*)) // (2 * count(*)))::BIGINT"
_AVERAGES = ("panier_moyen", "transaction_moyenne")

MESSAGES = f"""
CREATE TABLE expected AS
WITH valid AS (
    SELECT j.*, p.lot, row({_CONTENT}) AS content,
           row_number() OVER same_id AS nth, first(row({_CONTENT})) OVER same_id AS first_content
    FROM judged j JOIN placed p USING (topic_id, "partition", "offset")
    WHERE len(motifs) = 0
    WINDOW same_id AS (PARTITION BY vente_id ORDER BY p.lot, kafka_ts, topic_id, "partition", "offset"
                       ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))
SELECT * EXCLUDE (content, first_content, nth, motifs),
       CASE WHEN nth = 1 THEN []::VARCHAR[]
            WHEN content IS NOT DISTINCT FROM first_content THEN ['duplicate']
            ELSE ['conflict'] END AS motifs
FROM valid
UNION ALL BY NAME
SELECT j.*, p.lot FROM judged j JOIN placed p USING (topic_id, "partition", "offset") WHERE len(motifs) > 0
"""
"""Every message Silver has taken, with the verdict it should have there."""


def silver(watermark_minutes: int) -> str:
    """expected_/stored_ for ventes_clean, ventes_rejets and the rejected bytes (`raw`)."""
    return f"""
    CREATE TEMP VIEW expected_ventes_clean AS
    SELECT vente_id, client_id, produit_id, "timestamp" AS horodatage, quantite, montant::DECIMAL(12, 2) AS montant,
           {_UNIT_CENTS} AS centimes, client_nom, produit_nom, categorie, pays, segment,
           kafka_ts - "timestamp" > INTERVAL {watermark_minutes} MINUTE AS en_retard,
           _extra, topic_id, "partition", "offset", kafka_ts, date_ingestion, lot, jour
    FROM expected WHERE len(motifs) = 0;
    CREATE TEMP VIEW stored_ventes_clean AS
    SELECT * EXCLUDE (prix_unitaire, date_traitement), (prix_unitaire * 100)::BIGINT AS centimes
    FROM ventes_clean;
    CREATE TEMP VIEW expected_ventes_rejets AS
    SELECT motifs, vente_id, topic_id, "partition", "offset", kafka_ts, date_ingestion, lot
    FROM expected WHERE len(motifs) > 0;
    CREATE TEMP VIEW stored_ventes_rejets AS
    SELECT motifs, vente_id, topic_id, "partition", "offset", kafka_ts, date_ingestion, lot FROM ventes_rejets;
    CREATE TEMP VIEW expected_raw AS
    SELECT b.topic_id, b."partition", b."offset", md5(b."value") AS fingerprint
    FROM bronze b SEMI JOIN ventes_rejets USING (topic_id, "partition", "offset");
    CREATE TEMP VIEW stored_raw AS
    SELECT topic_id, "partition", "offset", md5("value") AS fingerprint FROM ventes_rejets;
    """


def aggregates(rules: Rules) -> str:
    """expected_/stored_ for the five roll-ups."""
    sums = "count(*) AS total_transactions, sum(montant)::DECIMAL(28, 2) AS revenue_total"
    items = "sum(quantite)::BIGINT AS items_sold"
    wider = f"{sums}, {_MEAN_CENTS} AS transaction_moyenne, {items}, count(DISTINCT client_id) AS unique_customers"
    client = "client_id, client_nom, pays, segment, jour"
    views = f"""
    CREATE TEMP TABLE sales AS SELECT * FROM expected_ventes_clean;
    CREATE TEMP VIEW expected_ventes_aggreges AS
    SELECT {client}, sum(quantite)::BIGINT AS total_quantite, sum(montant)::DECIMAL(28, 2) AS total_depense,
           count(*) AS nb_achats, {_MEAN_CENTS} AS panier_moyen, min(montant) AS achat_min, max(montant) AS achat_max,
           count(DISTINCT produit_id) AS nb_produits_distincts,
           count(*) >= {rules.loyal_from} AS est_client_fidele,
           CASE WHEN sum(montant) >= {rules.premium_from!r}::DECIMAL(18, 2) THEN 'Premium'
                WHEN sum(montant) >= {rules.standard_from!r}::DECIMAL(18, 2) THEN 'Standard'
                ELSE 'Economy' END AS segment_depense,
           list_sort(list(DISTINCT produit_id)) AS produits
    FROM sales GROUP BY {client};
    CREATE TEMP VIEW expected_ventes_par_pays AS SELECT pays, {wider} FROM sales GROUP BY pays;
    CREATE TEMP VIEW expected_ventes_par_segment AS
    SELECT segment, {wider}, count(DISTINCT pays) AS countries_count FROM sales GROUP BY segment;
    CREATE TEMP VIEW expected_ventes_par_produit AS
    SELECT produit_id, produit_nom, categorie, sum(quantite)::BIGINT AS quantite_totale, {sums}
    FROM sales GROUP BY produit_id, produit_nom, categorie;
    CREATE TEMP VIEW expected_ventes_par_minute AS
    SELECT date_trunc('minute', horodatage) AS minute, {sums}, {items} FROM sales GROUP BY 1;
    """
    for table in ROLLUPS:
        cents = ", ".join(f"({n} * 100)::BIGINT AS {n}" for n in _AVERAGES if n in table.schema.names)
        replaced = f"REPLACE ({cents})" if cents else ""
        views += f"CREATE TEMP VIEW stored_{table.name} AS SELECT * {replaced} FROM {table.name};\n"
    return views


FIGURES = f"""
SELECT count(DISTINCT client_id), count(DISTINCT produit_id), coalesce(sum(montant), 0)::DECIMAL(28, 2),
       CASE WHEN count(*) > 0 THEN {_MEAN_CENTS} END
FROM sales
"""
"""Of the table `sales` that `aggregates` makes: clients, products, revenue, average in cents (None without a sale)."""
