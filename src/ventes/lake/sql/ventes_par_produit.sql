-- Run by DuckDB, under either engine.
-- ventes_par_produit from `partials`: any number of rows of partial_products for each key.
SELECT produit_id, produit_nom, categorie,
       CAST(sum(quantite_totale) AS BIGINT) AS quantite_totale,
       CAST(sum(revenue_total) AS DECIMAL(28, 2)) AS revenue_total,
       CAST(sum(total_transactions) AS BIGINT) AS total_transactions
FROM partials
GROUP BY produit_id, produit_nom, categorie
