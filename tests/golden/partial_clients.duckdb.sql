SELECT
  client_id,
  client_nom,
  pays,
  segment,
  jour,
  CAST(SUM(quantite) AS BIGINT) AS total_quantite,
  CAST(SUM(montant) AS DECIMAL(28, 2)) AS total_depense,
  COUNT(*) AS nb_achats,
  MIN(montant) AS achat_min,
  MAX(montant) AS achat_max,
  LIST_SORT(ARRAY_AGG(DISTINCT produit_id) FILTER(WHERE
    NOT produit_id IS NULL)) AS produits
FROM clean
GROUP BY
  client_id,
  client_nom,
  pays,
  segment,
  jour
