SELECT
  "client_id" AS "client_id",
  "client_nom" AS "client_nom",
  "pays" AS "pays",
  "segment" AS "segment",
  "jour" AS "jour",
  CAST(SUM("quantite") AS BIGINT) AS "total_quantite",
  CAST(SUM("montant") AS DECIMAL(28, 2)) AS "total_depense",
  CAST(COUNT(*) AS BIGINT) AS "nb_achats",
  CAST(MIN("montant") AS DECIMAL(12, 2)) AS "achat_min",
  CAST(MAX("montant") AS DECIMAL(12, 2)) AS "achat_max",
  CAST(LIST_SORT(LIST_DISTINCT(ARRAY_AGG("produit_id") FILTER(WHERE
    NOT "produit_id" IS NULL))) AS BIGINT[]) AS "produits"
FROM clean
GROUP BY
  "client_id",
  "client_nom",
  "pays",
  "segment",
  "jour"
