SELECT
  LIST_SORT(motifs) AS motifs,
  "vente_id",
  value,
  topic_id,
  "partition",
  "offset",
  kafka_ts,
  date_ingestion,
  CAST($processed_at AS TIMESTAMPTZ) AS date_traitement,
  CAST($lot AS BIGINT) AS lot
FROM judged_rows
WHERE
  ARRAY_LENGTH(motifs) > 0
