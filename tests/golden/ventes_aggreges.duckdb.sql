WITH sums AS (
  SELECT
    client_id,
    client_nom,
    pays,
    segment,
    jour,
    CAST(SUM(total_quantite) AS BIGINT) AS total_quantite,
    CAST(SUM(total_depense) AS DECIMAL(28, 2)) AS total_depense,
    CAST(SUM(nb_achats) AS BIGINT) AS nb_achats,
    MIN(achat_min) AS achat_min,
    MAX(achat_max) AS achat_max,
    LIST_SORT(LIST_DISTINCT(FLATTEN(ARRAY_AGG(produits) FILTER(WHERE
      NOT produits IS NULL)))) AS produits
  FROM partials
  GROUP BY
    client_id,
    client_nom,
    pays,
    segment,
    jour
)
SELECT
  client_id,
  client_nom,
  pays,
  segment,
  jour,
  total_quantite,
  total_depense,
  nb_achats,
  CAST(CAST(CAST((
    (
      CAST(CAST(total_depense AS DECIMAL(28, 2)) * 200 AS DECIMAL(38, 0)) + nb_achats
    ) - (
      CAST(CAST(total_depense AS DECIMAL(28, 2)) * 200 AS DECIMAL(38, 0)) + nb_achats
    ) % (
      2 * nb_achats
    )
  ) / (
    2 * nb_achats
  ) AS BIGINT) AS DECIMAL(16, 0)) * CAST('0.01' AS DECIMAL(2, 2)) AS DECIMAL(18, 2)) AS panier_moyen,
  achat_min,
  achat_max,
  CAST(ARRAY_LENGTH(produits) AS BIGINT) AS nb_produits_distincts,
  nb_achats >= 2 AS est_client_fidele,
  CASE
    WHEN total_depense >= 500
    THEN 'Premium'
    WHEN total_depense >= 100
    THEN 'Standard'
    ELSE 'Economy'
  END AS segment_depense,
  produits
FROM sums
