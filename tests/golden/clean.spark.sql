SELECT
  `vente_id`,
  `client_id`,
  `produit_id`,
  `timestamp` AS `horodatage`,
  `quantite`,
  CAST(`montant` AS DECIMAL(12, 2)) AS `montant`,
  CAST(CAST((
    2 * CAST(`montant` * 100 AS BIGINT) + `quantite`
  ) DIV (
    2 * `quantite`
  ) AS DECIMAL(12, 0)) * CAST('0.01' AS DECIMAL(2, 2)) AS DECIMAL(12, 2)) AS `prix_unitaire`,
  `client_nom`,
  `produit_nom`,
  `categorie`,
  `pays`,
  `segment`,
  UNIX_MICROS(kafka_ts) - UNIX_MICROS(`timestamp`) > 600000000 AS en_retard,
  _extra,
  topic_id,
  `partition`,
  `offset`,
  kafka_ts,
  date_ingestion,
  CAST('2026-01-05 10:00:00.000000+00:00' AS TIMESTAMP) AS date_traitement,
  CAST(7 AS BIGINT) AS lot,
  jour
FROM judged_rows
WHERE
  SIZE(motifs) = 0
