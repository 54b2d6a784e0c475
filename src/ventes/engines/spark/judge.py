"""Kafka messages → Bronze rows, in Spark: the verdict of each, given once, in one pass over the source.

What SQL proves to be a valid sale is typed in the JVM (contract/sql/fast.sql); every other message goes
through `contract.verdict.judge` in a Python worker. This file owns how Spark reads JSON, and the proof
that it read one object with the eleven fields and nothing else.

One pass, because a second one costs more than the worker: measured on batches without a doubtful message, the
worker adds a tenth to the CPU time, keeping the rows to split them doubles it. A small batch needs neither:
`judged_few` takes a quarter of the CPU time of `judged`, and starts no worker.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from ventes.config import Settings
from ventes.contract import fast
from ventes.contract.tables import BRONZE, EVENT_FIELDS
from ventes.engines.embedded import judge as embedded
from ventes.engines.slow_path import JUDGED, judge_rows

_MESSAGE = frozenset({"key", "value", "headers", "topic_id", "partition", "offset", "kafka_ts"})
_NO_HEADERS = "CAST(NULL AS ARRAY<STRUCT<key: STRING, value: BINARY>>)"
_NAMES = ("client_nom", "produit_nom", "categorie", "pays", "segment")

# The first characters of the five names tell most: letters which begin no JSON word, or beyond ASCII, can only stand in
# strings; and none of these is white space. Other first characters that are no white space need a look at the text
# for each name's quote. (With eleven members, each a known field, the pattern can be nothing else: within a
# string its quotes would be escaped.) Regular expressions, because the comparisons they stand for make the
# Java method of this stage so long that it is never compiled to machine code: measured, a third of the speed.
_INITIALS = "concat(" + ", ".join(f"left(f.{field}, 1)" for field in _NAMES) + ")"
_STRINGS = r"^[A-Za-eg-mo-su-z¡-ᙾ、-\x{10FFFF}]{5}$"
_NOT_BLANK = r"^[!-~¡-ᙾ、-\x{10FFFF}]{5}$"
_QUOTED = "(?s)^" + "".join(f'(?=.*"{field}": ?")' for field in _NAMES)

# Spark's parser (Jackson) refuses trailing commas and raw control characters, as `judge` does, but stops reading
# after the first value, takes a key more than once, and turns half a surrogate pair into `?`. So: the only `}` is the
# last character, there are eleven members, and all eleven fields are there (NULLs end in `sure = false`), hence each
# once and none else.
_TEXTS = rf"""
WITH decodes AS (
  SELECT *, CAST(value AS STRING) AS brut FROM _messages
),
cadres AS (
  SELECT *,
    CASE WHEN octet_length(brut) <= 16384 AND startswith(brut, '{{')
          AND octet_length(substring_index(brut, '}}', 1)) = octet_length(brut) - 1
          AND is_valid_utf8(brut)
          AND NOT contains(brut, r'\u0000') AND NOT contains(brut, r'\ud') AND NOT contains(brut, r'\uD')
         THEN brut END AS texte
  FROM decodes
),
lus AS (
  SELECT *,
    from_json(texte, '{", ".join(f"{field} STRING" for field in EVENT_FIELDS)}',
              map('allowSingleQuotes', 'false', 'allowNonNumericNumbers', 'false')) AS f,
    size(json_object_keys(texte)) AS members
  FROM cadres
)
SELECT *,
  {", ".join(f"f.{field} AS t_{field}" for field in EVENT_FIELDS)},
  members = 11 AND CASE
    WHEN {_INITIALS} RLIKE r'{_STRINGS}' THEN true
    WHEN {_INITIALS} RLIKE r'{_NOT_BLANK}' THEN texte RLIKE r'{_QUOTED}'
    ELSE false
  END AS seule
