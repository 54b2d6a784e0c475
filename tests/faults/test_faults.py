"""Real faults, one pipeline at a time, with both engines: inject, end the fault, then `verify` must be green."""

from __future__ import annotations

import itertools
import random
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from harness import corpus
from harness.messages import damaged
from harness.pipeline import Pipeline, sales, wait_for
from harness.shipped import ALL, BRONZE, CLEAN, REJETS, ROLLUPS
from ventes import kafka
from ventes.config import PROJECT
from ventes.deltalog.database import connect
from ventes.deltalog.table import Table
from ventes.engines.spark.silver import FEW
from ventes.lake import tables
from ventes.producer import flights

ENGINES = ("embedded", "spark")
OF_A_LOT = ("silver.before_rejets", "silver.after_rejets", "silver.after_clean")
"""Between the writes of an engine; the roll-ups are published by the same code for both."""
AFTER_IT = (*(f"silver.after_rollup.{table.name}" for table in (ROLLUPS[0], ROLLUPS[-1])), "silver.after_lot")


@pytest.fixture(params=ENGINES)
def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pipeline]:
    with Pipeline(tmp_path / "pipeline", request.param) as running:
        yield running


SPARK_IS_LONG = pytest.mark.parametrize(
    "pipeline", ["embedded", pytest.param("spark", marks=pytest.mark.long)], indirect=True
)


def mixed(count: int, first_id: int) -> list[bytes | None]:
    """Valid sales, a duplicate, a conflict, rubbish and a tombstone: every lot writes to both message tables."""
    valid = list(sales(count, first_id))
    conflict = valid[0].replace(b'"quantite": ', b'"quantite": 1')
    return [*valid, valid[-1], conflict, b"not json", None]


@pytest.mark.parametrize(
    ("pipeline", "points"),
    [
        ("embedded", (*OF_A_LOT, *AFTER_IT)),
        ("spark", OF_A_LOT),
        pytest.param("spark", AFTER_IT, marks=pytest.mark.long),
    ],
    indirect=["pipeline"],
    ids=["embedded", "spark", "spark after it"],
)
def test_silver_killed_between_every_two_writes(pipeline: Pipeline, points: Sequence[str]) -> None:
    pipeline.start("bronze", engine="embedded")  # Silver is the job that is killed
    for number, point in enumerate(points):
        pipeline.send(mixed(20, first_id=1 + 100 * number))
        pipeline.start("silver", failpoints=f"{point}:kill9")
        assert pipeline.died("silver") == -signal.SIGKILL, point
    pipeline.start("silver")
    pipeline.catch_up()
    pipeline.verify()
    assert pipeline.rows(REJETS) == 4 * len(points)


