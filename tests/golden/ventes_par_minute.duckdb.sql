WITH combined AS (
  SELECT
    "minute",
    CAST(SUM("total_transactions") AS BIGINT) AS "total_transactions",
    CAST(SUM("revenue_total") AS DECIMAL(28, 2)) AS "revenue_total",
    CAST(SUM("items_sold") AS BIGINT) AS "items_sold"
  FROM partials
  GROUP BY
    "minute"
)
SELECT
  "minute",
  "total_transactions",
  "revenue_total",
  "items_sold"
FROM combined
