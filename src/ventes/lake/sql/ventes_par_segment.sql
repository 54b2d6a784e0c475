-- ventes_par_segment from `partials` (segment, total_transactions, revenue_total, items_sold; any number a segment) and
-- `distinct_counts` (segment, unique_customers, countries_count). The average as in ventes_aggreges.sql.
WITH sums AS (
  SELECT segment,
         CAST(sum(total_transactions) AS BIGINT) AS total_transactions,
         CAST(sum(revenue_total) AS DECIMAL(28, 2)) AS revenue_total,
         CAST(sum(items_sold) AS BIGINT) AS items_sold
  FROM partials
  GROUP BY segment
),
scaled AS (
  SELECT *, CAST(revenue_total * 200 AS DECIMAL(38, 0)) + total_transactions AS t FROM sums
)
SELECT d.segment, d.total_transactions, d.revenue_total,
       CAST(CAST(CAST((t - t % (2 * total_transactions)) / (2 * total_transactions) AS BIGINT) AS DECIMAL(16, 0))
            * CAST('0.01' AS DECIMAL(2, 2)) AS DECIMAL(18, 2)) AS transaction_moyenne,
       d.items_sold, CAST(u.unique_customers AS BIGINT) AS unique_customers,
       CAST(u.countries_count AS BIGINT) AS countries_count
FROM scaled AS d JOIN distinct_counts AS u ON d.segment = u.segment
