-- What `clients` (rows of partiels_clients) adds to ventes_par_segment.
SELECT segment,
       CAST(sum(nb_achats) AS BIGINT) AS total_transactions,
       CAST(sum(total_depense) AS DECIMAL(28, 2)) AS revenue_total,
       CAST(sum(total_quantite) AS BIGINT) AS items_sold
FROM clients
GROUP BY segment
