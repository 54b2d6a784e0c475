"""The expected content of the tables, as plain DuckDB SQL over the judged messages, for `verify`.

On purpose this is not the jobs' SQL: duplicates are found by one window over all messages instead of lot by lot, and
the roll-ups are GROUP BYs over all clean events instead of sums of partial tables. Each measure and each grain of a
declaration has a second rendering for this (`expected`).

Relations it reads: judged (Bronze's columns without raw bytes), placed (position → lot, time), and "stored <table>" of
Bronze, the clean events and the rejects. Relations it makes: `expected`, and "expected <table>" with every column of
the table but those of `not_compared`. No declared table has a name with a blank.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from ventes.config import Rules
from ventes.contract.tables import Tables
from ventes.deltalog.snapshot import sql_type
from ventes.deltalog.table import Table
from ventes.stream.declaration import Aggregate
from ventes.stream.grains import BUSINESS_HOUR, ByHour, Grain
from ventes.stream.kinds import Instant, Quotient
from ventes.stream.measures import Expression, Sum

_POSITION = 'topic_id, "partition", "offset"'
RAW = "raw bytes"
"""In place of a table's name: the bytes of the rejected messages, by their hash."""
_IN_TOPIC = "compared with the topic (I3)"
_TAKEN = "when Silver took the message"


def stored(table: str) -> str:
    """The relation with the rows of a table on disk."""
    return _name(f"stored {table}")


def expected(table: str) -> str:
    """The relation with the rows that it should have."""
    return _name(f"expected {table}")


def not_compared(tables: Tables) -> Mapping[str, Mapping[str, str]]:
    """Table → column → why its value cannot be recomputed. Every other stored column is compared."""
    then = "of its time of ingestion"
    bronze = {
        field.name: f"read in the source zone {then}"
        for field in tables.stream.event.read
        if isinstance(field, Instant) and field.form == "iso"
    }
    bronze |= {"motifs": f"the verdict under the rules {then}", "jour": f"a day of the business zone {then}"}
    if tables.stream.flagged:
        bronze["signalements"] = f"the verdict under the rules {then}"
    bronze |= {"date_ingestion": "when Bronze took the message"}
    bronze |= dict.fromkeys(("key", "value", "headers", "kafka_ts"), _IN_TOPIC)
    return {
        tables.bronze.name: bronze,
        tables.clean.name: {"date_traitement": _TAKEN},
        tables.rejets.name: {"date_traitement": _TAKEN, "value": "compared with Bronze by its hash"},
    }


def messages(tables: Tables) -> str:
    """`expected`: every message that Silver has processed, with the expected verdict."""
    event = tables.stream.event
    content = ", ".join(_name(name) for name in (*(name for name in event.names if name != event.id), "_extra"))
    return f"""
    CREATE TABLE expected AS
    WITH placed_here AS (
        -- Bronze reads a message again from Kafka where it lost it; Silver keeps the time when Bronze took it first.
        SELECT j.* REPLACE (least(j.date_ingestion, p.taken_at) AS date_ingestion), p.lot
        FROM judged j JOIN placed p USING ({_POSITION})),
    valid AS (
        SELECT j.*, row({content}) AS "_content",
               row_number() OVER same_id AS "_nth", first(row({content})) OVER same_id AS "_first_content"
        FROM placed_here j
        WHERE len(motifs) = 0
        WINDOW same_id AS (PARTITION BY {_name(event.id)} ORDER BY lot, kafka_ts, {_POSITION}
                           ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))
    SELECT * EXCLUDE ("_content", "_first_content", "_nth", motifs),
           CASE WHEN "_nth" = 1 THEN []::VARCHAR[]
                WHEN "_content" IS NOT DISTINCT FROM "_first_content" THEN ['duplicate']
                ELSE ['conflict'] END AS motifs
    FROM valid
    UNION ALL BY NAME
    SELECT * FROM placed_here WHERE len(motifs) > 0
    """