@pytest.mark.timeout(900)
@pytest.mark.long  # 20 s and 8 min; the sales' kills are not long
@pytest.mark.parametrize("engine", ["embedded", "spark"])
def test_silver_of_another_stream_killed_between_every_two_writes(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flights: text ids, hidden columns, means of optional fields. Spark takes two of the lots without its driver."""
    monkeypatch.setenv("VENTES_STREAM", str(PROJECT / "streams" / "vols.py"))
    flown = (message.value for message in flights.flights(flights.data_file()))
    with Pipeline(tmp_path / "pipeline", engine) as pipeline:
        rollups = [table.name for table in pipeline.tables.rollups]
        points = [
            *("silver.before_rejets", "silver.after_rejets", "silver.after_clean"),
            *(f"silver.after_rollup.{name}" for name in rollups),
            "silver.after_lot",
        ]
        pipeline.start("bronze", engine="embedded")  # Silver is the job that is killed
        sent = 0
        for number, point in enumerate(points):
            new = list(itertools.islice(flown, FEW + 100 if number in (1, 2) and engine == "spark" else 100))
            conflict = new[0].replace(b'"distance":', b'"distance":1')
            assert conflict != new[0]
            pipeline.send([*new, new[-1], conflict, b"no flight", None])
            sent += len(new)
            pipeline.start("silver", failpoints=f"{point}:kill9")
            assert pipeline.died("silver", seconds=240) == -signal.SIGKILL, point
        pipeline.start("silver")
        pipeline.catch_up(seconds=240)
        pipeline.verify()
        assert pipeline.rows(pipeline.tables.clean) == sent
        assert pipeline.rows(pipeline.tables.rejets) == 4 * len(points)


@SPARK_IS_LONG
def test_bronze_killed_before_and_after_its_commit_and_from_outside(pipeline: Pipeline) -> None:
    pipeline.start("silver")
    for number, point in enumerate(("bronze.before_commit", "bronze.after_commit")):
        pipeline.send(mixed(20, first_id=1 + 100 * number))
        pipeline.start("bronze", failpoints=f"{point}:kill9")
        assert pipeline.died("bronze") == -signal.SIGKILL, point
    pipeline.start("bronze")
    pipeline.catch_up()
    pipeline.send(sales(500, 1001))
    pipeline.kill("bronze")
    pipeline.start("bronze")
    pipeline.catch_up()
    if pipeline.engine == "spark":
        jvm = pipeline.jvm("bronze")
        assert jvm is not None
        pipeline.send(sales(500, 2001))
        jvm.kill()
        assert pipeline.died("bronze") != 0
        pipeline.start("bronze")
        pipeline.catch_up()
    pipeline.verify()


@pytest.mark.parametrize("point", ["bronze.before_commit@2", "bronze.after_commit@2", "bronze.after_commit@3"])
def test_bronze_killed_while_the_next_batch_is_judged(tmp_path: Path, point: str) -> None:
    """The first of the batches of a backlog that are written while others are judged."""
    with Pipeline(tmp_path, "embedded") as pipeline:
        pipeline.send(sales(150_000))
        pipeline.start("bronze", failpoints=f"{point}:kill9")
        assert pipeline.died("bronze") == -signal.SIGKILL
        pipeline.start("bronze")
        pipeline.start("silver")
        pipeline.catch_up(seconds=240)
        pipeline.verify()
        assert pipeline.rows(pipeline.tables.clean) == 150_000


@SPARK_IS_LONG
def test_broker_killed_while_everything_runs(pipeline: Pipeline) -> None:
    pipeline.start("bronze")
    pipeline.start("silver")
    pipeline.send(sales(200))
    pipeline.catch_up()
    pipeline.broker.kill()
    wait_for(lambda: _phase(pipeline, "bronze") == "waiting", "bronze says that it waits for the broker")
    pipeline.broker.start()
    pipeline.send(sales(200, 1001))
    pipeline.catch_up()
    pipeline.verify()
    assert [job for job, process in pipeline.jobs.items() if process.poll() is not None] == []


@SPARK_IS_LONG
def test_stopped_in_the_middle_of_a_batch_ends_cleanly_and_continues(pipeline: Pipeline) -> None:
    pipeline.start("bronze")
    pipeline.start("silver")
    pipeline.send(sales(100))
    pipeline.catch_up()
    pipeline.send(sales(20_000, 1001))
    assert pipeline.stop("bronze", signal.SIGTERM, seconds=10) == 0
    assert pipeline.stop("silver", signal.SIGTERM, seconds=10) == 0
    pipeline.start("bronze")
    pipeline.start("silver")
    pipeline.catch_up()
    pipeline.verify()


@SPARK_IS_LONG
def test_a_second_instance_refuses(pipeline: Pipeline) -> None:
    pipeline.send(sales(10))
    for job in ("bronze", "silver"):
        first = pipeline.start(job)
    pipeline.catch_up()
    for job in ("bronze", "silver"):
        first = pipeline.jobs[job]
        pipeline.start(job)
        assert pipeline.died(job) == 3
        assert "already running" in pipeline.log(job)
        pipeline.jobs[job] = first
        assert first.poll() is None
    pipeline.verify()


@SPARK_IS_LONG
def test_a_recreated_topic_stops_the_job_until_recover(pipeline: Pipeline) -> None:
    pipeline.start("bronze")
    pipeline.start("silver")
    pipeline.send(sales(50))
    pipeline.catch_up()
    admin = AdminClient(kafka.client_config(pipeline.settings))
    old = kafka.topic_id(pipeline.settings)
    admin.delete_topics([pipeline.settings.topic])[pipeline.settings.topic].result(20)
    wait_for(lambda: kafka.topic_id(pipeline.settings) is None, "the topic is gone")
    kafka.ensure_topic(pipeline.settings)
    assert kafka.topic_id(pipeline.settings) != old
    pipeline.send(sales(80, 1001))
    assert pipeline.died("bronze") == 3
    beat = pipeline.heartbeat("bronze")
    assert beat is not None
    assert beat.phase == "failed"
    assert "ventes recover" in beat.reason
    assert pipeline.rows(BRONZE) == 50, "nothing of the new topic was mixed in"

    pipeline.ventes("recover", "--yes")
    pipeline.start("bronze")
    pipeline.catch_up()
    pipeline.verify()
    assert pipeline.rows(CLEAN) == 130


@SPARK_IS_LONG
def test_the_whole_corpus_and_huge_messages(pipeline: Pipeline) -> None:
    events = corpus.load()
    pipeline.start("bronze")
    pipeline.start("silver")
    pipeline.send(event.value for event in events)
    pipeline.send([b"x" * 5_000_000, b"\x00\xff" * 1000, b"", None, next(sales(1, 10**9))])
    pipeline.catch_up()
    pipeline.verify()


@pytest.mark.long
@pytest.mark.parametrize("fault", ["last commit deleted", "checkpoint deleted"])
def test_spark_continues_from_the_table_when_its_checkpoint_is_lost(tmp_path: Path, fault: str) -> None:
    import shutil

    with Pipeline(tmp_path / "pipeline", "spark") as pipeline:
        pipeline.start("bronze")
        pipeline.start("silver", engine="embedded")
        pipeline.send(mixed(50, 1))
        pipeline.catch_up()
        assert pipeline.stop("bronze") == 0
        checkpoint = sorted((pipeline.settings.checkpoints / "bronze").glob("epoch-*"))[-1]
        if fault == "last commit deleted":
            newest = max((p for p in (checkpoint / "commits").iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
            newest.unlink()
            newest.with_name(f".{newest.name}.crc").unlink(missing_ok=True)
        else:
            shutil.rmtree(pipeline.settings.checkpoints)
        pipeline.send(mixed(50, 1001))
        pipeline.start("bronze")
        pipeline.catch_up()
        pipeline.verify()


@pytest.mark.parametrize(
    "engines",
    [
        pytest.param(("embedded", "spark"), id="embedded then spark"),
        pytest.param(("spark", "embedded") * 2, marks=pytest.mark.long, id="four times"),
    ],
)
def test_engines_take_over_from_each_other_even_after_kill_9(tmp_path: Path, engines: tuple[str, ...]) -> None:
    with Pipeline(tmp_path / "pipeline") as pipeline:
        first = itertools.count(1, 1000)
        for number, engine in enumerate(engines):
            pipeline.send(mixed(100, next(first)))
            points = {"bronze": "bronze.after_commit:kill9", "silver": "silver.after_clean:kill9"}
            for job in ("bronze", "silver"):
                pipeline.start(job, engine=engine, failpoints=points[job] if number % 2 == 0 else "")
            if number % 2 == 0:
                assert pipeline.died("bronze") == -signal.SIGKILL
                assert pipeline.died("silver") == -signal.SIGKILL
            else:
                pipeline.catch_up()
                pipeline.verify()
                pipeline.kill("bronze")
                pipeline.kill("silver")


def test_both_engines_write_the_same_tables(tmp_path: Path) -> None:
    with (
        Pipeline(tmp_path / "embedded", "embedded") as one,
        Pipeline(tmp_path / "spark", "spark", beside=one) as other,
    ):
        values = [*(event.value for event in corpus.load()), *mixed(500, 10**6), *damaged(random.Random(7), 3_000)]
        one.send(values)
        for pipeline in (one, other):
            pipeline.start("bronze")
            pipeline.start("silver")
            pipeline.catch_up(120)
            pipeline.verify(read_topic=pipeline is one)
            for job in ("bronze", "silver"):
                assert pipeline.stop(job) == 0
        for table in ALL:
            assert differences(one, other, table) == [], table.name


def differences(one: Pipeline, other: Pipeline, table: Table) -> list[object]:
    """Rows that only one of the two has, without the columns of the write time and the lot."""
    own = {"date_ingestion", "date_traitement", "lot"}
    columns = ", ".join(f'"{name}"' for name in table.schema.names if name not in own)
    with connect() as con:
        for name, pipeline in (("a", one), ("b", other)):
            tables.snapshot(pipeline.settings, table).view(con, name)
        query = f"SELECT {columns} FROM {{}} EXCEPT ALL SELECT {columns} FROM {{}}"
        return [*con.execute(query.format("a", "b")).fetchall(), *con.execute(query.format("b", "a")).fetchall()]


def _phase(pipeline: Pipeline, job: str) -> str:
    beat = pipeline.heartbeat(job)
    return beat.phase if beat else ""
