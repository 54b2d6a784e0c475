WITH combined AS (
  SELECT
    "client_id",
    "client_nom",
    "pays",
    "segment",
    "jour",
    CAST(SUM("total_quantite") AS BIGINT) AS "total_quantite",
    CAST(SUM("total_depense") AS DECIMAL(28, 2)) AS "total_depense",
    CAST(SUM("nb_achats") AS BIGINT) AS "nb_achats",
    CAST(MIN("achat_min") AS DECIMAL(12, 2)) AS "achat_min",
    CAST(MAX("achat_max") AS DECIMAL(12, 2)) AS "achat_max",
    CAST(LIST_SORT(LIST_DISTINCT(FLATTEN(ARRAY_AGG("produits")))) AS BIGINT[]) AS "produits"
  FROM partials
  GROUP BY
    "client_id",
    "client_nom",
    "pays",
    "segment",
    "jour"
)
SELECT
  "client_id",
  "client_nom",
  "pays",
  "segment",
  "jour",
  "total_quantite",
  "total_depense",
  "nb_achats",
  CAST(CAST((
    CAST((
      "total_depense" * 100
    ) AS INT128) // CAST("nb_achats" AS INT128) + CASE
      WHEN 2 * ABS(CAST((
        "total_depense" * 100
      ) AS INT128) % CAST("nb_achats" AS INT128)) >= CAST("nb_achats" AS INT128)
      THEN SIGN(CAST((
        "total_depense" * 100
      ) AS INT128))
      ELSE 0
    END
  ) AS DECIMAL(36, 0)) * CAST('0.01' AS DECIMAL(2, 2)) AS DECIMAL(18, 2)) AS "panier_moyen",
  "achat_min",
  "achat_max",
  CAST(LENGTH("produits") AS BIGINT) AS "nb_produits_distincts",
  "produits",
  CAST(nb_achats >= 2 AS BOOLEAN) AS "est_client_fidele",
  CAST(CASE
    WHEN total_depense >= 500
    THEN 'Premium'
    WHEN total_depense >= 100
    THEN 'Standard'
    ELSE 'Economy'
  END AS TEXT) AS "segment_depense"
FROM combined
