SELECT
  _row,
  CAST("montant" AS DECIMAL(12, 2)) AS "montant",
  CAST(CAST((
    2 * CAST("montant" * 100 AS BIGINT) + "quantite"
  ) // (
    2 * "quantite"
  ) AS DECIMAL(12, 0)) * CAST('0.01' AS DECIMAL(2, 2)) AS DECIMAL(12, 2)) AS "prix_unitaire",
  EPOCH_US(kafka_ts) - EPOCH_US("timestamp") > CAST($watermark_us AS BIGINT) AS en_retard
FROM judged_rows
