SELECT
  MAKE_TIMESTAMPTZ(EPOCH_US("horodatage") // 60000000 * 60000000) AS "minute",
  CAST(COUNT(*) AS BIGINT) AS "total_transactions",
  CAST(SUM("montant") AS DECIMAL(28, 2)) AS "revenue_total",
  CAST(SUM("quantite") AS BIGINT) AS "items_sold"
FROM clean
GROUP BY
  MAKE_TIMESTAMPTZ(EPOCH_US("horodatage") // 60000000 * 60000000)
