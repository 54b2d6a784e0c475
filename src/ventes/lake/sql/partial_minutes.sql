-- Run by DuckDB, under either engine.
-- What the relation `clean` adds to ventes_par_minute.
SELECT date_trunc('MINUTE', horodatage) AS minute,
       count(*) AS total_transactions,
       CAST(sum(montant) AS DECIMAL(28, 2)) AS revenue_total,
       CAST(sum(quantite) AS BIGINT) AS items_sold
FROM clean
GROUP BY date_trunc('MINUTE', horodatage)
