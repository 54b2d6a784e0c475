-- Run by DuckDB, under either engine.
-- ventes_par_segment from `partials` (segment, total_transactions, revenue_total, items_sold; any number of rows per segment) and
-- `distinct_counts` (segment, unique_customers, countries_count). :mean = revenue_total / total_transactions.
WITH sums AS (
  SELECT segment,
         CAST(sum(total_transactions) AS BIGINT) AS total_transactions,
         CAST(sum(revenue_total) AS DECIMAL(28, 2)) AS revenue_total,
         CAST(sum(items_sold) AS BIGINT) AS items_sold
  FROM partials
  GROUP BY segment
)
SELECT d.segment, d.total_transactions, d.revenue_total,
       :mean AS transaction_moyenne,
       d.items_sold, CAST(u.unique_customers AS BIGINT) AS unique_customers,
       CAST(u.countries_count AS BIGINT) AS countries_count
FROM sums AS d JOIN distinct_counts AS u ON d.segment = u.segment
