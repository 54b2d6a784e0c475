-- Run by DuckDB, under either engine.
-- ventes_aggreges from `partials`: any number of rows of partial_clients for each key.
-- :mean         total_depense / nb_achats (contract.arithmetic)
-- :loyal_from, :standard_from, :premium_from   settings.rules
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
)
SELECT client_id, client_nom, pays, segment, jour, total_quantite, total_depense, nb_achats,
       :mean AS panier_moyen,
       achat_min, achat_max,
       CAST(size(produits) AS BIGINT) AS nb_produits_distincts,
       nb_achats >= :loyal_from AS est_client_fidele,
       CASE WHEN total_depense >= :premium_from THEN 'Premium'
            WHEN total_depense >= :standard_from THEN 'Standard'
            ELSE 'Economy' END AS segment_depense,
       produits
FROM sums
