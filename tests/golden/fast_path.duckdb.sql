WITH _objects AS (
  SELECT
    _row,
    kafka_ts,
    CASE
      WHEN STRLEN(_message) <= 16384
      AND NOT CONTAINS(_message, '\u0000')
      AND CASE
        WHEN SUFFIX(_message, '}')
        AND NOT (
          SUFFIX(_message, ',}')
          OR SUFFIX(_message, ' }')
          OR SUFFIX(_message, CHR(9) || '}')
          OR SUFFIX(_message, CHR(10) || '}')
          OR SUFFIX(_message, CHR(13) || '}')
        )
        THEN TRUE
        ELSE NOT REGEXP_MATCHES(_message, ',[ \t\n\r]*[}]')
      END
      THEN _message
    END AS _message
  FROM _messages
), _read AS (
  SELECT
    *,
    TRY(
      FROM_JSON(
        _message,
        '{"vente_id": "VARCHAR", "client_id": "VARCHAR", "produit_id": "VARCHAR", "timestamp": "VARCHAR", "quantite": "VARCHAR", "montant": "VARCHAR", "client_nom": "JSON", "produit_nom": "JSON", "categorie": "JSON", "pays": "JSON", "segment": "JSON"}'
      )
    ) AS _f
  FROM _objects
), _taken AS (
  SELECT
    *
    REPLACE (CASE WHEN NOT _f IS NULL THEN _message END AS _message)
  FROM _read
), _typed AS (
  SELECT
    *
  FROM _taken
), _asked AS (
  SELECT
    *,
    JSON_KEYS(_message) AS _keys0
  FROM _typed
), _parsed AS (
  SELECT
    *,
    LENGTH(_keys0) = 11 AS _exact
  FROM _asked
), _step0 AS (
  SELECT
    *,
    _f."vente_id" AS "_t_vente_id",
    _f."client_id" AS "_t_client_id",
    _f."produit_id" AS "_t_produit_id",
    _f."timestamp" AS "_t_timestamp",
    _f."quantite" AS "_t_quantite",
    _f."montant" AS "_t_montant",
    _f."client_nom" AS "_j_client_nom",
    CASE
      WHEN STARTS_WITH(_f."client_nom", '"')
      THEN TRY(FROM_JSON(_f."client_nom", '"VARCHAR"'))
    END AS "_n_client_nom",
    _f."produit_nom" AS "_j_produit_nom",
    CASE
      WHEN STARTS_WITH(_f."produit_nom", '"')
      THEN TRY(FROM_JSON(_f."produit_nom", '"VARCHAR"'))
    END AS "_n_produit_nom",
    _f."categorie" AS "_j_categorie",
    CASE
      WHEN STARTS_WITH(_f."categorie", '"')
      THEN TRY(FROM_JSON(_f."categorie", '"VARCHAR"'))
    END AS "_n_categorie",
    _f."pays" AS "_j_pays",
    CASE
      WHEN STARTS_WITH(_f."pays", '"')
      THEN TRY(FROM_JSON(_f."pays", '"VARCHAR"'))
    END AS "_n_pays",
    _f."segment" AS "_j_segment",
    CASE
      WHEN STARTS_WITH(_f."segment", '"')
      THEN TRY(FROM_JSON(_f."segment", '"VARCHAR"'))
    END AS "_n_segment"
  FROM _parsed
), _step1 AS (
  SELECT
    *,
    TRY_CAST("_t_vente_id" AS BIGINT) AS "vente_id",
    TRY_CAST("_t_client_id" AS BIGINT) AS "client_id",
    TRY_CAST("_t_produit_id" AS BIGINT) AS "produit_id",
    REGEXP_MATCHES(
      "_t_timestamp",
      '^[12][0-9]{3}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?\z'
    ) AS "_iso_timestamp",
    CASE
      WHEN ENDS_WITH("_t_timestamp", 'Z')
      THEN 1
      WHEN SUBSTRING("_t_timestamp", -6, 1) IN ('+', '-')
      THEN 6
      ELSE 0
    END AS "_zone_length_timestamp",
    TRY_CAST("_t_quantite" AS BIGINT) AS "quantite",
    TRY_CAST("_t_montant" AS DECIMAL(18, 2)) AS "montant",
    CASE
      WHEN (
        "_n_client_nom" >= '!' AND "_n_client_nom" < CHR(133)
      )
      OR (
        "_n_client_nom" >= '¡' AND "_n_client_nom" < 'ᙿ'
      )
      OR "_n_client_nom" >= '、'
      THEN "_n_client_nom"
      WHEN NOT (
        REGEXP_FULL_MATCH(
          "_n_client_nom",
          '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
        )
      )
      THEN "_n_client_nom"
    END AS "client_nom",
    CASE
      WHEN (
        "_n_produit_nom" >= '!' AND "_n_produit_nom" < CHR(133)
      )
      OR (
        "_n_produit_nom" >= '¡' AND "_n_produit_nom" < 'ᙿ'
      )
      OR "_n_produit_nom" >= '、'
      THEN "_n_produit_nom"
      WHEN NOT (
        REGEXP_FULL_MATCH(
          "_n_produit_nom",
          '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
        )
      )
      THEN "_n_produit_nom"
    END AS "produit_nom",
    CASE
      WHEN (
        "_n_categorie" >= '!' AND "_n_categorie" < CHR(133)
      )
      OR (
        "_n_categorie" >= '¡' AND "_n_categorie" < 'ᙿ'
      )
      OR "_n_categorie" >= '、'
      THEN "_n_categorie"
      WHEN NOT (
        REGEXP_FULL_MATCH(
          "_n_categorie",
          '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
        )
      )
      THEN "_n_categorie"
    END AS "categorie",
    CASE
      WHEN (
        "_n_pays" >= '!' AND "_n_pays" < CHR(133)
      )
      OR (
        "_n_pays" >= '¡' AND "_n_pays" < 'ᙿ'
      )
      OR "_n_pays" >= '、'
      THEN "_n_pays"
      WHEN NOT (
        REGEXP_FULL_MATCH(
          "_n_pays",
          '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
        )
      )
      THEN "_n_pays"
    END AS "pays",
    CASE
      WHEN (
        "_n_segment" >= '!' AND "_n_segment" < CHR(133)
      )
      OR (
        "_n_segment" >= '¡' AND "_n_segment" < 'ᙿ'
      )
      OR "_n_segment" >= '、'
      THEN "_n_segment"
      WHEN NOT (
        REGEXP_FULL_MATCH(
          "_n_segment",
          '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
        )
      )
      THEN "_n_segment"
    END AS "segment"
  FROM _step0
), _step2 AS (
  SELECT
    *,
    CASE
      WHEN "_iso_timestamp"
      THEN TRY_CAST(LEFT("_t_timestamp", LEAST(26, LENGTH("_t_timestamp") - "_zone_length_timestamp")) AS TIMESTAMP)
    END AS "_local_timestamp"
  FROM _step1
), _step3 AS (
  SELECT
    *,
    CASE
      WHEN "_zone_length_timestamp" = 1 OR RIGHT("_t_timestamp", 6) = '+00:00'
      THEN 0
      WHEN "_zone_length_timestamp" = 6 AND "_iso_timestamp"
      THEN (
        CASE WHEN SUBSTRING("_t_timestamp", -6, 1) = '-' THEN -60 ELSE 60 END
      ) * (
        60 * TRY_CAST(SUBSTRING("_t_timestamp", -5, 2) AS INT) + TRY_CAST(RIGHT("_t_timestamp", 2) AS INT)
      )
      WHEN "_zone_length_timestamp" = 0
      THEN 0
    END AS "_offset_timestamp"
  FROM _step2
), _step4 AS (
  SELECT
    *,
    CASE
      WHEN "_offset_timestamp" = 0
      THEN "_local_timestamp"
      ELSE "_local_timestamp" + INTERVAL (
        -"_offset_timestamp"
      ) SECOND
    END AS "timestamp"
  FROM _step3
), _step5 AS (
  SELECT
    *,
    "vente_id" BETWEEN 1 AND 9007199254740991
    AND CAST("vente_id" AS TEXT) = "_t_vente_id" AS "_p_vente_id",
    "client_id" BETWEEN 1 AND 2147483647
    AND CAST("client_id" AS TEXT) = "_t_client_id" AS "_p_client_id",
    "produit_id" BETWEEN 1 AND 2147483647
    AND CAST("produit_id" AS TEXT) = "_t_produit_id" AS "_p_produit_id",
    NOT "timestamp" IS NULL AS "_p_timestamp",
    "quantite" BETWEEN 1 AND 1000000 AND CAST("quantite" AS TEXT) = "_t_quantite" AS "_p_quantite",
    "montant" BETWEEN 0.01 AND 8589934591.00
    AND CASE
      WHEN CAST("montant" AS TEXT) IN ("_t_montant", "_t_montant" || '0', "_t_montant" || '.00')
      THEN TRUE
      ELSE REGEXP_MATCHES("_t_montant", '^(0|[1-9][0-9]{0,8})[.][0-9]{2}(00000|99999)[0-9]{0,12}\z')
    END AS "_p_montant",
    CASE
      WHEN BIT_LENGTH("client_nom") <= 1600
      THEN TRUE
      ELSE LENGTH("client_nom") <= 200
    END AS "_p_client_nom",
    CASE
      WHEN BIT_LENGTH("produit_nom") <= 1600
      THEN TRUE
      ELSE LENGTH("produit_nom") <= 200
    END AS "_p_produit_nom",
    CASE
      WHEN BIT_LENGTH("categorie") <= 1600
      THEN TRUE
      ELSE LENGTH("categorie") <= 200
    END AS "_p_categorie",
    CASE WHEN BIT_LENGTH("pays") <= 1600 THEN TRUE ELSE LENGTH("pays") <= 200 END AS "_p_pays",
    CASE WHEN BIT_LENGTH("segment") <= 1600 THEN TRUE ELSE LENGTH("segment") <= 200 END AS "_p_segment",
    CAST("timestamp" AS DATE) AS "_day"
  FROM _step4
), _step6 AS (
  SELECT
    *,
    COALESCE(
      _exact
      AND "_p_vente_id"
      AND "_p_client_id"
      AND "_p_produit_id"
      AND "_p_timestamp"
      AND "_p_quantite"
      AND "_p_montant"
      AND "_p_client_nom"
      AND "_p_produit_nom"
      AND "_p_categorie"
      AND "_p_pays"
      AND "_p_segment"
      AND "timestamp" BETWEEN CAST('2000-01-03 00:00:00' AS TIMESTAMP) AND kafka_ts + INTERVAL '12' HOUR
      AND NOT _day IS NULL,
      FALSE
    ) AS "_plain"
  FROM _step5
)
SELECT
  _row,
  kafka_ts,
  "vente_id",
  "client_id",
  "produit_id",
  "timestamp",
  "quantite",
  "montant",
  "client_nom",
  "produit_nom",
  "categorie",
  "pays",
  "segment",
  _day AS jour,
  CASE WHEN _plain THEN '' END AS _reasons,
  CAST(NULL AS TEXT) AS _extra,
  FALSE AS _extra_open,
  CASE
    WHEN NOT _plain
    THEN [
      CAST("_t_vente_id" AS TEXT),
      CAST("_t_client_id" AS TEXT),
      CAST("_t_produit_id" AS TEXT),
      CAST("_t_timestamp" AS TEXT),
      CAST("_t_quantite" AS TEXT),
      CAST("_t_montant" AS TEXT),
      CAST("_j_client_nom" AS TEXT),
      CAST("_n_client_nom" AS TEXT),
      CAST("_j_produit_nom" AS TEXT),
      CAST("_n_produit_nom" AS TEXT),
      CAST("_j_categorie" AS TEXT),
      CAST("_n_categorie" AS TEXT),
      CAST("_j_pays" AS TEXT),
      CAST("_n_pays" AS TEXT),
      CAST("_j_segment" AS TEXT),
      CAST("_n_segment" AS TEXT),
      CAST("_message" AS TEXT)
    ]
  END AS _texts,
  CASE
    WHEN NOT _plain
    THEN [
      CAST("_p_vente_id" AS BOOLEAN),
      CAST("_p_client_id" AS BOOLEAN),
      CAST("_p_produit_id" AS BOOLEAN),
      CAST("_p_timestamp" AS BOOLEAN),
      CAST("_p_quantite" AS BOOLEAN),
      CAST("_p_montant" AS BOOLEAN),
      CAST("_p_client_nom" AS BOOLEAN),
      CAST("_p_produit_nom" AS BOOLEAN),
      CAST("_p_categorie" AS BOOLEAN),
      CAST("_p_pays" AS BOOLEAN),
      CAST("_p_segment" AS BOOLEAN)
    ]
  END AS _proofs
FROM _step6
