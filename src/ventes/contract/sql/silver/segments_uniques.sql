-- unique_customers and countries_count a segment, exact, from ventes_aggreges.
SELECT segment, count(DISTINCT client_id) AS unique_customers, count(DISTINCT pays) AS countries_count
FROM ventes_aggreges GROUP BY segment