def bronze_fields(tables: Tables, as_read: str) -> str:
    """The relation of Bronze's expected typed fields, from the raw bytes. `as_read`: ReadBefore.in_bronze."""
    left_out = [name for name in not_compared(tables)[tables.bronze.name] if name not in ("key", "value", "headers")]
    excluded = ", ".join(_name(name) for name in left_out)
    return f"CREATE TEMP VIEW {expected(tables.bronze.name)} AS SELECT * EXCLUDE ({excluded}) FROM ({as_read})"


def silver(tables: Tables, watermark_minutes: int) -> str:
    """The statements that make the expected clean events and rejects, and both relations of RAW."""
    event, clean, rejets = tables.stream.event, tables.clean.name, tables.rejets.name
    fields = []
    for field in event.fields:
        if isinstance(field, Quotient):
            fields.append(f"{_unit_price(tables, field)} AS {_name(field.name)}")
        else:
            fields.append(f"{_name(field.name)}::{sql_type(field.clean_type)} AS {_name(field.clean_name)}")
    own = ["signalements"] if tables.stream.flagged else []
    own += ["_extra", "topic_id", "partition", "offset", "kafka_ts", "date_ingestion", "lot", "jour"]
    return f"""
    CREATE TEMP VIEW {expected(clean)} AS
    SELECT {", ".join(fields)},
           kafka_ts - {_name(event.at)} > INTERVAL {watermark_minutes} MINUTE AS en_retard,
           {", ".join(_name(name) for name in own)}
    FROM expected WHERE len(motifs) = 0;
    CREATE TEMP VIEW {expected(rejets)} AS
    SELECT motifs, {_name(event.id)}, {_POSITION}, kafka_ts, date_ingestion, lot FROM expected WHERE len(motifs) > 0;
    CREATE TEMP VIEW {expected(RAW)} AS
    SELECT b.topic_id, b."partition", b."offset", md5(b."value") AS fingerprint
    FROM {stored(tables.bronze.name)} b SEMI JOIN {stored(rejets)} USING ({_POSITION});
    CREATE TEMP VIEW {stored(RAW)} AS
    SELECT {_POSITION}, md5("value") AS fingerprint FROM {stored(rejets)};
    """


def rejected_now(tables: Tables) -> str:
    """Number of clean events that get reasons now."""
    clean, reasons = stored(tables.clean.name), "len(e.motifs) > 0 AND e.motifs NOT IN (['duplicate'], ['conflict'])"
    return f"SELECT count(*) FROM {clean} c JOIN expected e USING ({_POSITION}) WHERE {reasons}"


def accepted_now(tables: Tables) -> str:
    """Number of rejected messages with reasons of their own that get none now."""
    own = "r.motifs NOT IN (['duplicate'], ['conflict'])"
    return (
        f"SELECT count(*) FROM {stored(tables.rejets.name)} r JOIN expected e USING ({_POSITION}) "
        f"WHERE len(e.motifs) = 0 AND {own}"
    )


def judged_otherwise(tables: Tables) -> str:
    """Number of messages that are correctly among the rejects, but with other reasons than expected."""
    rejets = tables.rejets.name
    return (
        f"SELECT count(*) FROM {stored(rejets)} r JOIN {expected(rejets)} e USING ({_POSITION}) "
        "WHERE r.motifs IS DISTINCT FROM e.motifs"
    )


def events(con: duckdb.DuckDBPyConnection, tables: Tables, rules: Rules) -> None:
    """Make the table `events` of all expected clean events; with BUSINESS_HOUR if a roll-up groups by it."""
    clean = expected(tables.clean.name)
    if not any(isinstance(table.grain, ByHour) for table in tables.stream.tables):
        con.execute(f"CREATE TEMP TABLE events AS SELECT * FROM {clean}")
        return
    at = _name(tables.stream.event.field(tables.stream.event.at).clean_name)
    minute = f"epoch_us({at}) // 60000000"
    found = con.execute(f"SELECT DISTINCT {minute} FROM {clean}").fetchall()
    zone = ZoneInfo(rules.time_zone)
    hours = pa.table(
        {
            "minute": pa.array([minutes for (minutes,) in found], pa.int64()),
            "start": pa.array([_hour_of(minutes, zone) for (minutes,) in found], pa.timestamp("us", "UTC")),
        }
    )
    con.register("_hours", hours)
    con.execute(
        f"CREATE TEMP TABLE events AS SELECT c.*, h.start AS {BUSINESS_HOUR} "
        f"FROM {clean} c JOIN _hours h ON {minute} = h.minute"
    )


