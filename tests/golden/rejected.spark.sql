SELECT
  ARRAY_SORT(motifs) AS motifs,
  `vente_id`,
  value,
  topic_id,
  `partition`,
  `offset`,
  kafka_ts,
  date_ingestion,
  CAST('2026-01-05 10:00:00.000000+00:00' AS TIMESTAMP) AS date_traitement,
  CAST(7 AS BIGINT) AS lot
FROM judged_rows
WHERE
  SIZE(motifs) > 0
