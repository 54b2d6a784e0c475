"""The expected content of the tables, as plain DuckDB SQL over the judged messages, for `verify`.

On purpose this is not the jobs' SQL: duplicates are found by one window over all messages instead of lot by lot, and
the roll-ups are GROUP BYs over all clean events instead of sums of partial tables. Each measure and each grain of a
declaration has a second rendering for this (`expected`).

Relations it reads: BY_BRONZE and BY_SILVER (Bronze's columns without raw bytes, of one part of the messages), placed
(position → lot, time), and "stored <table>" of Bronze, the clean events and the rejects. Relations it makes: `checked`
(all parts of BY_SILVER, with the lot), `expected` (the same with duplicates and conflicts), and "expected <table>" with
every column of the table but those of `not_compared`. No declared table has a name with a blank.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from ventes.check.scope import Scope
from ventes.config import Rules
from ventes.contract.tables import Tables
from ventes.deltalog.snapshot import sql_type
from ventes.deltalog.table import Table
from ventes.stream.declaration import Aggregate
from ventes.stream.grains import BUSINESS_HOUR, ByHour, Grain
from ventes.stream.kinds import Instant, Quotient
from ventes.stream.measures import Expression, Sum

_POSITION = 'topic_id, "partition", "offset"'
BY_BRONZE, BY_SILVER = "judged_by_bronze", "judged_by_silver"
"""`judged` without the fields that were declared after Bronze, or Silver, had read a message (read_before.py)."""
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


def checked(condition: str) -> str:
    """The statement that adds the messages of BY_SILVER that meet `condition`, and that Silver has, to `checked`."""
    # Bronze reads a message again from Kafka where it lost it; Silver keeps the time when Bronze took it first.
    return f"""
    INSERT INTO checked
    SELECT j.* REPLACE (least(j.date_ingestion, p.taken_at) AS date_ingestion), p.lot
    FROM {BY_SILVER} j JOIN (SELECT * FROM placed WHERE {condition}) p USING ({_POSITION})
    """


def ids(tables: Tables, scope: Scope) -> str:
    """The statements that prepare `repeated`: the table `verdicts`, empty, and the clean events not judged again.

    These events have the names and types of Bronze.
    """
    event = tables.stream.event
    columns = [
        f"{_name(field.clean_name)}::{sql_type(field.bronze_type)} AS {_name(field.name)}" for field in event.read
    ]
    more = ", ".join(["_extra", _POSITION, "kafka_ts", "lot"])
    return f"""
    CREATE TABLE verdicts (topic_id VARCHAR, "partition" INTEGER, "offset" BIGINT, motifs VARCHAR[]);
    CREATE TEMP VIEW trusted AS SELECT {", ".join(columns)}, {more} FROM {scope.outside(stored(tables.clean.name))};
    """


def repeated(tables: Tables, scope: Scope, bucket: int, buckets: int) -> str:
    """The statement that adds to `verdicts` the valid messages that are not the first with their id.

    Of the ids whose hash falls into `bucket`. A message that is not judged again and is a clean event counts too.
    """
    event = tables.stream.event
    id_ = _name(event.id)
    content = ", ".join([*(_name(name) for name in event.names if name != event.id), 'md5("_extra")'])
    mine = f"hash({id_}) % {buckets} = {bucket}"
    # the ids first, alone: the rows of those that are repeated are few, and `_extra` may be large
    columns = f'{id_}, row({content}) AS "_content", {_POSITION}, kafka_ts, lot'
    return f"""
    CREATE OR REPLACE TEMP TABLE repeated_ids AS
    SELECT {id_} FROM (
        SELECT {id_} FROM checked WHERE len(motifs) = 0 AND {mine} UNION ALL SELECT {id_} FROM trusted WHERE {mine})
    GROUP BY ALL HAVING count(*) > 1;
    INSERT INTO verdicts
    WITH doubtful AS (
        SELECT {columns}, false AS "_trusted" FROM checked SEMI JOIN repeated_ids USING ({id_}) WHERE len(motifs) = 0
        UNION ALL SELECT {columns}, true FROM trusted SEMI JOIN repeated_ids USING ({id_})),
    ranked AS (
        SELECT *, row_number() OVER same_id AS "_nth", first("_content") OVER same_id AS "_first_content"
        FROM doubtful
        WINDOW same_id AS (PARTITION BY {id_} ORDER BY lot, kafka_ts, {_POSITION}
                           ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))
    SELECT {_POSITION},
           CASE WHEN "_content" IS NOT DISTINCT FROM "_first_content" THEN ['duplicate'] ELSE ['conflict'] END
    FROM ranked WHERE "_nth" > 1 AND NOT "_trusted"
    """


def messages(tables: Tables) -> str:
    """`expected`: every message that is judged again, with the expected verdict."""
    return f"""
    CREATE TEMP VIEW expected AS
    SELECT c.* REPLACE (coalesce(v.motifs, c.motifs) AS motifs) FROM checked c LEFT JOIN verdicts v USING ({_POSITION})
    """


def bronze_fields(tables: Tables) -> str:
    """The relation of Bronze's expected typed fields, from the raw bytes."""
    left_out = [name for name in not_compared(tables)[tables.bronze.name] if name not in ("key", "value", "headers")]
    excluded = ", ".join(_name(name) for name in left_out)
    return f"CREATE TEMP VIEW {expected(tables.bronze.name)} AS SELECT * EXCLUDE ({excluded}) FROM {BY_BRONZE}"


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


