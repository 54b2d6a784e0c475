-- Run by DuckDB, under either engine.
-- ventes_par_minute from `partials`: any number of rows of partial_minutes for each minute.
SELECT minute,
       CAST(sum(total_transactions) AS BIGINT) AS total_transactions,
       CAST(sum(revenue_total) AS DECIMAL(28, 2)) AS revenue_total,
       CAST(sum(items_sold) AS BIGINT) AS items_sold
FROM partials
GROUP BY minute
