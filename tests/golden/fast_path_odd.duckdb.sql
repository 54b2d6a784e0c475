WITH _step0 AS (
  SELECT
    *,
    _texts[1] AS "_t_vente_id",
    _texts[2] AS "_t_client_id",
    _texts[3] AS "_t_produit_id",
    _texts[4] AS "_t_timestamp",
    _texts[5] AS "_t_quantite",
    _texts[6] AS "_t_montant",
    _texts[7] AS "_j_client_nom",
    _texts[8] AS "_n_client_nom",
    _texts[9] AS "_j_produit_nom",
    _texts[10] AS "_n_produit_nom",
    _texts[11] AS "_j_categorie",
    _texts[12] AS "_n_categorie",
    _texts[13] AS "_j_pays",
    _texts[14] AS "_n_pays",
    _texts[15] AS "_j_segment",
    _texts[16] AS "_n_segment",
    _texts[17] AS "_message",
    _proofs[1] AS "_p_vente_id",
    _proofs[2] AS "_p_client_id",
    _proofs[3] AS "_p_produit_id",
    _proofs[4] AS "_p_timestamp",
    _proofs[5] AS "_p_quantite",
    _proofs[6] AS "_p_montant",
    _proofs[7] AS "_p_client_nom",
    _proofs[8] AS "_p_produit_nom",
    _proofs[9] AS "_p_categorie",
    _proofs[10] AS "_p_pays",
    _proofs[11] AS "_p_segment"
  FROM _odd
), _step1 AS (
  SELECT
    *,
    CASE
      WHEN NOT COALESCE("_p_montant", FALSE)
      THEN CASE
        WHEN REGEXP_FULL_MATCH("_t_montant", '-?(?:0|[1-9][0-9]{0,9})[.][0-9]{3,17}')
        THEN TRY_CAST("_t_montant" AS DOUBLE)
      END
    END AS "_long_montant",
    JSON_KEYS(_message) AS "_keys0"
  FROM _step0
), _step2 AS (
  SELECT
    *,
    CASE
      WHEN "_t_vente_id" IS NULL
      THEN 1
      WHEN "_p_vente_id"
      THEN 0
      WHEN REGEXP_FULL_MATCH(
        "_t_vente_id",
        '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
      )
      THEN 2
      WHEN CAST("vente_id" AS TEXT) = "_t_vente_id"
      AND NOT "vente_id" BETWEEN 1 AND 9007199254740991
      THEN 3
      WHEN "vente_id" IS NULL AND REGEXP_FULL_MATCH("_t_vente_id", '-?[1-9][0-9]{18,}')
      THEN 4
      WHEN NOT REGEXP_FULL_MATCH("_t_vente_id", '(?s)[{\[].*|-?(?i:nan|inf|infinity)|-?(?:0|[1-9][0-9]*)')
      THEN 5
    END AS "_case_vente_id",
    CASE
      WHEN "_t_client_id" IS NULL
      THEN 1
      WHEN "_p_client_id"
      THEN 0
      WHEN REGEXP_FULL_MATCH(
        "_t_client_id",
        '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
      )
      THEN 2
      WHEN CAST("client_id" AS TEXT) = "_t_client_id"
      AND NOT "client_id" BETWEEN 1 AND 2147483647
      THEN 3
      WHEN "client_id" IS NULL AND REGEXP_FULL_MATCH("_t_client_id", '-?[1-9][0-9]{18,}')
      THEN 4
      WHEN NOT REGEXP_FULL_MATCH("_t_client_id", '(?s)[{\[].*|-?(?i:nan|inf|infinity)|-?(?:0|[1-9][0-9]*)')
      THEN 5
    END AS "_case_client_id",
    CASE
      WHEN "_t_produit_id" IS NULL
      THEN 1
      WHEN "_p_produit_id"
      THEN 0
      WHEN REGEXP_FULL_MATCH(
        "_t_produit_id",
        '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
      )
      THEN 2
      WHEN CAST("produit_id" AS TEXT) = "_t_produit_id"
      AND NOT "produit_id" BETWEEN 1 AND 2147483647
      THEN 3
      WHEN "produit_id" IS NULL AND REGEXP_FULL_MATCH("_t_produit_id", '-?[1-9][0-9]{18,}')
      THEN 4
      WHEN NOT REGEXP_FULL_MATCH("_t_produit_id", '(?s)[{\[].*|-?(?i:nan|inf|infinity)|-?(?:0|[1-9][0-9]*)')
      THEN 5
    END AS "_case_produit_id",
    CASE
      WHEN "_t_timestamp" IS NULL
      THEN 1
      WHEN "_p_timestamp"
      THEN 0
      WHEN REGEXP_FULL_MATCH(
        "_t_timestamp",
        '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
      )
      THEN 2
      WHEN CASE
        WHEN REGEXP_FULL_MATCH("_t_timestamp", 'true|false|-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?(?:[eE][+-]?[0-9]+)?')
        THEN JSON_TYPE(_message, '$."timestamp"') <> 'VARCHAR'
        ELSE FALSE
      END
      THEN 3
      WHEN CASE
        WHEN REGEXP_FULL_MATCH("_t_timestamp", 'true|false|-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?(?:[eE][+-]?[0-9]+)?')
        THEN JSON_TYPE(_message, '$."timestamp"') = 'VARCHAR'
        ELSE NOT REGEXP_FULL_MATCH("_t_timestamp", '(?s)[{\[].*|-?(?i:nan|inf|infinity)')
      END
      AND CASE
        WHEN REGEXP_FULL_MATCH(
          "_t_timestamp",
          '[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?'
        )
        THEN TRY_CAST(LEFT("_t_timestamp", 10) AS DATE) IS NULL
        OR SUBSTRING("_t_timestamp", 12, 2) > '23'
        OR SUBSTRING("_t_timestamp", 15, 2) > '59'
        OR (
          SUBSTRING("_t_timestamp", 17, 1) = ':'
          AND SUBSTRING("_t_timestamp", 18, 2) > '59'
        )
        ELSE TRUE
      END
      THEN 4
    END AS "_case_timestamp",
    CASE
      WHEN "_t_quantite" IS NULL
      THEN 1
      WHEN "_p_quantite"
      THEN 0
      WHEN REGEXP_FULL_MATCH(
        "_t_quantite",
        '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
      )
      THEN 2
      WHEN CAST("quantite" AS TEXT) = "_t_quantite" AND NOT "quantite" BETWEEN 1 AND 1000000
      THEN 3
      WHEN "quantite" IS NULL AND REGEXP_FULL_MATCH("_t_quantite", '-?[1-9][0-9]{18,}')
      THEN 4
      WHEN NOT REGEXP_FULL_MATCH("_t_quantite", '(?s)[{\[].*|-?(?i:nan|inf|infinity)|-?(?:0|[1-9][0-9]*)')
      THEN 5
    END AS "_case_quantite",
    CASE
      WHEN "_t_montant" IS NULL
      THEN 1
      WHEN "_p_montant"
      THEN 0
      WHEN REGEXP_FULL_MATCH(
        "_t_montant",
        '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
      )
      THEN 2
      WHEN ABS("montant") <= 8589934591
      AND CASE
        WHEN "_t_montant" = '0.0'
        THEN NOT REGEXP_MATCHES(_message, '[0-9][eE]-[0-9]')
        WHEN CAST("montant" AS TEXT) IN ("_t_montant", "_t_montant" || '0', "_t_montant" || '.00')
        THEN TRUE
        ELSE REGEXP_MATCHES("_t_montant", '^-?(0|[1-9][0-9]{0,8})[.][0-9]{2}(00000|99999)[0-9]{0,12}\z')
      END
      THEN 3
      WHEN REGEXP_FULL_MATCH("_t_montant", '-?(?:0|[1-9][0-9]{0,15})')
      THEN 4
      WHEN REGEXP_FULL_MATCH("_t_montant", '-?[1-9][0-9]{16,}')
      THEN 5
      WHEN ABS("montant") <= 8589934591
      AND ABS("_long_montant" - "montant") > 0.00001
      AND ABS("_long_montant" - 0.01) > 0.00001
      AND ABS("_long_montant" - 9999999999.99) > 0.00001
      AND ABS("_long_montant" - 0) > 0.00001
      THEN 6
      WHEN NOT REGEXP_FULL_MATCH(
        "_t_montant",
        '(?s)[{\[].*|-?(?i:nan|inf|infinity)|-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?(?:[eE][+-]?[0-9]+)?'
      )
      THEN 7
    END AS "_case_montant",
    CASE
      WHEN "_j_client_nom" IS NULL
      THEN 1
      WHEN "_p_client_nom"
      THEN 0
      WHEN REGEXP_FULL_MATCH(
        "_n_client_nom",
        '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
      )
      THEN 2
      WHEN "_j_client_nom" IN ('true', 'false')
      OR REGEXP_FULL_MATCH("_j_client_nom", '-?[1-9][0-9]*')
      THEN 3
      WHEN LENGTH("client_nom") > 200
      THEN 4
    END AS "_case_client_nom",
    CASE
      WHEN "_j_produit_nom" IS NULL
      THEN 1
      WHEN "_p_produit_nom"
      THEN 0
      WHEN REGEXP_FULL_MATCH(
        "_n_produit_nom",
        '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
      )
      THEN 2
      WHEN "_j_produit_nom" IN ('true', 'false')
      OR REGEXP_FULL_MATCH("_j_produit_nom", '-?[1-9][0-9]*')
      THEN 3
      WHEN LENGTH("produit_nom") > 200
      THEN 4
    END AS "_case_produit_nom",
    CASE
      WHEN "_j_categorie" IS NULL
      THEN 1
      WHEN "_p_categorie"
      THEN 0
      WHEN REGEXP_FULL_MATCH(
        "_n_categorie",
        '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
      )
      THEN 2
      WHEN "_j_categorie" IN ('true', 'false')
      OR REGEXP_FULL_MATCH("_j_categorie", '-?[1-9][0-9]*')
      THEN 3
      WHEN LENGTH("categorie") > 200
      THEN 4
    END AS "_case_categorie",
    CASE
      WHEN "_j_pays" IS NULL
      THEN 1
      WHEN "_p_pays"
      THEN 0
      WHEN REGEXP_FULL_MATCH(
        "_n_pays",
        '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
      )
      THEN 2
      WHEN "_j_pays" IN ('true', 'false') OR REGEXP_FULL_MATCH("_j_pays", '-?[1-9][0-9]*')
      THEN 3
      WHEN LENGTH("pays") > 200
      THEN 4
    END AS "_case_pays",
    CASE
      WHEN "_j_segment" IS NULL
      THEN 1
      WHEN "_p_segment"
      THEN 0
      WHEN REGEXP_FULL_MATCH(
        "_n_segment",
        '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
      )
      THEN 2
      WHEN "_j_segment" IN ('true', 'false')
      OR REGEXP_FULL_MATCH("_j_segment", '-?[1-9][0-9]*')
      THEN 3
      WHEN LENGTH("segment") > 200
      THEN 4
    END AS "_case_segment",
    CAST((
      NOT "_t_vente_id" IS NULL
    ) AS INT) + CAST((
      NOT "_t_client_id" IS NULL
    ) AS INT) + CAST((
      NOT "_t_produit_id" IS NULL
    ) AS INT) + CAST((
      NOT "_t_timestamp" IS NULL
    ) AS INT) + CAST((
      NOT "_t_quantite" IS NULL
    ) AS INT) + CAST((
      NOT "_t_montant" IS NULL
    ) AS INT) + CAST((
      NOT "_j_client_nom" IS NULL
    ) AS INT) + CAST((
      NOT "_j_produit_nom" IS NULL
    ) AS INT) + CAST((
      NOT "_j_categorie" IS NULL
    ) AS INT) + CAST((
      NOT "_j_pays" IS NULL
    ) AS INT) + CAST((
      NOT "_j_segment" IS NULL
    ) AS INT) AS "_present0"
  FROM _step1
), _step3 AS (
  SELECT
    *,
    CASE
      WHEN "_case_vente_id" = 0
      THEN "vente_id"
      WHEN "_case_vente_id" = 3
      THEN "vente_id"
    END AS "_shown_vente_id",
    CASE
      WHEN "_case_client_id" = 0
      THEN "client_id"
      WHEN "_case_client_id" = 3
      THEN "client_id"
    END AS "_shown_client_id",
    CASE
      WHEN "_case_produit_id" = 0
      THEN "produit_id"
      WHEN "_case_produit_id" = 3
      THEN "produit_id"
    END AS "_shown_produit_id",
    CASE WHEN "_case_timestamp" = 0 THEN "timestamp" END AS "_shown_timestamp",
    CASE
      WHEN "_case_quantite" = 0
      THEN "quantite"
      WHEN "_case_quantite" = 3
      THEN "quantite"
    END AS "_shown_quantite",
    CASE
      WHEN "_case_montant" = 0
      THEN "montant"
      WHEN "_case_montant" = 3
      THEN "montant"
      WHEN "_case_montant" = 4
      THEN "montant"
    END AS "_shown_montant",
    CASE
      WHEN "_case_client_nom" = 0
      THEN "client_nom"
      WHEN "_case_client_nom" = 2
      THEN "_n_client_nom"
      WHEN "_case_client_nom" = 3
      THEN CAST("_j_client_nom" AS TEXT)
      WHEN "_case_client_nom" = 4
      THEN "client_nom"
    END AS "_shown_client_nom",
    CASE
      WHEN "_case_produit_nom" = 0
      THEN "produit_nom"
      WHEN "_case_produit_nom" = 2
      THEN "_n_produit_nom"
      WHEN "_case_produit_nom" = 3
      THEN CAST("_j_produit_nom" AS TEXT)
      WHEN "_case_produit_nom" = 4
      THEN "produit_nom"
    END AS "_shown_produit_nom",
    CASE
      WHEN "_case_categorie" = 0
      THEN "categorie"
      WHEN "_case_categorie" = 2
      THEN "_n_categorie"
      WHEN "_case_categorie" = 3
      THEN CAST("_j_categorie" AS TEXT)
      WHEN "_case_categorie" = 4
      THEN "categorie"
    END AS "_shown_categorie",
    CASE
      WHEN "_case_pays" = 0
      THEN "pays"
      WHEN "_case_pays" = 2
      THEN "_n_pays"
      WHEN "_case_pays" = 3
      THEN CAST("_j_pays" AS TEXT)
      WHEN "_case_pays" = 4
      THEN "pays"
    END AS "_shown_pays",
    CASE
      WHEN "_case_segment" = 0
      THEN "segment"
      WHEN "_case_segment" = 2
      THEN "_n_segment"
      WHEN "_case_segment" = 3
      THEN CAST("_j_segment" AS TEXT)
      WHEN "_case_segment" = 4
      THEN "segment"
    END AS "_shown_segment",
    CASE
      WHEN LENGTH(_keys0) = _present0
      THEN CAST([] AS TEXT[])
      ELSE LIST_FILTER(
        _keys0,
        LAMBDA key : NOT key IN (
          'vente_id',
          'client_id',
          'produit_id',
          'timestamp',
          'quantite',
          'montant',
          'client_nom',
          'produit_nom',
          'categorie',
          'pays',
          'segment'
        )
      )
    END AS "_new0"
  FROM _step2
), _step4 AS (
  SELECT
    *,
    COALESCE(
      NOT "_shown_timestamp" BETWEEN CAST('2000-01-01 00:00:00' AS TIMESTAMP) AND kafka_ts + INTERVAL '24' HOUR,
      FALSE
    ) AS "_late",
    CASE
      WHEN "_shown_timestamp" IS NULL
      OR "_shown_timestamp" < CAST('2000-01-01 00:00:00' AS TIMESTAMP) - INTERVAL '2' DAY
      OR "_shown_timestamp" > kafka_ts + INTERVAL '4' DAY
      THEN CAST(kafka_ts AS DATE)
      WHEN jour BETWEEN CAST(CAST('2000-01-01 00:00:00' AS TIMESTAMP) AS DATE) AND CAST(kafka_ts AS DATE) + 1
      THEN jour
      WHEN NOT (
        jour BETWEEN CAST(CAST('2000-01-01 00:00:00' AS TIMESTAMP) AS DATE) AND CAST(kafka_ts AS DATE) + 1
      )
      THEN CAST(kafka_ts AS DATE)
    END AS "_jour",
    "_case_vente_id" + "_case_client_id" + "_case_produit_id" + "_case_timestamp" + "_case_quantite" + "_case_montant" + "_case_client_nom" + "_case_produit_nom" + "_case_categorie" + "_case_pays" + "_case_segment" AS "_cases"
  FROM _step3
), _step5 AS (
  SELECT
    *,
    CASE
      WHEN LENGTH(_keys0) - LENGTH(_new0) = _present0
      THEN CASE WHEN LENGTH(_new0) <= 1 THEN TRUE ELSE LIST_UNIQUE(_new0) = LENGTH(_new0) END
      ELSE LIST_UNIQUE(_keys0) = LENGTH(_keys0)
    END AS "_different0"
  FROM _step4
), _step6 AS (
  SELECT
    *,
    CASE
      WHEN LENGTH(_new0) > 0
      THEN LENGTH(_new0) <= 3
      AND REGEXP_FULL_MATCH(ARRAY_TO_STRING(_new0, ','), '[A-Za-z0-9_ -]+(,[A-Za-z0-9_ -]+)*')
    END AS "_few0",
    TRY(
      FROM_JSON(
        CASE
          WHEN _different0
          AND LENGTH(_new0) > 0
          AND NOT (
            LENGTH(_new0) <= 3
            AND REGEXP_FULL_MATCH(ARRAY_TO_STRING(_new0, ','), '[A-Za-z0-9_ -]+(,[A-Za-z0-9_ -]+)*')
          )
          THEN _message
        END,
        '"MAP(VARCHAR, JSON)"'
      )
    ) AS "_map0"
  FROM _step5
), _step7 AS (
  SELECT
    *,
    CASE
      WHEN _few0 AND _different0
      THEN LIST_TRANSFORM(
        _new0,
        LAMBDA key : {'key': key, 'value': (
          _message -> (
            '$."' || key || '"'
          )
        )}
      )
      WHEN NOT _map0 IS NULL
      THEN LIST_FILTER(
        MAP_ENTRIES(_map0),
        LAMBDA member : NOT member.key IN (
          'vente_id',
          'client_id',
          'produit_id',
          'timestamp',
          'quantite',
          'montant',
          'client_nom',
          'produit_nom',
          'categorie',
          'pays',
          'segment'
        )
      )
    END AS "_unknown0"
  FROM _step6
), _step8 AS (
  SELECT
    *,
    CASE
      WHEN LENGTH(_new0) = 0
      THEN FALSE
      WHEN LENGTH(_unknown0) = LENGTH(_new0)
      THEN LENGTH(
        LIST_FILTER(
          _unknown0,
          LAMBDA member : NOT (
            NOT CONTAINS(TO_JSON(member.key), '\u')
            AND COALESCE(
              CASE
                WHEN member.value IS NULL OR member.value IN ('true', 'false', 'null')
                THEN TRUE
                WHEN STARTS_WITH(member.value, '"')
                THEN NOT CONTAINS(member.value, '\u')
                WHEN REGEXP_FULL_MATCH(member.value, '-?[1-9][0-9]*')
                THEN TRUE
                WHEN member.value = '0'
                THEN NOT REGEXP_MATCHES(_message, '-0[ \t\n\r,}]')
                ELSE CASE
                  WHEN NOT REGEXP_FULL_MATCH(member.value, '-?[0-9]+[.][0-9]+')
                  THEN FALSE
                  WHEN NOT REGEXP_FULL_MATCH(member.key, '\w+') OR _message LIKE '%{%{%'
                  THEN FALSE
                  WHEN CONTAINS(_message, '\' || '"' || member.key || '"')
                  THEN FALSE
                  WHEN CONTAINS(_message, '"' || member.key || '"' || ': ' || member.value || ',')
                  THEN TRUE
                  WHEN CONTAINS(_message, '"' || member.key || '"' || ':' || member.value || ',')
                  THEN TRUE
                  WHEN CONTAINS(_message, '"' || member.key || '"' || ': ' || member.value || '}')
                  THEN TRUE
                  WHEN CONTAINS(_message, '"' || member.key || '"' || ':' || member.value || '}')
                  THEN TRUE
                  WHEN CONTAINS(_message, '"' || member.key || '"' || ': ' || member.value || CHR(10))
                  THEN TRUE
                  WHEN CONTAINS(_message, '"' || member.key || '"' || ':' || member.value || CHR(10))
                  THEN TRUE
                  WHEN CONTAINS(_message, '"' || member.key || '"' || ': ' || member.value || CHR(13))
                  THEN TRUE
                  WHEN CONTAINS(_message, '"' || member.key || '"' || ':' || member.value || CHR(13))
                  THEN TRUE
                  ELSE FALSE
                END
              END,
              FALSE
            )
          )
        )
      ) > 0
      ELSE TRUE
    END AS "_open0"
  FROM _step7
), _step9 AS (
  SELECT
    *,
    CASE
      WHEN LENGTH(_unknown0) > 0
      THEN '{' || ARRAY_TO_STRING(
        LIST_TRANSFORM(
          LIST_SORT(_unknown0),
          LAMBDA member : TO_JSON(member.key) || ':' || COALESCE(member.value, 'null')
        ),
        ','
      ) || '}'
    END AS "_extra0"
  FROM _step8
)
SELECT
  _row,
  "_shown_vente_id" AS "vente_id",
  "_shown_client_id" AS "client_id",
  "_shown_produit_id" AS "produit_id",
  "_shown_timestamp" AS "timestamp",
  "_shown_quantite" AS "quantite",
  "_shown_montant" AS "montant",
  "_shown_client_nom" AS "client_nom",
  "_shown_produit_nom" AS "produit_nom",
  "_shown_categorie" AS "categorie",
  "_shown_pays" AS "pays",
  "_shown_segment" AS "segment",
  _jour AS jour,
  CASE
    WHEN REGEXP_MATCHES(_message, '^[ \t\n\r]*[{]') AND _different0 AND NOT _jour IS NULL
    THEN CASE
      WHEN _cases = 0 AND NOT _late
      THEN ''
      WHEN NOT _cases IS NULL
      THEN CASE WHEN _late THEN 'time_out_of_range,' ELSE '' END || CASE "_case_vente_id"
        WHEN 0
        THEN ''
        WHEN 1
        THEN 'missing:vente_id,'
        WHEN 2
        THEN 'missing:vente_id,'
        WHEN 3
        THEN 'range:vente_id,'
        WHEN 4
        THEN 'range:vente_id,'
        WHEN 5
        THEN 'type:vente_id,'
      END || CASE "_case_client_id"
        WHEN 0
        THEN ''
        WHEN 1
        THEN 'missing:client_id,'
        WHEN 2
        THEN 'missing:client_id,'
        WHEN 3
        THEN 'range:client_id,'
        WHEN 4
        THEN 'range:client_id,'
        WHEN 5
        THEN 'type:client_id,'
      END || CASE "_case_produit_id"
        WHEN 0
        THEN ''
        WHEN 1
        THEN 'missing:produit_id,'
        WHEN 2
        THEN 'missing:produit_id,'
        WHEN 3
        THEN 'range:produit_id,'
        WHEN 4
        THEN 'range:produit_id,'
        WHEN 5
        THEN 'type:produit_id,'
      END || CASE "_case_timestamp"
        WHEN 0
        THEN ''
        WHEN 1
        THEN 'missing:timestamp,'
        WHEN 2
        THEN 'missing:timestamp,'
        WHEN 3
        THEN 'type:timestamp,'
        WHEN 4
        THEN 'time_unreadable,'
      END || CASE "_case_quantite"
        WHEN 0
        THEN ''
        WHEN 1
        THEN 'missing:quantite,'
        WHEN 2
        THEN 'missing:quantite,'
        WHEN 3
        THEN 'range:quantite,'
        WHEN 4
        THEN 'range:quantite,'
        WHEN 5
        THEN 'type:quantite,'
      END || CASE "_case_montant"
        WHEN 0
        THEN ''
        WHEN 1
        THEN 'missing:montant,'
        WHEN 2
        THEN 'missing:montant,'
        WHEN 3
        THEN CASE WHEN "montant" < 0 THEN 'negative:montant,' ELSE '' END || CASE WHEN "montant" = 0 THEN 'zero:montant,' ELSE '' END || CASE
          WHEN ABS("montant") > 9999999999.99 OR (
            0 < "montant" AND "montant" < 0.01
          )
          THEN 'range:montant,'
          ELSE ''
        END
        WHEN 4
        THEN CASE WHEN "montant" < 0 THEN 'negative:montant,' ELSE '' END || CASE WHEN "montant" = 0 THEN 'zero:montant,' ELSE '' END || CASE
          WHEN ABS("montant") > 9999999999.99 OR (
            0 < "montant" AND "montant" < 0.01
          )
          THEN 'range:montant,'
          ELSE ''
        END
        WHEN 5
        THEN CASE
          WHEN CASE
            WHEN STARTS_WITH("_t_montant", '-')
            THEN -10000000000000000
            ELSE 10000000000000000
          END < 0
          THEN 'negative:montant,'
          ELSE ''
        END || CASE
          WHEN CASE
            WHEN STARTS_WITH("_t_montant", '-')
            THEN -10000000000000000
            ELSE 10000000000000000
          END = 0
          THEN 'zero:montant,'
          ELSE ''
        END || CASE
          WHEN ABS(
            CASE
              WHEN STARTS_WITH("_t_montant", '-')
              THEN -10000000000000000
              ELSE 10000000000000000
            END
          ) > 9999999999.99
          OR (
            0 < CASE
              WHEN STARTS_WITH("_t_montant", '-')
              THEN -10000000000000000
              ELSE 10000000000000000
            END
            AND CASE
              WHEN STARTS_WITH("_t_montant", '-')
              THEN -10000000000000000
              ELSE 10000000000000000
            END < 0.01
          )
          THEN 'range:montant,'
          ELSE ''
        END
        WHEN 6
        THEN CASE WHEN "_long_montant" < 0 THEN 'negative:montant,' ELSE '' END || CASE WHEN "_long_montant" = 0 THEN 'zero:montant,' ELSE '' END || CASE WHEN ABS("_long_montant") > 9999999999.99 THEN 'range:montant,' ELSE '' END || 'not_cents:montant,'
        WHEN 7
        THEN 'type:montant,'
      END || CASE "_case_client_nom"
        WHEN 0
        THEN ''
        WHEN 1
        THEN 'missing:client_nom,'
        WHEN 2
        THEN 'missing:client_nom,'
        WHEN 3
        THEN 'type:client_nom,'
        WHEN 4
        THEN 'too_long:client_nom,'
      END || CASE "_case_produit_nom"
        WHEN 0
        THEN ''
        WHEN 1
        THEN 'missing:produit_nom,'
        WHEN 2
        THEN 'missing:produit_nom,'
        WHEN 3
        THEN 'type:produit_nom,'
        WHEN 4
        THEN 'too_long:produit_nom,'
      END || CASE "_case_categorie"
        WHEN 0
        THEN ''
        WHEN 1
        THEN 'missing:categorie,'
        WHEN 2
        THEN 'missing:categorie,'
        WHEN 3
        THEN 'type:categorie,'
        WHEN 4
        THEN 'too_long:categorie,'
      END || CASE "_case_pays"
        WHEN 0
        THEN ''
        WHEN 1
        THEN 'missing:pays,'
        WHEN 2
        THEN 'missing:pays,'
        WHEN 3
        THEN 'type:pays,'
        WHEN 4
        THEN 'too_long:pays,'
      END || CASE "_case_segment"
        WHEN 0
        THEN ''
        WHEN 1
        THEN 'missing:segment,'
        WHEN 2
        THEN 'missing:segment,'
        WHEN 3
        THEN 'type:segment,'
        WHEN 4
        THEN 'too_long:segment,'
      END
    END
  END AS _reasons,
  _extra0 AS _extra,
  COALESCE(_open0, FALSE) AS _extra_open
FROM _step9
