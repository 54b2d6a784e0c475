-- Run by DuckDB, under either engine.
-- ventes_par_pays from `partials` (pays, total_transactions, revenue_total, items_sold; any number of rows per country) and
-- `distinct_counts` (pays, unique_customers). :mean = revenue_total / total_transactions.
WITH sums AS (
  SELECT pays,
         CAST(sum(total_transactions) AS BIGINT) AS total_transactions,
         CAST(sum(revenue_total) AS DECIMAL(28, 2)) AS revenue_total,
         CAST(sum(items_sold) AS BIGINT) AS items_sold
  FROM partials
  GROUP BY pays
)
SELECT d.pays, d.total_transactions, d.revenue_total,
       :mean AS transaction_moyenne,
       d.items_sold, CAST(u.unique_customers AS BIGINT) AS unique_customers
FROM sums AS d JOIN distinct_counts AS u ON d.pays = u.pays
