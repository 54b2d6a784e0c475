-- Run by Spark and by DuckDB: use only the SQL that both support.
-- The rows of ventes_rejets, from the relation `judged_rows`. :processed_at and :lot as in clean.sql.
SELECT array_sort(motifs) AS motifs, vente_id, value, topic_id, `partition`, `offset`, kafka_ts, date_ingestion,
       CAST(:processed_at AS TIMESTAMP) AS date_traitement, CAST(:lot AS BIGINT) AS lot
FROM judged_rows
WHERE size(motifs) > 0
