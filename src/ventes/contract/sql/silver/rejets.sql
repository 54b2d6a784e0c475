-- The rows of ventes_rejets, from the relation `juges`. :traitement and :lot as in clean.sql.
SELECT array_sort(motifs) AS motifs, vente_id, value, topic_id, `partition`, `offset`, kafka_ts, date_ingestion,
       CAST(:traitement AS TIMESTAMP) AS date_traitement, CAST(:lot AS BIGINT) AS lot
FROM juges
WHERE size(motifs) > 0
