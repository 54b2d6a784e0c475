WITH combined AS (
  SELECT
    "produit_id",
    "produit_nom",
    "categorie",
    CAST(SUM("quantite_totale") AS BIGINT) AS "quantite_totale",
    CAST(SUM("revenue_total") AS DECIMAL(28, 2)) AS "revenue_total",
    CAST(SUM("total_transactions") AS BIGINT) AS "total_transactions"
  FROM partials
  GROUP BY
    "produit_id",
    "produit_nom",
    "categorie"
)
SELECT
  "produit_id",
  "produit_nom",
  "categorie",
  "quantite_totale",
  "revenue_total",
  "total_transactions"
FROM combined
