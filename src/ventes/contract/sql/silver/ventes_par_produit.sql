-- ventes_par_produit from `partiels`: any number of rows of partiels_produits for each key.
SELECT produit_id, produit_nom, categorie,
       CAST(sum(quantite_totale) AS BIGINT) AS quantite_totale,
       CAST(sum(revenue_total) AS DECIMAL(28, 2)) AS revenue_total,
       CAST(sum(total_transactions) AS BIGINT) AS total_transactions
FROM partiels
GROUP BY produit_id, produit_nom, categorie
