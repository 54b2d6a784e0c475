-- Run by DuckDB, under either engine.
-- What the relation `clean` adds to ventes_par_produit.
SELECT produit_id, produit_nom, categorie,
       CAST(sum(quantite) AS BIGINT) AS quantite_totale,
       CAST(sum(montant) AS DECIMAL(28, 2)) AS revenue_total,
       count(*) AS total_transactions
FROM clean
GROUP BY produit_id, produit_nom, categorie
