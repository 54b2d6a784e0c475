WITH combined AS (
  SELECT
    "segment",
    CAST(SUM("total_transactions") AS BIGINT) AS "total_transactions",
    CAST(SUM("revenue_total") AS DECIMAL(28, 2)) AS "revenue_total",
    CAST(SUM("items_sold") AS BIGINT) AS "items_sold"
  FROM partials
  GROUP BY
    "segment"
)
SELECT
  "segment",
  "total_transactions",
  "revenue_total",
  CAST(CAST((
    CAST((
      "revenue_total" * 100
    ) AS INT128) // CAST("total_transactions" AS INT128) + CASE
      WHEN 2 * ABS(
        CAST((
          "revenue_total" * 100
        ) AS INT128) % CAST("total_transactions" AS INT128)
      ) >= CAST("total_transactions" AS INT128)
      THEN SIGN(CAST((
        "revenue_total" * 100
      ) AS INT128))
      ELSE 0
    END
  ) AS DECIMAL(36, 0)) * CAST('0.01' AS DECIMAL(2, 2)) AS DECIMAL(18, 2)) AS "transaction_moyenne",
  "items_sold",
  "unique_customers",
  "countries_count"
FROM combined
JOIN distinct_counts
  ON combined."segment" IS NOT DISTINCT FROM "_key_0"
