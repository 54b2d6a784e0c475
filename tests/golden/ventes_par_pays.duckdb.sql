WITH sums AS (
  SELECT
    pays,
    CAST(SUM(total_transactions) AS BIGINT) AS total_transactions,
    CAST(SUM(revenue_total) AS DECIMAL(28, 2)) AS revenue_total,
    CAST(SUM(items_sold) AS BIGINT) AS items_sold
  FROM partials
  GROUP BY
    pays
)
SELECT
  d.pays,
  d.total_transactions,
  d.revenue_total,
  CAST(CAST(CAST((
    (
      CAST(CAST(revenue_total AS DECIMAL(28, 2)) * 200 AS DECIMAL(38, 0)) + total_transactions
    ) - (
      CAST(CAST(revenue_total AS DECIMAL(28, 2)) * 200 AS DECIMAL(38, 0)) + total_transactions
    ) % (
      2 * total_transactions
    )
  ) / (
    2 * total_transactions
  ) AS BIGINT) AS DECIMAL(16, 0)) * CAST('0.01' AS DECIMAL(2, 2)) AS DECIMAL(18, 2)) AS transaction_moyenne,
  d.items_sold,
  CAST(u.unique_customers AS BIGINT) AS unique_customers
FROM sums AS d
JOIN distinct_counts AS u
  ON d.pays = u.pays
