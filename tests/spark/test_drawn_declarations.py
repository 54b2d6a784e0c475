"""Spark and the embedded engine give the same rows for declarations and messages drawn at random.

The verdict columns of Bronze, the lots (all of it in tasks, nothing in the driver), and every table.
More examples: `SPARK_DECLARATIONS=200 pytest -m long tests/spark/test_drawn_declarations.py`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from harness.declared_streams import declarations, messages
from harness.messages import raw_table
from harness.silver_run import loop_of, settings_of
from tests.unit.test_declared_rollups import in_any_order
from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.deltalog import commit
from ventes.deltalog.database import connect
from ventes.deltalog.log import Log
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.engines.spark import bronze_files, silver
from ventes.engines.spark.session import Session
from ventes.engines.spark.silver import SparkSilver
from ventes.judging.judge_batch import judge_batch
from ventes.lake import tables
from ventes.stream import (
    Aggregate,
    ByDay,
    ByHour,
    ByMonth,
    Count,
    Distinct,
    First,
    Integer,
    Last,
    Max,
    Mean,
    Min,
    Money,
    Quotient,
    Rule,
    Share,
    Stream,
    Sum,
    Top,
    Values,
)
from ventes.stream.kinds import Field
from ventes.stream.measures import Measure

FEW = 2
"""Examples of the run that is not long: each takes 15 s of CPU, most of it Spark's planning of some thirty queries."""
MANY = int(os.environ.get("SPARK_DECLARATIONS", "30"))
INGESTED = datetime(2026, 1, 5, 10, 0, 1, tzinfo=timezone.utc)
FIXED = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # an example takes seconds: no smaller one is looked for
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


@dataclass(frozen=True)
class Case:
    stream: Stream
    values: list[bytes]
    second_lot: int
    """The number of messages before it."""


@st.composite
def cases(draw: st.DrawFn) -> Case:
    drawn = draw(declarations())
    fields = list(drawn.event.read)
    if draw(st.booleans()):
        fields += [Money("prix"), Integer("nombre", least=1, most=1_000)]
    stream = replace(drawn, event=replace(drawn.event, fields=tuple(fields)))
    values = draw(st.lists(messages(stream), min_size=8, max_size=14))
    again = draw(st.lists(st.sampled_from(values), min_size=2, max_size=4))
    fields = _with_columns(draw, fields)
    tables_ = tuple(_aggregate(draw, f"table_{number}", fields) for number in range(draw(st.integers(1, 2))))
    if isinstance(fields[-1], Integer) and fields[-1].name == "nombre":
        fields.insert(1, Quotient("piece", amount="prix", count="nombre"))  # type: ignore[arg-type]
    severity = draw(st.sampled_from(("flag", "reject")))
    rules = (Rule("ancien", "quand >= TIMESTAMPTZ '2020-01-01 00:00:00Z'", "Old.", severity=severity),)
    whole = replace(
        stream,
        event=replace(stream.event, fields=tuple(fields)),
        tables=tables_,
        rules=rules if draw(st.booleans()) else (),
    )
    order = draw(st.permutations([*values, *again]))
    return Case(whole, list(order), draw(st.integers(1, len(order) - 1)))


def _with_columns(draw: st.DrawFn, fields: list[Field]) -> list[Field]:
    """Some fields get another column, two of them each other's name."""
    names = {field.name: f"c_{field.name}" if draw(st.booleans()) else field.name for field in fields}
    one, other = draw(st.lists(st.sampled_from(fields), min_size=2, max_size=2, unique=True))
    names |= {one.name: other.name, other.name: one.name}
    return [replace(field, column=names[field.name]) for field in fields]


def _aggregate(draw: st.DrawFn, name: str, fields: list[Field]) -> Aggregate:
    by: list[Any] = draw(st.lists(st.sampled_from([field.name for field in fields]), unique=True, max_size=2))
    by += draw(st.sampled_from(([], [ByDay()], [ByHour()], [ByMonth()])))
    measures: list[Measure] = [Count("events")]
    for number, field in enumerate(draw(st.lists(st.sampled_from(fields), min_size=1, max_size=4))):
        kinds = [Min, Max, Distinct, Values, First, Last, Top, *([Sum, Mean] if field.is_number else [])]
        measures.append(draw(st.sampled_from(kinds))(f"m_{number}", field.name))
    at = next(field for field in fields if field.name == "quand").clean_name
    measures.append(Share("m_share", where=f"\"{at}\" < TIMESTAMPTZ '2024-01-01 00:00:00Z'"))
    return Aggregate(name, tuple(by or ["quand"]), tuple(measures))


@pytest.fixture(scope="module", autouse=True)
def all_in_tasks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(silver, "FEW", -1)
        yield


@given(case=cases())
@settings(FIXED, max_examples=FEW)
def test_few(session: Session, case: Case) -> None:
    _compare(session, case)


@pytest.mark.long
@given(case=cases())
@settings(FIXED, max_examples=MANY)
def test_many(session: Session, case: Case) -> None:
    _compare(session, case)


def _compare(session: Session, case: Case) -> None:
    raw = raw_table(list[bytes | None](case.values))
    with tempfile.TemporaryDirectory(prefix="drawn-") as name:
        theirs, ours = (_settings(Path(name), engine, case.stream) for engine in ("spark", "embedded"))
        judged = _judged(ours, raw)
        _same(_judged_in_spark(session, _settings(Path(name), "tasks", case.stream), raw), judged, "bronze")
        for config, engine in ((theirs, partial(SparkSilver, session=session)), (ours, EmbeddedSilver)):
            bronze = contract.of(config).bronze
            tables.ensure(config, bronze)
            for lot, rows in enumerate((judged.slice(0, case.second_lot), judged.slice(case.second_lot)), 1):
                commit.append(Log.open(config.bronze), bronze, rows, "test", lot)
                assert loop_of(config, engine).run() == 0
        for table in contract.of(ours).silver:
            in_spark, embedded = (tables.snapshot(config, table).arrow() for config in (theirs, ours))
            _same(in_spark, embedded, table.name, but=("date_traitement",))


def _settings(folder: Path, engine: str, stream: Stream) -> Settings:
    file = folder / f"{engine}.py"
    file.write_text(
        f"from decimal import Decimal\nfrom ventes.stream import *\nSTREAM = {stream!r}\n", encoding="utf-8"
    )
    return settings_of(folder / engine, stream=str(file))


def _judged(config: Settings, raw: pa.Table) -> pa.Table:
    with connect() as con:
        return judge_batch(con, raw, config, INGESTED, 0)


def _judged_in_spark(session: Session, config: Settings, raw: pa.Table) -> pa.Table:
    """Bronze's rows as Spark's tasks write them."""
    columns = ["key", "value", "partition", "offset", "kafka_ts", "headers"]
    frame = session.spark.createDataFrame(raw.select(columns)).withColumnRenamed("kafka_ts", "timestamp")
    messages_ = frame.withColumn("timestampType", F.lit(1)).repartition(2)
    bronze = contract.of(config).bronze
    tables.ensure(config, bronze)
    log = Log.open(config.bronze)
    topic = raw["topic_id"][0].as_py()
    log.commit([file.add(True) for file in bronze_files.write(messages_, topic, config, INGESTED)], "WRITE")
    return tables.snapshot(config, bronze).arrow()


def _same(theirs: pa.Table, ours: pa.Table, what: str, but: tuple[str, ...] = ()) -> None:
    columns = [name for name in ours.schema.names if name not in but]
    assert theirs.schema.names == ours.schema.names, what
    assert in_any_order(theirs.to_pylist(), columns) == in_any_order(ours.to_pylist(), columns), what
