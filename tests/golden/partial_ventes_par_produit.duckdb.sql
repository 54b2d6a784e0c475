SELECT
  "produit_id" AS "produit_id",
  "produit_nom" AS "produit_nom",
  "categorie" AS "categorie",
  CAST(SUM("quantite") AS BIGINT) AS "quantite_totale",
  CAST(SUM("montant") AS DECIMAL(28, 2)) AS "revenue_total",
  CAST(COUNT(*) AS BIGINT) AS "total_transactions"
FROM clean
GROUP BY
  "produit_id",
  "produit_nom",
  "categorie"