def _hour_of(minutes: int, zone: ZoneInfo) -> datetime:
    """The start of the business hour of a minute since 1970."""
    here = datetime.fromtimestamp(minutes * 60, zone)
    offset = here.utcoffset()
    assert offset is not None  # ZoneInfo always returns an offset
    wall = here.replace(tzinfo=None)
    return (wall.replace(minute=0, second=0, microsecond=0) - offset).replace(tzinfo=timezone.utc)


def aggregate(tables: Tables, table: Table, rules: Rules) -> str:
    """The statement that makes the expected rows of a roll-up, over `events`."""
    declared = next(one for one in tables.stream.tables if one.table == table.name)
    kinds = {field.name: sql_type(field.type) for field in table.schema}
    keys = _keys(tables, declared)
    values: dict[str, str] = {}
    for measure in declared.measures:
        values |= measure.expected(tables.stream.event, declared.measures)
    computed = {
        measure.name: _with_settings(measure.check_sql or measure.sql, rules)
        for measure in declared.measures
        if isinstance(measure, Expression)
    }
    inner = [f"{sql} AS {_name(name)}" for name, sql in keys.items()]
    inner += [f"({sql})::{kinds[name]} AS {_name(name)}" for name, sql in values.items()]
    outer = [f"({sql})::{kinds[name]} AS {_name(name)}" for name, sql in computed.items()]
    where = f"WHERE ({declared.where})" if declared.where else ""
    groups = ", ".join(str(place) for place in range(1, len(keys) + 1))
    return f"""
    CREATE TEMP VIEW {expected(table.name)} AS
    SELECT {", ".join(["*", *outer])} FROM (SELECT {", ".join(inner)} FROM events {where} GROUP BY {groups})
    """


def summary(tables: Tables) -> str:
    """One row with the figures of the declaration's `summary`, over `events`; a Sum of no event is 0."""
    event = tables.stream.event
    columns = []
    for measure in tables.stream.summary:
        value = measure.expected(event, (measure,))[measure.name]
        if isinstance(measure, Sum):
            value = f"coalesce({value}, 0)"
        columns.append(f"({value})::{sql_type(measure.type_in(event))} AS {_name(measure.name)}")
    return f"SELECT {', '.join(columns)} FROM events"


def _keys(tables: Tables, declared: Aggregate) -> dict[str, str]:
    event = tables.stream.event
    at = _name(event.field(event.at).clean_name)
    found = {}
    for name, part in zip(declared.key, declared.by, strict=True):
        found[name] = part.expected(at) if isinstance(part, Grain) else _name(event.field(part).clean_name)
    return found


def _unit_price(tables: Tables, quotient: Quotient) -> str:
    kind = sql_type(tables.stream.event.field(quotient.amount).clean_type)
    amount, count = _name(quotient.amount), _name(quotient.count)
    cents = f"((({amount} * 100)::HUGEINT * 2 + {count}) // (2 * {count}))"
    return f"({cents}::DECIMAL(18, 0) * 0.01::DECIMAL(2, 2))::{kind}"


def _with_settings(sql: str, rules: Rules) -> str:
    """The settings of an expression as typed literals; money with its decimals."""
    for name in sorted(re.findall(r":rules\.(\w+)", sql), key=len, reverse=True):
        value = getattr(rules, name)
        if isinstance(value, Decimal):
            text = f"'{value:f}'::DECIMAL(28, 6)"
        elif isinstance(value, int):
            text = f"{int(value)}::BIGINT"
        else:
            text = f"{_text(str(value))}::VARCHAR"
        sql = sql.replace(f":rules.{name}", text)
    return sql


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _name(name: str) -> str:
    return f'"{name}"'
