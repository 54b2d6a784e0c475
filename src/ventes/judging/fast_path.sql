-- Run by DuckDB, in both engines.
-- The fast path: converts sales that it can prove valid. `proven` = judging.verdict.judge would find the row valid,
-- with exactly these values. Never NULL; false means undecided: the row then goes to `judge`.
--
-- texts     kafka_ts (naive UTC); `exact_object`: the message is one JSON object that has the eleven fields, each once, and
--           nothing else; t_<field>, the text of each. A name's is NULL unless it was a JSON string without NUL that
--           begins with a character which is certainly no white space. Further columns pass through.
-- :source_offset  seconds east of UTC at the wall-clock time `local_time`, NULL = unknown
-- :jour           the business day of `horodatage`, NULL = unknown
--
-- No cast is trusted: its result is converted back to text and must equal the original text.
-- So blanks, signs, exponents, `1_000` and other forms that a cast accepts never match.
WITH typed_texts AS (
  SELECT *,
    try_cast(t_vente_id AS BIGINT) AS vente_id,
    try_cast(t_client_id AS BIGINT) AS client_id,
    try_cast(t_produit_id AS BIGINT) AS produit_id,
    try_cast(t_quantite AS BIGINT) AS quantite,
    try_cast(t_montant AS DECIMAL(18, 2)) AS montant,
    t_timestamp RLIKE
      '^2[0-9]{3}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?\\z'
      AS iso,
    -- how many characters at the end of the text are its offset from UTC
    CASE
      WHEN endswith(t_timestamp, 'Z') THEN 1
      WHEN substring(t_timestamp, -6, 1) IN ('+', '-') THEN 6
      ELSE 0
    END AS zone_length
  FROM texts
),
local_times AS (
  SELECT *,
    -- 26 characters reach to the microsecond: further digits are cut, not rounded
    CASE WHEN iso THEN try_cast(left(t_timestamp, least(26, length(t_timestamp) - zone_length)) AS TIMESTAMP_NTZ) END AS local_time
  FROM typed_texts
),
offsets AS (
  SELECT *,
    CASE
      WHEN zone_length = 1 OR right(t_timestamp, 6) = '+00:00' THEN 0
      WHEN zone_length = 6 AND iso THEN
        (CASE WHEN substring(t_timestamp, -6, 1) = '-' THEN -60 ELSE 60 END)
        * (60 * try_cast(substring(t_timestamp, -5, 2) AS INT) + try_cast(right(t_timestamp, 2) AS INT))
      WHEN zone_length = 0 THEN :source_offset
    END AS offset_seconds
  FROM local_times
),
instants AS (
  SELECT *,
    CASE WHEN offset_seconds = 0 THEN local_time ELSE timestampadd(SECOND, -offset_seconds, local_time) END AS horodatage
  FROM offsets
),
dated AS (
  SELECT *, :jour AS jour
  FROM instants
)
SELECT *,
  t_client_nom AS client_nom,
  t_produit_nom AS produit_nom,
  t_categorie AS categorie,
  t_pays AS pays,
  t_segment AS segment,
  coalesce(
    exact_object
    AND vente_id BETWEEN 1 AND 9007199254740991 AND CAST(vente_id AS STRING) = t_vente_id
    AND client_id BETWEEN 1 AND 2147483647 AND CAST(client_id AS STRING) = t_client_id
    AND produit_id BETWEEN 1 AND 2147483647 AND CAST(produit_id AS STRING) = t_produit_id
    AND quantite BETWEEN 1 AND 1000000 AND CAST(quantite AS STRING) = t_quantite
    AND montant > 0 AND montant <= 9999999999.99
    AND CASE
      WHEN CAST(montant AS STRING) IN (t_montant, t_montant || '0', t_montant || '.00') THEN true
      -- Float noise: at most a ten-millionth away from the cent, so that it still holds where the parser has
      -- already been through a double; nine digits before the point keep that double's own error below it.
      ELSE t_montant RLIKE '^(0|[1-9][0-9]{0,8})[.][0-9]{2}(00000|99999)[0-9]{0,12}\\z'
    END
    -- Narrower than the rule by what a zone_length can shift, so that the day needs no check of its own.
    AND horodatage >= TIMESTAMP_NTZ '2000-01-03 00:00:00'
    AND horodatage <= kafka_ts + INTERVAL '12' HOUR
    AND jour IS NOT NULL
    -- 200 bytes are at most 200 characters
    AND bit_length(t_client_nom) <= 1600
    AND bit_length(t_produit_nom) <= 1600
    AND bit_length(t_categorie) <= 1600
    AND bit_length(t_pays) <= 1600
    AND bit_length(t_segment) <= 1600,
    false
  ) AS proven
FROM dated
