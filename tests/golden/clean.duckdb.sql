SELECT
  "vente_id",
  "client_id",
  "produit_id",
  "timestamp" AS "horodatage",
  "quantite",
  CAST("montant" AS DECIMAL(12, 2)) AS "montant",
  CAST(CAST((
    2 * CAST("montant" * 100 AS BIGINT) + "quantite"
  ) // (
    2 * "quantite"
  ) AS DECIMAL(12, 0)) * CAST('0.01' AS DECIMAL(2, 2)) AS DECIMAL(12, 2)) AS "prix_unitaire",
  "client_nom",
  "produit_nom",
  "categorie",
  "pays",
  "segment",
  EPOCH_US(kafka_ts) - EPOCH_US("timestamp") > CAST($watermark_us AS BIGINT) AS en_retard,
  _extra,
  topic_id,
  "partition",
  "offset",
  kafka_ts,
  date_ingestion,
  CAST($processed_at AS TIMESTAMPTZ) AS date_traitement,
  CAST($lot AS BIGINT) AS lot,
  jour
FROM judged_rows
WHERE
  ARRAY_LENGTH(motifs) = 0
