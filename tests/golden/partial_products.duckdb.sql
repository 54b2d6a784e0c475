SELECT
  produit_id,
  produit_nom,
  categorie,
  CAST(SUM(quantite) AS BIGINT) AS quantite_totale,
  CAST(SUM(montant) AS DECIMAL(28, 2)) AS revenue_total,
  COUNT(*) AS total_transactions
FROM clean
GROUP BY
  produit_id,
  produit_nom,
  categorie
