-- Run by Spark and by DuckDB: use only the SQL that both support.
-- The rows of ventes_clean, from the relation `judged_rows`.
-- :watermark_us  lateness in microseconds from which a sale is en_retard
-- :processed_at    the time of processing (UTC), :lot the number of the lot
-- prix_unitaire is montant / quantite half up, in whole cents: (2c + q) div 2q. No division of decimals: the engines differ.
SELECT vente_id, client_id, produit_id, `timestamp` AS horodatage, quantite,
       CAST(montant AS DECIMAL(12, 2)) AS montant,
       CAST(CAST((2 * CAST(montant * 100 AS BIGINT) + quantite) div (2 * quantite) AS DECIMAL(12, 0))
            * CAST('0.01' AS DECIMAL(2, 2)) AS DECIMAL(12, 2)) AS prix_unitaire,
       client_nom, produit_nom, categorie, pays, segment,
       unix_micros(kafka_ts) - unix_micros(`timestamp`) > :watermark_us AS en_retard,
       _extra, topic_id, `partition`, `offset`, kafka_ts, date_ingestion,
       CAST(:processed_at AS TIMESTAMP) AS date_traitement, CAST(:lot AS BIGINT) AS lot, jour
FROM judged_rows
WHERE size(motifs) = 0
