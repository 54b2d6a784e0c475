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
        '{"vente_id": "VARCHAR", "client_id": "VARCHAR", "produit_id": "VARCHAR", "timestamp": "VARCHAR", "quantite": "VARCHAR", "montant": "VARCHAR", "client_nom": "VARCHAR", "produit_nom": "VARCHAR", "categorie": "VARCHAR", "pays": "VARCHAR", "segment": "VARCHAR", "canal": "JSON", "geo": "JSON"}'
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
    LENGTH(_keys0) = 11 + CAST((
      NOT _f."canal" IS NULL
    ) AS INT) + CAST((
      NOT _f."geo" IS NULL
    ) AS INT) AS _full0
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
    _f."client_nom" AS "_t_client_nom",
    _f."produit_nom" AS "_t_produit_nom",
    _f."categorie" AS "_t_categorie",
    _f."pays" AS "_t_pays",
    _f."segment" AS "_t_segment"
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
        "_t_client_nom" >= 'A' AND "_t_client_nom" < 'I'
      )
      OR (
        "_t_client_nom" >= 'J' AND "_t_client_nom" < 'N'
      )
      OR (
        "_t_client_nom" >= 'O' AND "_t_client_nom" < '['
      )
      OR (
        "_t_client_nom" >= 'a' AND "_t_client_nom" < 'f'
      )
      OR (
        "_t_client_nom" >= 'g' AND "_t_client_nom" < 'i'
      )
      OR (
        "_t_client_nom" >= 'j' AND "_t_client_nom" < 'n'
      )
      OR (
        "_t_client_nom" >= 'o' AND "_t_client_nom" < 't'
      )
      OR (
        "_t_client_nom" >= 'u' AND "_t_client_nom" < '{'
      )
      OR "_t_client_nom" >= '~'
      THEN "_t_client_nom"
      WHEN NOT REGEXP_MATCHES(
        "_t_client_nom",
        '^(?:[{\[]|(?:true|false|-?(?i:nan|inf|infinity)|[-+.]?[0-9][-+.0-9eE]*)\z)'
      )
      THEN "_t_client_nom"
      WHEN JSON_TYPE(_message, '$."client_nom"') = 'VARCHAR'
      THEN "_t_client_nom"
    END AS "_n_client_nom",
    CASE
      WHEN (
        "_t_produit_nom" >= 'A' AND "_t_produit_nom" < 'I'
      )
      OR (
        "_t_produit_nom" >= 'J' AND "_t_produit_nom" < 'N'
      )
      OR (
        "_t_produit_nom" >= 'O' AND "_t_produit_nom" < '['
      )
      OR (
        "_t_produit_nom" >= 'a' AND "_t_produit_nom" < 'f'
      )
      OR (
        "_t_produit_nom" >= 'g' AND "_t_produit_nom" < 'i'
      )
      OR (
        "_t_produit_nom" >= 'j' AND "_t_produit_nom" < 'n'
      )
      OR (
        "_t_produit_nom" >= 'o' AND "_t_produit_nom" < 't'
      )
      OR (
        "_t_produit_nom" >= 'u' AND "_t_produit_nom" < '{'
      )
      OR "_t_produit_nom" >= '~'
      THEN "_t_produit_nom"
      WHEN NOT REGEXP_MATCHES(
        "_t_produit_nom",
        '^(?:[{\[]|(?:true|false|-?(?i:nan|inf|infinity)|[-+.]?[0-9][-+.0-9eE]*)\z)'
      )
      THEN "_t_produit_nom"
      WHEN JSON_TYPE(_message, '$."produit_nom"') = 'VARCHAR'
      THEN "_t_produit_nom"
    END AS "_n_produit_nom",
    CASE
      WHEN (
        "_t_categorie" >= 'A' AND "_t_categorie" < 'I'
      )
      OR (
        "_t_categorie" >= 'J' AND "_t_categorie" < 'N'
      )
      OR (
        "_t_categorie" >= 'O' AND "_t_categorie" < '['
      )
      OR (
        "_t_categorie" >= 'a' AND "_t_categorie" < 'f'
      )
      OR (
        "_t_categorie" >= 'g' AND "_t_categorie" < 'i'
      )
      OR (
        "_t_categorie" >= 'j' AND "_t_categorie" < 'n'
      )
      OR (
        "_t_categorie" >= 'o' AND "_t_categorie" < 't'
      )
      OR (
        "_t_categorie" >= 'u' AND "_t_categorie" < '{'
      )
      OR "_t_categorie" >= '~'
      THEN "_t_categorie"
      WHEN NOT REGEXP_MATCHES(
        "_t_categorie",
        '^(?:[{\[]|(?:true|false|-?(?i:nan|inf|infinity)|[-+.]?[0-9][-+.0-9eE]*)\z)'
      )
      THEN "_t_categorie"
      WHEN JSON_TYPE(_message, '$."categorie"') = 'VARCHAR'
      THEN "_t_categorie"
    END AS "_n_categorie",
    CASE
      WHEN (
        "_t_pays" >= 'A' AND "_t_pays" < 'I'
      )
      OR (
        "_t_pays" >= 'J' AND "_t_pays" < 'N'
      )
      OR (
        "_t_pays" >= 'O' AND "_t_pays" < '['
      )
      OR (
        "_t_pays" >= 'a' AND "_t_pays" < 'f'
      )
      OR (
        "_t_pays" >= 'g' AND "_t_pays" < 'i'
      )
      OR (
        "_t_pays" >= 'j' AND "_t_pays" < 'n'
      )
      OR (
        "_t_pays" >= 'o' AND "_t_pays" < 't'
      )
      OR (
        "_t_pays" >= 'u' AND "_t_pays" < '{'
      )
      OR "_t_pays" >= '~'
      THEN "_t_pays"
      WHEN NOT REGEXP_MATCHES(
        "_t_pays",
        '^(?:[{\[]|(?:true|false|-?(?i:nan|inf|infinity)|[-+.]?[0-9][-+.0-9eE]*)\z)'
      )
      THEN "_t_pays"
      WHEN JSON_TYPE(_message, '$."pays"') = 'VARCHAR'
      THEN "_t_pays"
    END AS "_n_pays",
    CASE
      WHEN (
        "_t_segment" >= 'A' AND "_t_segment" < 'I'
      )
      OR (
        "_t_segment" >= 'J' AND "_t_segment" < 'N'
      )
      OR (
        "_t_segment" >= 'O' AND "_t_segment" < '['
      )
      OR (
        "_t_segment" >= 'a' AND "_t_segment" < 'f'
      )
      OR (
        "_t_segment" >= 'g' AND "_t_segment" < 'i'
      )
      OR (
        "_t_segment" >= 'j' AND "_t_segment" < 'n'
      )
      OR (
        "_t_segment" >= 'o' AND "_t_segment" < 't'
      )
      OR (
        "_t_segment" >= 'u' AND "_t_segment" < '{'
      )
      OR "_t_segment" >= '~'
      THEN "_t_segment"
      WHEN NOT REGEXP_MATCHES(
        "_t_segment",
        '^(?:[{\[]|(?:true|false|-?(?i:nan|inf|infinity)|[-+.]?[0-9][-+.0-9eE]*)\z)'
      )
      THEN "_t_segment"
      WHEN JSON_TYPE(_message, '$."segment"') = 'VARCHAR'
      THEN "_t_segment"
    END AS "_n_segment"
  FROM _step0
), _step2 AS (
  SELECT
    *,
    CASE
      WHEN "_iso_timestamp"
      THEN TRY_CAST(LEFT("_t_timestamp", LEAST(26, LENGTH("_t_timestamp") - "_zone_length_timestamp")) AS TIMESTAMP)
    END AS "_local_timestamp",
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
    CASE WHEN CONTAINS(_message, '": ') THEN ' ' ELSE '' END AS "_blank"
  FROM _step5
), _step7 AS (
  SELECT
    *,
    CASE
      WHEN _f."canal" IS NULL AND NOT _full0 AND ARRAY_CONTAINS(_keys0, 'canal')
      THEN 'null'
      ELSE CAST(_f."canal" AS TEXT)
    END AS "_text0_0",
    CASE
      WHEN _f."geo" IS NULL AND NOT _full0 AND ARRAY_CONTAINS(_keys0, 'geo')
      THEN 'null'
      ELSE CAST(_f."geo" AS TEXT)
    END AS "_text0_1"
  FROM _step6
), _step8 AS (
  SELECT
    *,
    CASE
      WHEN STARTS_WITH(_text0_1, '{')
      THEN FROM_JSON(_text0_1, '{"lat": "JSON"}')
    END AS "_in0_1",
    CASE WHEN STARTS_WITH(_text0_1, '{') THEN JSON_KEYS(_text0_1) END AS "_keys0_1"
  FROM _step7
), _step9 AS (
  SELECT
    *,
    CASE
      WHEN _in0_1."lat" IS NULL AND NOT FALSE AND ARRAY_CONTAINS(_keys0_1, 'lat')
      THEN 'null'
      ELSE CAST(_in0_1."lat" AS TEXT)
    END AS "_text0_1_0"
  FROM _step8
), _step10 AS (
  SELECT
    *,
    NULLIF(
      (
        '{' || CONCAT_WS(
          ',',
          '"canal":' || _text0_0,
          '"geo":' || CASE
            WHEN STARTS_WITH(_text0_1, '{')
            THEN (
              '{' || CONCAT_WS(',', '"lat":' || _text0_1_0) || '}'
            )
            ELSE _text0_1
          END
        ) || '}'
      ),
      '{}'
    ) AS "_extra0",
    CASE
      WHEN _text0_0 IS NULL
      OR (
        _text0_0 >= '"' AND _text0_0 < '#'
      )
      OR REGEXP_FULL_MATCH(_text0_0, 'true|false|null|-?[1-9][0-9]*')
      THEN 0
      WHEN REGEXP_FULL_MATCH(
        _text0_0,
        '-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?|\[(?:(?:"(?:[^"\\]|\\.)*"|-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?|true|false|null)[,\]])*\]?|[{][}]'
      )
      THEN CASE
        WHEN CASE
          WHEN _text0_0 >= '['
          THEN CONTAINS(
            _message,
            '"canal":' || _blank || REPLACE(REPLACE(_text0_0, ',', ',' || _blank), '":', '":' || _blank)
          )
          ELSE CONTAINS(_message, '"canal":' || _blank || _text0_0 || ',')
          OR CONTAINS(_message, '"canal":' || _blank || _text0_0 || '}')
        END
        THEN 0
        ELSE 1
      END
    END + CASE
      WHEN STARTS_WITH(_text0_1, '{')
      THEN CASE
        WHEN LENGTH(_keys0_1) = CAST((
          NOT _text0_1_0 IS NULL
        ) AS INT)
        AND NOT (
          CASE
            WHEN _text0_1_0 IS NULL
            OR (
              _text0_1_0 >= '"' AND _text0_1_0 < '#'
            )
            OR REGEXP_FULL_MATCH(_text0_1_0, 'true|false|null|-?[1-9][0-9]*')
            THEN 0
            WHEN REGEXP_FULL_MATCH(
              _text0_1_0,
              '-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?|\[(?:(?:"(?:[^"\\]|\\.)*"|-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?|true|false|null)[,\]])*\]?|[{][}]'
            )
            THEN CASE
              WHEN CASE
                WHEN _text0_1_0 >= '['
                THEN CONTAINS(
                  _message,
                  '"lat":' || _blank || REPLACE(REPLACE(_text0_1_0, ',', ',' || _blank), '":', '":' || _blank)
                )
                ELSE CONTAINS(_message, '"lat":' || _blank || _text0_1_0 || ',')
                OR CONTAINS(_message, '"lat":' || _blank || _text0_1_0 || '}')
              END
              THEN 0
              ELSE 1
            END
          END
        ) IS NULL
        THEN CASE
          WHEN CASE
            WHEN _text0_1 >= '['
            THEN CONTAINS(
              _message,
              '"geo":' || _blank || REPLACE(REPLACE(_text0_1, ',', ',' || _blank), '":', '":' || _blank)
            )
            ELSE CONTAINS(_message, '"geo":' || _blank || _text0_1 || ',')
            OR CONTAINS(_message, '"geo":' || _blank || _text0_1 || '}')
          END
          THEN 0
          ELSE 1
        END
      END
      WHEN _text0_1 IS NULL
      OR (
        _text0_1 >= '"' AND _text0_1 < '#'
      )
      OR REGEXP_FULL_MATCH(_text0_1, 'true|false|null|-?[1-9][0-9]*')
      THEN 0
      WHEN REGEXP_FULL_MATCH(
        _text0_1,
        '-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?|\[(?:(?:"(?:[^"\\]|\\.)*"|-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?|true|false|null)[,\]])*\]?|[{][}]'
      )
      THEN CASE
        WHEN CASE
          WHEN _text0_1 >= '['
          THEN CONTAINS(
            _message,
            '"geo":' || _blank || REPLACE(REPLACE(_text0_1, ',', ',' || _blank), '":', '":' || _blank)
          )
          ELSE CONTAINS(_message, '"geo":' || _blank || _text0_1 || ',')
          OR CONTAINS(_message, '"geo":' || _blank || _text0_1 || '}')
        END
        THEN 0
        ELSE 1
      END
    END AS "_doubt"
  FROM _step9
), _step11 AS (
  SELECT
    *,
    CASE
      WHEN _extra0 IS NULL
      THEN TRUE
      WHEN CONTAINS(_extra0, '\u')
      THEN FALSE
      WHEN _doubt = 0
      THEN TRUE
      WHEN _doubt > 0
      THEN NOT (
        REGEXP_MATCHES(
          _message,
          '[:,\[][ \t\n\r]*(?:-0|-?[0-9]+(?:[.][0-9]+0|[.][0-9]{7,}|[.0-9]*[eE][-+0-9]+)|-?[0-9]{10,}[.][0-9]+)[ \t\n\r]*[,}\]]'
        )
        OR REGEXP_MATCHES(_message, ',[ \t\n\r]*[}\]]')
      )
      ELSE FALSE
    END AS "_written"
  FROM _step10
), _step12 AS (
  SELECT
    *,
    COALESCE(
      CASE
        WHEN _full0
        THEN TRUE
        ELSE LENGTH(_keys0) = CAST((
          NOT _text0_0 IS NULL
        ) AS INT) + CAST((
          NOT _text0_1 IS NULL
        ) AS INT) + CASE
          WHEN _f."vente_id" IS NULL
          THEN CAST(ARRAY_CONTAINS(_keys0, 'vente_id') AS INT)
          ELSE 1
        END + CASE
          WHEN _f."client_id" IS NULL
          THEN CAST(ARRAY_CONTAINS(_keys0, 'client_id') AS INT)
          ELSE 1
        END + CASE
          WHEN _f."produit_id" IS NULL
          THEN CAST(ARRAY_CONTAINS(_keys0, 'produit_id') AS INT)
          ELSE 1
        END + CASE
          WHEN _f."timestamp" IS NULL
          THEN CAST(ARRAY_CONTAINS(_keys0, 'timestamp') AS INT)
          ELSE 1
        END + CASE
          WHEN _f."quantite" IS NULL
          THEN CAST(ARRAY_CONTAINS(_keys0, 'quantite') AS INT)
          ELSE 1
        END + CASE
          WHEN _f."montant" IS NULL
          THEN CAST(ARRAY_CONTAINS(_keys0, 'montant') AS INT)
          ELSE 1
        END + CASE
          WHEN _f."client_nom" IS NULL
          THEN CAST(ARRAY_CONTAINS(_keys0, 'client_nom') AS INT)
          ELSE 1
        END + CASE
          WHEN _f."produit_nom" IS NULL
          THEN CAST(ARRAY_CONTAINS(_keys0, 'produit_nom') AS INT)
          ELSE 1
        END + CASE
          WHEN _f."categorie" IS NULL
          THEN CAST(ARRAY_CONTAINS(_keys0, 'categorie') AS INT)
          ELSE 1
        END + CASE
          WHEN _f."pays" IS NULL
          THEN CAST(ARRAY_CONTAINS(_keys0, 'pays') AS INT)
          ELSE 1
        END + CASE
          WHEN _f."segment" IS NULL
          THEN CAST(ARRAY_CONTAINS(_keys0, 'segment') AS INT)
          ELSE 1
        END
      END
      AND _written
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
  FROM _step11
), _step13 AS (
  SELECT
    *,
    CASE
      WHEN NOT _plain
      THEN CASE
        WHEN NOT COALESCE("_p_montant", FALSE)
        THEN CASE
          WHEN REGEXP_FULL_MATCH("_t_montant", '-?(?:0|[1-9][0-9]{0,9})[.][0-9]{3,17}')
          THEN TRY_CAST("_t_montant" AS DOUBLE)
        END
      END
    END AS "_long_montant"
  FROM _step12
), _step14 AS (
  SELECT
    *,
    CASE
      WHEN NOT _plain
      THEN CASE
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
      END
    END AS "_case_vente_id",
    CASE
      WHEN NOT _plain
      THEN CASE
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
      END
    END AS "_case_client_id",
    CASE
      WHEN NOT _plain
      THEN CASE
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
      END
    END AS "_case_produit_id",
    CASE
      WHEN NOT _plain
      THEN CASE
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
      END
    END AS "_case_timestamp",
    CASE
      WHEN NOT _plain
      THEN CASE
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
      END
    END AS "_case_quantite",
    CASE
      WHEN NOT _plain
      THEN CASE
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
      END
    END AS "_case_montant",
    CASE
      WHEN NOT _plain
      THEN CASE
        WHEN "_t_client_nom" IS NULL
        THEN 1
        WHEN "_p_client_nom"
        THEN 0
        WHEN REGEXP_FULL_MATCH(
          "_n_client_nom",
          '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
        )
        THEN 2
        WHEN "_n_client_nom" IS NULL
        AND (
          "_t_client_nom" IN ('true', 'false')
          OR REGEXP_FULL_MATCH("_t_client_nom", '-?[1-9][0-9]*')
        )
        THEN 3
        WHEN LENGTH("client_nom") > 200
        THEN 4
      END
    END AS "_case_client_nom",
    CASE
      WHEN NOT _plain
      THEN CASE
        WHEN "_t_produit_nom" IS NULL
        THEN 1
        WHEN "_p_produit_nom"
        THEN 0
        WHEN REGEXP_FULL_MATCH(
          "_n_produit_nom",
          '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
        )
        THEN 2
        WHEN "_n_produit_nom" IS NULL
        AND (
          "_t_produit_nom" IN ('true', 'false')
          OR REGEXP_FULL_MATCH("_t_produit_nom", '-?[1-9][0-9]*')
        )
        THEN 3
        WHEN LENGTH("produit_nom") > 200
        THEN 4
      END
    END AS "_case_produit_nom",
    CASE
      WHEN NOT _plain
      THEN CASE
        WHEN "_t_categorie" IS NULL
        THEN 1
        WHEN "_p_categorie"
        THEN 0
        WHEN REGEXP_FULL_MATCH(
          "_n_categorie",
          '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
        )
        THEN 2
        WHEN "_n_categorie" IS NULL
        AND (
          "_t_categorie" IN ('true', 'false')
          OR REGEXP_FULL_MATCH("_t_categorie", '-?[1-9][0-9]*')
        )
        THEN 3
        WHEN LENGTH("categorie") > 200
        THEN 4
      END
    END AS "_case_categorie",
    CASE
      WHEN NOT _plain
      THEN CASE
        WHEN "_t_pays" IS NULL
        THEN 1
        WHEN "_p_pays"
        THEN 0
        WHEN REGEXP_FULL_MATCH(
          "_n_pays",
          '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
        )
        THEN 2
        WHEN "_n_pays" IS NULL
        AND (
          "_t_pays" IN ('true', 'false') OR REGEXP_FULL_MATCH("_t_pays", '-?[1-9][0-9]*')
        )
        THEN 3
        WHEN LENGTH("pays") > 200
        THEN 4
      END
    END AS "_case_pays",
    CASE
      WHEN NOT _plain
      THEN CASE
        WHEN "_t_segment" IS NULL
        THEN 1
        WHEN "_p_segment"
        THEN 0
        WHEN REGEXP_FULL_MATCH(
          "_n_segment",
          '[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*'
        )
        THEN 2
        WHEN "_n_segment" IS NULL
        AND (
          "_t_segment" IN ('true', 'false')
          OR REGEXP_FULL_MATCH("_t_segment", '-?[1-9][0-9]*')
        )
        THEN 3
        WHEN LENGTH("segment") > 200
        THEN 4
      END
    END AS "_case_segment"
  FROM _step13
), _step15 AS (
  SELECT
    *,
    CASE
      WHEN NOT _plain
      THEN CASE
        WHEN "_case_vente_id" = 0
        THEN "vente_id"
        WHEN "_case_vente_id" = 3
        THEN "vente_id"
      END
    END AS "_shown_vente_id",
    CASE
      WHEN NOT _plain
      THEN CASE
        WHEN "_case_client_id" = 0
        THEN "client_id"
        WHEN "_case_client_id" = 3
        THEN "client_id"
      END
    END AS "_shown_client_id",
    CASE
      WHEN NOT _plain
      THEN CASE
        WHEN "_case_produit_id" = 0
        THEN "produit_id"
        WHEN "_case_produit_id" = 3
        THEN "produit_id"
      END
    END AS "_shown_produit_id",
    CASE WHEN NOT _plain THEN CASE WHEN "_case_timestamp" = 0 THEN "timestamp" END END AS "_shown_timestamp",
    CASE
      WHEN NOT _plain
      THEN CASE
        WHEN "_case_quantite" = 0
        THEN "quantite"
        WHEN "_case_quantite" = 3
        THEN "quantite"
      END
    END AS "_shown_quantite",
    CASE
      WHEN NOT _plain
      THEN CASE
        WHEN "_case_montant" = 0
        THEN "montant"
        WHEN "_case_montant" = 3
        THEN "montant"
        WHEN "_case_montant" = 4
        THEN "montant"
      END
    END AS "_shown_montant",
    CASE
      WHEN NOT _plain
      THEN CASE
        WHEN "_case_client_nom" = 0
        THEN "client_nom"
        WHEN "_case_client_nom" = 2
        THEN "_n_client_nom"
        WHEN "_case_client_nom" = 3
        THEN CAST("_t_client_nom" AS TEXT)
        WHEN "_case_client_nom" = 4
        THEN "client_nom"
      END
    END AS "_shown_client_nom",
    CASE
      WHEN NOT _plain
      THEN CASE
        WHEN "_case_produit_nom" = 0
        THEN "produit_nom"
        WHEN "_case_produit_nom" = 2
        THEN "_n_produit_nom"
        WHEN "_case_produit_nom" = 3
        THEN CAST("_t_produit_nom" AS TEXT)
        WHEN "_case_produit_nom" = 4
        THEN "produit_nom"
      END
    END AS "_shown_produit_nom",
    CASE
      WHEN NOT _plain
      THEN CASE
        WHEN "_case_categorie" = 0
        THEN "categorie"
        WHEN "_case_categorie" = 2
        THEN "_n_categorie"
        WHEN "_case_categorie" = 3
        THEN CAST("_t_categorie" AS TEXT)
        WHEN "_case_categorie" = 4
        THEN "categorie"
      END
    END AS "_shown_categorie",
    CASE
      WHEN NOT _plain
      THEN CASE
        WHEN "_case_pays" = 0
        THEN "pays"
        WHEN "_case_pays" = 2
        THEN "_n_pays"
        WHEN "_case_pays" = 3
        THEN CAST("_t_pays" AS TEXT)
        WHEN "_case_pays" = 4
        THEN "pays"
      END
    END AS "_shown_pays",
    CASE
      WHEN NOT _plain
      THEN CASE
        WHEN "_case_segment" = 0
        THEN "segment"
        WHEN "_case_segment" = 2
        THEN "_n_segment"
        WHEN "_case_segment" = 3
        THEN CAST("_t_segment" AS TEXT)
        WHEN "_case_segment" = 4
        THEN "segment"
      END
    END AS "_shown_segment",
    CASE
      WHEN NOT _plain
      THEN LENGTH(_keys0) = CAST((
        NOT _text0_0 IS NULL
      ) AS INT) + CAST((
        NOT _text0_1 IS NULL
      ) AS INT) + CASE
        WHEN _f."vente_id" IS NULL
        THEN CAST(ARRAY_CONTAINS(_keys0, 'vente_id') AS INT)
        ELSE 1
      END + CASE
        WHEN _f."client_id" IS NULL
        THEN CAST(ARRAY_CONTAINS(_keys0, 'client_id') AS INT)
        ELSE 1
      END + CASE
        WHEN _f."produit_id" IS NULL
        THEN CAST(ARRAY_CONTAINS(_keys0, 'produit_id') AS INT)
        ELSE 1
      END + CASE
        WHEN _f."timestamp" IS NULL
        THEN CAST(ARRAY_CONTAINS(_keys0, 'timestamp') AS INT)
        ELSE 1
      END + CASE
        WHEN _f."quantite" IS NULL
        THEN CAST(ARRAY_CONTAINS(_keys0, 'quantite') AS INT)
        ELSE 1
      END + CASE
        WHEN _f."montant" IS NULL
        THEN CAST(ARRAY_CONTAINS(_keys0, 'montant') AS INT)
        ELSE 1
      END + CASE
        WHEN _f."client_nom" IS NULL
        THEN CAST(ARRAY_CONTAINS(_keys0, 'client_nom') AS INT)
        ELSE 1
      END + CASE
        WHEN _f."produit_nom" IS NULL
        THEN CAST(ARRAY_CONTAINS(_keys0, 'produit_nom') AS INT)
        ELSE 1
      END + CASE
        WHEN _f."categorie" IS NULL
        THEN CAST(ARRAY_CONTAINS(_keys0, 'categorie') AS INT)
        ELSE 1
      END + CASE
        WHEN _f."pays" IS NULL
        THEN CAST(ARRAY_CONTAINS(_keys0, 'pays') AS INT)
        ELSE 1
      END + CASE
        WHEN _f."segment" IS NULL
        THEN CAST(ARRAY_CONTAINS(_keys0, 'segment') AS INT)
        ELSE 1
      END
      AND _written
    END AS "_known"
  FROM _step14
), _step16 AS (
  SELECT
    *,
    CASE
      WHEN NOT _plain
      THEN COALESCE(
        NOT "_shown_timestamp" BETWEEN CAST('2000-01-01 00:00:00' AS TIMESTAMP) AND kafka_ts + INTERVAL '24' HOUR,
        FALSE
      )
    END AS "_late",
    CASE
      WHEN NOT _plain
      THEN CASE
        WHEN "_shown_timestamp" IS NULL
        OR "_shown_timestamp" < CAST('2000-01-01 00:00:00' AS TIMESTAMP) - INTERVAL '2' DAY
        OR "_shown_timestamp" > kafka_ts + INTERVAL '4' DAY
        THEN CAST(kafka_ts AS DATE)
        WHEN _day BETWEEN CAST(CAST('2000-01-01 00:00:00' AS TIMESTAMP) AS DATE) AND CAST(kafka_ts AS DATE) + 1
        THEN _day
        WHEN NOT (
          _day BETWEEN CAST(CAST('2000-01-01 00:00:00' AS TIMESTAMP) AS DATE) AND CAST(kafka_ts AS DATE) + 1
        )
        THEN CAST(kafka_ts AS DATE)
      END
    END AS "_jour",
    CASE
      WHEN NOT _plain
      THEN "_case_vente_id" + "_case_client_id" + "_case_produit_id" + "_case_timestamp" + "_case_quantite" + "_case_montant" + "_case_client_nom" + "_case_produit_nom" + "_case_categorie" + "_case_pays" + "_case_segment"
    END AS "_cases"
  FROM _step15
)
SELECT
  _row,
  CASE WHEN _plain THEN "vente_id" ELSE "_shown_vente_id" END AS "vente_id",
  CASE WHEN _plain THEN "client_id" ELSE "_shown_client_id" END AS "client_id",
  CASE WHEN _plain THEN "produit_id" ELSE "_shown_produit_id" END AS "produit_id",
  CASE WHEN _plain THEN "timestamp" ELSE "_shown_timestamp" END AS "timestamp",
  CASE WHEN _plain THEN "quantite" ELSE "_shown_quantite" END AS "quantite",
  CASE WHEN _plain THEN "montant" ELSE "_shown_montant" END AS "montant",
  CASE WHEN _plain THEN "client_nom" ELSE "_shown_client_nom" END AS "client_nom",
  CASE WHEN _plain THEN "produit_nom" ELSE "_shown_produit_nom" END AS "produit_nom",
  CASE WHEN _plain THEN "categorie" ELSE "_shown_categorie" END AS "categorie",
  CASE WHEN _plain THEN "pays" ELSE "_shown_pays" END AS "pays",
  CASE WHEN _plain THEN "segment" ELSE "_shown_segment" END AS "segment",
  CASE WHEN _plain THEN _day ELSE _jour END AS jour,
  CASE
    WHEN _plain
    THEN ''
    ELSE CASE
      WHEN REGEXP_MATCHES(_message, '^[ \t\n\r]*[{]')
      AND CASE WHEN _known THEN TRUE ELSE LIST_UNIQUE(_keys0) = LENGTH(_keys0) END
      AND NOT _jour IS NULL
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
    END
  END AS _reasons,
  CASE WHEN (
    _plain OR COALESCE(_known, FALSE)
  ) THEN _extra0 END AS _extra,
  NOT (
    _plain OR COALESCE(_known, FALSE)
  ) AS _extra_open
FROM _step16
