-- unique_customers a country, exact, from ventes_aggreges.
SELECT pays, count(DISTINCT client_id) AS unique_customers FROM ventes_aggreges GROUP BY pays