def rejected_now(tables: Tables, condition: str) -> str:
    """The clean events that get reasons now."""
    reasons = "len(e.motifs) > 0 AND e.motifs NOT IN (['duplicate'], ['conflict'])"
    return (
        f"SELECT 1 FROM (SELECT * FROM {stored(tables.clean.name)} WHERE {condition}) c "
        f"JOIN (SELECT * FROM expected WHERE {condition}) e USING ({_POSITION}) WHERE {reasons}"
    )


def accepted_now(tables: Tables, condition: str) -> str:
    """The rejected messages with reasons of their own that get none now."""
    own = "r.motifs NOT IN (['duplicate'], ['conflict'])"
    return (
        f"SELECT 1 FROM (SELECT * FROM {stored(tables.rejets.name)} WHERE {condition}) r "
        f"JOIN (SELECT * FROM expected WHERE {condition}) e USING ({_POSITION}) WHERE len(e.motifs) = 0 AND {own}"
    )


def judged_otherwise(tables: Tables, condition: str) -> str:
    """The messages that are correctly among the rejects, but with other reasons than expected."""
    rejets = tables.rejets.name
    return (
        f"SELECT 1 FROM (SELECT * FROM {stored(rejets)} WHERE {condition}) r "
        f"JOIN (SELECT * FROM {expected(rejets)} WHERE {condition}) e USING ({_POSITION}) "
        "WHERE r.motifs IS DISTINCT FROM e.motifs"
    )


def all_clean(tables: Tables, scope: Scope, columns: Sequence[str]) -> str:
    """The expected clean events, and as they stand those that are not judged again; `columns`: the expected ones."""
    listed = ", ".join(_name(name) for name in columns)
    clean = tables.clean.name
    return f"(SELECT {listed} FROM {expected(clean)} UNION ALL SELECT {listed} FROM {scope.outside(stored(clean))})"


def events(con: duckdb.DuckDBPyConnection, tables: Tables, rules: Rules, clean: str = "") -> None:
    """Make the relation `events` of `clean` events, by default the expected; with BUSINESS_HOUR if a table needs it."""
    clean = clean or expected(tables.clean.name)
    if not any(isinstance(table.grain, ByHour) for table in tables.stream.tables):
        con.execute(f"CREATE TEMP VIEW events AS SELECT * FROM {clean}")
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
        f"CREATE TEMP VIEW events AS SELECT c.*, h.start AS {BUSINESS_HOUR} "
        f"FROM {clean} c JOIN _hours h ON {minute} = h.minute"
    )


def _hour_of(minutes: int, zone: ZoneInfo) -> datetime:
    """The start of the business hour of a minute since 1970."""
    here = datetime.fromtimestamp(minutes * 60, zone)
    offset = here.utcoffset()
    assert offset is not None  # ZoneInfo always returns an offset
    wall = here.replace(tzinfo=None)
    return (wall.replace(minute=0, second=0, microsecond=0) - offset).replace(tzinfo=timezone.utc)


def aggregate(tables: Tables, table: Table, rules: Rules, lot: int | None) -> str:
    """The statement that makes the expected rows of a roll-up that has the lots up to `lot` (None: no lot)."""
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
    where = f"WHERE lot <= {-1 if lot is None else lot}" + (f" AND ({declared.where})" if declared.where else "")
    groups = ", ".join(str(place) for place in range(1, len(keys) + 1))
    return f"""
    CREATE TEMP TABLE {expected(table.name)} AS
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
