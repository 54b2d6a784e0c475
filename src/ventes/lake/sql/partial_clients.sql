-- Run by DuckDB, under either engine.
-- What the relation `clean` (rows of ventes_clean) adds to ventes_aggreges, ventes_par_pays and ventes_par_segment.
SELECT client_id, client_nom, pays, segment, jour,
       CAST(sum(quantite) AS BIGINT) AS total_quantite,
       CAST(sum(montant) AS DECIMAL(28, 2)) AS total_depense,
       count(*) AS nb_achats,
       min(montant) AS achat_min,
       max(montant) AS achat_max,
       array_sort(collect_set(produit_id)) AS produits
FROM clean
GROUP BY client_id, client_nom, pays, segment, jour
