"""What each table is: its columns, key and partition. No behaviour, no I/O.

The schemas are Arrow's, because every part can use them: deltalake creates the tables from them,
DuckDB and the embedded engine write them, Spark appends to the tables so created.
Data names are French: they are the contract with the people who use the tables.
"""

from __future__ import annotations

import pyarrow as pa

from ventes.deltalog.table import Table

UTC = pa.timestamp("us", tz="UTC")
MONEY = pa.decimal128(12, 2)
"""One sale's amount: at most 9,999,999,999.99."""
TOTAL = pa.decimal128(28, 2)
"""A sum of amounts, exact for 10^16 of the largest sales."""
AVERAGE = pa.decimal128(18, 2)
"""An average, rounded half up to cents from exact sums."""
HEADERS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))

EVENT_FIELDS = (
    "vente_id",
    "client_id",
    "produit_id",
    "timestamp",
    "quantite",
    "montant",
    "client_nom",
    "produit_nom",
    "categorie",
    "pays",
    "segment",
)
"""The eleven fields of a sale in JSON."""

POSITION = ("topic_id", "partition", "offset")
"""The columns that identify a Kafka message."""


SILVER_APP = "ventes-silver"
"""The application id of every commit to a Silver table; its version is the lot."""

BRONZE = Table(
    name="bronze",
    key=POSITION,
    partition_by=("jour",),
    stats=("vente_id", "topic_id", "partition", "offset", "kafka_ts", "timestamp"),
    schema=pa.schema(
        [
            # the fields as sent, converted where possible: NULL where the text does not fit the type
            ("vente_id", pa.int64()),
            ("client_id", pa.int64()),
            ("produit_id", pa.int64()),
            ("timestamp", UTC),
            ("quantite", pa.int64()),
            ("montant", pa.decimal128(18, 2)),
            ("client_nom", pa.string()),
            ("produit_nom", pa.string()),
            ("categorie", pa.string()),
            ("pays", pa.string()),
            ("segment", pa.string()),
            # the verdict, computed once, when the message is read
            ("motifs", pa.list_(pa.string())),  # [] = valid; never NULL
            ("_extra", pa.string()),  # unknown fields as a JSON object, NULL if none
            # the position of the message in Kafka
            ("topic_id", pa.string()),
            ("partition", pa.int32()),
            ("offset", pa.int64()),
            ("kafka_ts", UTC),
            ("date_ingestion", UTC),
            # the raw message
            ("key", pa.binary()),
            ("value", pa.binary()),
            ("headers", HEADERS),
            ("jour", pa.date32()),
        ]
    ),
)

CLEAN = Table(
    name="ventes_clean",
    key=("vente_id",),
    partition_by=("jour",),
    stats=("vente_id", "topic_id", "partition", "offset", "lot", "horodatage", "kafka_ts"),
    schema=pa.schema(
        [
            ("vente_id", pa.int64()),
            ("client_id", pa.int64()),
            ("produit_id", pa.int64()),
            ("horodatage", UTC),
            ("quantite", pa.int64()),
            ("montant", MONEY),
            ("prix_unitaire", MONEY),  # montant / quantite, half up
            ("client_nom", pa.string()),
            ("produit_nom", pa.string()),
            ("categorie", pa.string()),
            ("pays", pa.string()),
            ("segment", pa.string()),
            ("en_retard", pa.bool_()),  # kafka_ts - horodatage > watermark
            ("_extra", pa.string()),
            ("topic_id", pa.string()),
            ("partition", pa.int32()),
            ("offset", pa.int64()),
            ("kafka_ts", UTC),
            ("date_ingestion", UTC),  # Bronze's
            ("date_traitement", UTC),  # when Silver took it
            ("lot", pa.int64()),  # the Silver batch that wrote the row
            ("jour", pa.date32()),
        ]
    ),
)

REJETS = Table(
    name="ventes_rejets",
    key=POSITION,
    stats=("topic_id", "partition", "offset", "lot", "kafka_ts"),
    schema=pa.schema(
        [
            ("motifs", pa.list_(pa.string())),  # every reason, sorted; never empty
            ("vente_id", pa.int64()),  # NULL where it could not be read
            ("value", pa.binary()),
            ("topic_id", pa.string()),
            ("partition", pa.int32()),
            ("offset", pa.int64()),
            ("kafka_ts", UTC),
            ("date_ingestion", UTC),
            ("date_traitement", UTC),
            ("lot", pa.int64()),
        ]
    ),
)

AGGREGES = Table(
    name="ventes_aggreges",
    key=("client_id", "client_nom", "pays", "segment", "jour"),
    stats=("client_id", "jour"),
    schema=pa.schema(
        [
            ("client_id", pa.int64()),
            ("client_nom", pa.string()),
            ("pays", pa.string()),
            ("segment", pa.string()),
            ("jour", pa.date32()),
            ("total_quantite", pa.int64()),
            ("total_depense", TOTAL),
            ("nb_achats", pa.int64()),
            ("panier_moyen", AVERAGE),
            ("achat_min", MONEY),
            ("achat_max", MONEY),
            ("nb_produits_distincts", pa.int64()),
            ("est_client_fidele", pa.bool_()),
            ("segment_depense", pa.string()),
            ("produits", pa.list_(pa.int64())),  # sorted distinct ids: keeps the count above exact
        ]
    ),
)

PAR_PAYS = Table(
    name="ventes_par_pays",
    key=("pays",),
    schema=pa.schema(
        [
            ("pays", pa.string()),
            ("total_transactions", pa.int64()),
            ("revenue_total", TOTAL),
            ("transaction_moyenne", AVERAGE),
            ("items_sold", pa.int64()),
            ("unique_customers", pa.int64()),
        ]
    ),
)

PAR_SEGMENT = Table(
    name="ventes_par_segment",
    key=("segment",),
    schema=pa.schema(
        [
            ("segment", pa.string()),
            ("total_transactions", pa.int64()),
            ("revenue_total", TOTAL),
            ("transaction_moyenne", AVERAGE),
            ("items_sold", pa.int64()),
            ("unique_customers", pa.int64()),
            ("countries_count", pa.int64()),
        ]
    ),
)

PAR_PRODUIT = Table(
    name="ventes_par_produit",
    key=("produit_id", "produit_nom", "categorie"),
    stats=("produit_id",),
    schema=pa.schema(
        [
            ("produit_id", pa.int64()),
            ("produit_nom", pa.string()),
            ("categorie", pa.string()),
            ("quantite_totale", pa.int64()),
            ("revenue_total", TOTAL),
            ("total_transactions", pa.int64()),
        ]
    ),
)

PAR_MINUTE = Table(
    name="ventes_par_minute",
    key=("minute",),
    stats=("minute",),
    schema=pa.schema(
        [
            ("minute", UTC),
            ("total_transactions", pa.int64()),
            ("revenue_total", TOTAL),
            ("items_sold", pa.int64()),
        ]
    ),
)

ROLLUPS = (AGGREGES, PAR_PAYS, PAR_SEGMENT, PAR_PRODUIT, PAR_MINUTE)
SILVER = (CLEAN, REJETS, *ROLLUPS)
ALL = (BRONZE, *SILVER)
