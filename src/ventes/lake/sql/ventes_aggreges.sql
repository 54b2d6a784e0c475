-- ventes_aggreges from `partials`: any number of rows of partial_clients for each key.
-- Averages half up to cents without dividing decimals inexactly: with s the sum in cents and n the count, t = 2s + n is
-- made a multiple of 2n first, so the quotient is a whole number below 2^53 and exact in every engine.
WITH sums AS (
  SELECT client_id, client_nom, pays, segment, jour,
         CAST(sum(total_quantite) AS BIGINT) AS total_quantite,
         CAST(sum(total_depense) AS DECIMAL(28, 2)) AS total_depense,
         CAST(sum(nb_achats) AS BIGINT) AS nb_achats,
         min(achat_min) AS achat_min,
         max(achat_max) AS achat_max,
         array_sort(array_distinct(flatten(collect_list(produits)))) AS produits
  FROM partials
  GROUP BY client_id, client_nom, pays, segment, jour
),
scaled AS (
  SELECT *, CAST(total_depense * 200 AS DECIMAL(38, 0)) + nb_achats AS t FROM sums
)
SELECT client_id, client_nom, pays, segment, jour, total_quantite, total_depense, nb_achats,
       CAST(CAST(CAST((t - t % (2 * nb_achats)) / (2 * nb_achats) AS BIGINT) AS DECIMAL(16, 0))
            * CAST('0.01' AS DECIMAL(2, 2)) AS DECIMAL(18, 2)) AS panier_moyen,
       achat_min, achat_max,
       CAST(size(produits) AS BIGINT) AS nb_produits_distincts,
       nb_achats >= :loyal_from AS est_client_fidele,
       CASE WHEN total_depense >= :premium_from THEN 'Premium'
            WHEN total_depense >= :standard_from THEN 'Standard'
            ELSE 'Economy' END AS segment_depense,
       produits
FROM scaled
