WITH valid_rows AS (
  SELECT
    *
  FROM lot_rows
  WHERE
    ARRAY_LENGTH(motifs) = 0
), repeated_ids AS (
  SELECT
    "vente_id"
  FROM valid_rows
  GROUP BY
    "vente_id"
  HAVING
    COUNT(*) > 1
), suspects AS (
  SELECT
    *
  FROM valid_rows
  WHERE
    "vente_id" IN (
      SELECT
        "vente_id"
      FROM repeated_ids
    )
    OR "vente_id" IN (
      SELECT
        "vente_id"
      FROM known_rows
    )
), ranked AS (
  SELECT
    *,
    ROW_NUMBER() OVER (
      PARTITION BY "vente_id"
      ORDER BY kafka_ts NULLS FIRST, topic_id NULLS FIRST, "partition" NULLS FIRST, "offset" NULLS FIRST
    ) AS _rank
  FROM suspects
), first_rows AS (
  SELECT
    "vente_id",
    "client_id",
    "produit_id",
    "horodatage",
    "quantite",
    "montant",
    "client_nom",
    "produit_nom",
    "categorie",
    "pays",
    "segment",
    _extra,
    0 AS _rank
  FROM known_rows
  WHERE
    "vente_id" IN (
      SELECT
        "vente_id"
      FROM suspects
    )
  UNION ALL
  SELECT
    "vente_id",
    "client_id",
    "produit_id",
    "timestamp" AS "horodatage",
    "quantite",
    "montant",
    "client_nom",
    "produit_nom",
    "categorie",
    "pays",
    "segment",
    _extra,
    _rank
  FROM ranked AS r
  WHERE
    _rank = 1
    AND NOT EXISTS(
      SELECT
        1
      FROM known_rows AS k
      WHERE
        k."vente_id" = r."vente_id"
    )
), verdicts AS (
  SELECT
    s.topic_id,
    s."partition",
    s."offset",
    CASE
      WHEN s._rank = 1 AND r._rank = 1
      THEN CAST([] AS TEXT[])
      WHEN s."client_id" = r."client_id"
      AND s."produit_id" = r."produit_id"
      AND s."timestamp" = r."horodatage"
      AND s."quantite" = r."quantite"
      AND s."montant" = r."montant"
      AND s."client_nom" = r."client_nom"
      AND s."produit_nom" = r."produit_nom"
      AND s."categorie" = r."categorie"
      AND s."pays" = r."pays"
      AND s."segment" = r."segment"
      AND s._extra IS NOT DISTINCT FROM r._extra
      THEN ['duplicate']
      ELSE ['conflict']
    END AS motifs
  FROM ranked AS s
  JOIN first_rows AS r
    ON s."vente_id" = r."vente_id"
)
SELECT
  l."vente_id",
  l."client_id",
  l."produit_id",
  l."timestamp",
  l."quantite",
  l."montant",
  l."client_nom",
  l."produit_nom",
  l."categorie",
  l."pays",
  l."segment",
  COALESCE(v.motifs, l.motifs) AS motifs,
  l."_extra",
  l."topic_id",
  l."partition",
  l."offset",
  l."kafka_ts",
  l."date_ingestion",
  l."value",
  l."jour"
FROM lot_rows AS l
LEFT JOIN verdicts AS v
  ON l.topic_id = v.topic_id
  AND l."partition" = v."partition"
  AND l."offset" = v."offset"