FROM lus
"""


def judged(raw: DataFrame, topic_id: str, settings: Settings, ingested_at: datetime) -> DataFrame:
    """Messages as Bronze rows with exactly BRONZE's columns and types.

    `raw` has the columns of Spark's Kafka source: key, value, partition, offset, timestamp, and headers if
    they were asked for. The session's time zone must be UTC. `ingested_at` (aware) becomes date_ingestion.
    """
    both = fast_rows(raw, settings, ingested_at.year)
    slow_path = _slow_path(settings.source_zone, settings.business_zone)
    doubtful = ~F.col("sure")
    both = both.withColumn("juge", slow_path(F.when(doubtful, F.col("value")), F.when(doubtful, F.col("arrivee"))))
    columns: dict[str, Column] = {
        "topic_id": F.lit(topic_id),
        "kafka_ts": F.col("arrivee"),
        "date_ingestion": F.lit(ingested_at.astimezone(timezone.utc)),
        "timestamp": _either(F.col("horodatage").cast("timestamp"), "timestamp"),
        "motifs": _either(F.array().cast("array<string>"), "motifs"),
        "_extra": _either(F.lit(None).cast("string"), "_extra"),
    }
    for name in (*EVENT_FIELDS, "jour"):
        columns.setdefault(name, _either(F.col(name), name))
    return both.select(*(columns.get(name, F.col(name)).alias(name) for name in BRONZE.schema.names))


def judged_few(
    con: duckdb.DuckDBPyConnection, raw: DataFrame, topic_id: str, settings: Settings, ingested_at: datetime
) -> pa.Table:
    """The same rows as `judged`, for a batch that fits memory: Spark only reads it, this process judges it.

    The verdicts are the embedded engine's, which are equal. Spark refuses to collect more bytes than
    spark.driver.maxResultSize.
    """
    messages = raw.withColumnsRenamed({"timestamp": "kafka_ts"}).withColumn("topic_id", F.lit(topic_id))
    if "headers" not in messages.columns:
        messages = messages.withColumn("headers", F.expr(_NO_HEADERS))
    fields = [field for field in BRONZE.schema if field.name in _MESSAGE]
    collected = messages.select([field.name for field in fields]).toArrow().cast(pa.schema(fields))
    return embedded.judged(con, collected, settings, ingested_at)


def fast_rows(raw: DataFrame, settings: Settings, year: int) -> DataFrame:
    """What SQL makes of `raw`: its columns (`timestamp` as `arrivee`), the eleven typed fields, `jour` and `sure`.

    Where `sure` is false the typed columns mean nothing.
    """
    headers = "headers" if "headers" in raw.columns else _NO_HEADERS
    messages = raw.selectExpr(
        "key",
        "value",
        f"{headers} AS headers",
        "partition",
        "offset",
        "timestamp AS arrivee",
        "CAST(timestamp AS TIMESTAMP_NTZ) AS kafka_ts",
    )
    session = raw.sparkSession
    query = fast.query("spark", settings.source_zone, settings.business_zone, year)
    messages.createOrReplaceTempView("_messages")
    typed = session.sql(f"WITH texts AS ({_TEXTS}) SELECT * FROM ({query})")
    session.catalog.dropTempView("_messages")
    return typed


def _either(sure: Column, name: str) -> Column:
    return F.when(F.col("sure"), sure).otherwise(F.col("juge").getField(name))


def _slow_path(source_zone: ZoneInfo, business_zone: ZoneInfo) -> Any:
    """A UDF over (value, arrival) that judges the rows with an arrival; for the others it returns NULL."""

    def judge_some(values: pa.Array, arrivals: pa.Array) -> pa.Array:
        rows = pc.indices_nonzero(arrivals.is_valid())
        if len(rows) == 0:
            return pa.nulls(len(values), pa.struct(list(JUDGED)))
        verdicts = judge_rows(values.take(rows), arrivals.take(rows), source_zone, business_zone).to_struct_array()
        places = pc.index_in(pa.array(range(len(values)), rows.type), rows)
        return verdicts.take(places)

    return F.arrow_udf(judge_some, from_arrow_schema(JUDGED))  # type: ignore[attr-defined]
