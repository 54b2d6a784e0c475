WITH typed_texts AS (
  SELECT
    *,
    TRY_CAST(t_vente_id AS BIGINT) AS vente_id,
    TRY_CAST(t_client_id AS BIGINT) AS client_id,
    TRY_CAST(t_produit_id AS BIGINT) AS produit_id,
    TRY_CAST(t_quantite AS BIGINT) AS quantite,
    TRY_CAST(t_montant AS DECIMAL(18, 2)) AS montant,
    REGEXP_MATCHES(
      t_timestamp,
      '^2[0-9]{3}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?\z'
    ) AS iso,
    CASE
      WHEN ENDS_WITH(t_timestamp, 'Z')
      THEN 1
      WHEN SUBSTRING(t_timestamp, -6, 1) IN ('+', '-')
      THEN 6
      ELSE 0
    END AS zone_length
  FROM texts
), local_times AS (
  SELECT
    *,
    CASE
      WHEN iso
      THEN TRY_CAST(LEFT(t_timestamp, LEAST(26, LENGTH(t_timestamp) - zone_length)) AS TIMESTAMP)
    END AS local_time
  FROM typed_texts
), offsets AS (
  SELECT
    *,
    CASE
      WHEN zone_length = 1 OR RIGHT(t_timestamp, 6) = '+00:00'
      THEN 0
      WHEN zone_length = 6 AND iso
      THEN (
        CASE WHEN SUBSTRING(t_timestamp, -6, 1) = '-' THEN -60 ELSE 60 END
      ) * (
        60 * TRY_CAST(SUBSTRING(t_timestamp, -5, 2) AS INT) + TRY_CAST(RIGHT(t_timestamp, 2) AS INT)
      )
      WHEN zone_length = 0
      THEN 0
    END AS offset_seconds
  FROM local_times
), instants AS (
  SELECT
    *,
    CASE
      WHEN offset_seconds = 0
      THEN local_time
      ELSE local_time + INTERVAL (
        -offset_seconds
      ) SECOND
    END AS horodatage
  FROM offsets
), dated AS (
  SELECT
    *,
    CAST(horodatage AS DATE) AS jour
  FROM instants
)
SELECT
  *,
  t_client_nom AS client_nom,
  t_produit_nom AS produit_nom,
  t_categorie AS categorie,
  t_pays AS pays,
  t_segment AS segment,
  COALESCE(
    exact_object
    AND vente_id BETWEEN 1 AND 9007199254740991
    AND CAST(vente_id AS TEXT) = t_vente_id
    AND client_id BETWEEN 1 AND 2147483647
    AND CAST(client_id AS TEXT) = t_client_id
    AND produit_id BETWEEN 1 AND 2147483647
    AND CAST(produit_id AS TEXT) = t_produit_id
    AND quantite BETWEEN 1 AND 1000000
    AND CAST(quantite AS TEXT) = t_quantite
    AND montant > 0
    AND montant <= 9999999999.99
    AND CASE
      WHEN CAST(montant AS TEXT) IN (t_montant, t_montant || '0', t_montant || '.00')
      THEN TRUE
      ELSE REGEXP_MATCHES(t_montant, '^(0|[1-9][0-9]{0,8})[.][0-9]{2}(00000|99999)[0-9]{0,12}\z')
    END
    AND horodatage >= CAST('2000-01-03 00:00:00' AS TIMESTAMP)
    AND horodatage <= kafka_ts + INTERVAL '12' HOUR
    AND NOT jour IS NULL
    AND BIT_LENGTH(t_client_nom) <= 1600
    AND BIT_LENGTH(t_produit_nom) <= 1600
    AND BIT_LENGTH(t_categorie) <= 1600
    AND BIT_LENGTH(t_pays) <= 1600
    AND BIT_LENGTH(t_segment) <= 1600,
    FALSE
  ) AS proven
FROM dated
