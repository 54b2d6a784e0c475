"""Spark's Bronze job on a real broker: every message once, whatever happens to checkpoint and topic."""

from __future__ import annotations

import gc
import logging
import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pyarrow as pa
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions
from pyspark.sql import DataFrame

from harness.broker import Broker, running_broker
from harness.odd_messages import NOW_MS, TIMES_MS, Transactions, create_topic_of_senders_time, send_at
from harness.pipeline import free_ports, sales, wait_for
from harness.producing import IN_ORDER
from harness.shipped import BRONZE
from ventes import kafka
from ventes.check import lag
from ventes.config import Settings
from ventes.engines.job import Job
from ventes.engines.spark import bronze, checkpoint, frames, micro_batch
from ventes.engines.spark.bronze import Bronze
from ventes.engines.spark.session import Session
from ventes.errors import SourceChanged
from ventes.lake import accepted_gaps, tables
from ventes.lake.writer_lock import holder, lock_path
from ventes.operations import recover
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("broker")
    port, controller = free_ports(2)
    places = {"state": folder / "state", "logs": folder / "logs", "lake": folder / "lake"}
    with running_broker(Settings(kafka={"port": port, "controller_port": controller}, paths=places)) as one:
        yield one


@pytest.fixture
def settings(broker: Broker, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """A separate topic and lake for the test."""
    topic = "".join(letter if letter.isalnum() else "_" for letter in request.node.name)
    made = Settings(
        kafka={"port": broker.settings.kafka.port, "topic": topic},
        paths={"state": tmp_path / "state", "logs": tmp_path / "logs", "lake": tmp_path / "lake"},
        spark={"bronze_trigger_seconds": 0.1, "max_rows_per_batch": 60},
    )
    kafka.ensure_topic(made)
    return made


class UntilCaughtUp(Stopper):
    """Stops the job when nothing is left to read; fails a job that takes too long."""

    def __init__(self, reporter: Reporter, seconds: float = 120.0) -> None:
        super().__init__()
        self._reporter = reporter
        self._until = time.monotonic() + seconds

    def wait(self, seconds: float) -> bool:
        record = self._reporter.record
        if record.phase == "running" and record.lag == 0:
            self.stop()
        assert time.monotonic() < self._until, f"still {record}"
        return super().wait(seconds)


def run(settings: Settings, session: Session) -> Reporter:
    reporter = Reporter(settings.state, "bronze", "spark")
    with kafka.Admin(settings) as admin:
        job = Job(settings, logging.getLogger("ventes.bronze"), reporter, UntilCaughtUp(reporter))
        Bronze(job, session, admin, lambda: None).run()
    return reporter


def send(settings: Settings, first: int, count: int, partition: int = 0) -> None:
    producer = Producer(kafka.client_config(settings, **IN_ORDER))
    values: list[bytes | None] = [*sales(count - 2, first), b"not json", None]
    for value in values:
        producer.produce(settings.topic, value, key=b"k", partition=partition, headers=[("h", b"\xff")])
    assert producer.flush(30) == 0


def held(settings: Settings) -> dict[tuple[str, int], list[int]]:
    """(topic_id, partition) → the offsets in Bronze, sorted, as often as they occur."""
    found: dict[tuple[str, int], list[int]] = {}
    for row in tables.snapshot(settings, BRONZE).arrow().select(["topic_id", "partition", "offset"]).to_pylist():
        found.setdefault((row["topic_id"], row["partition"]), []).append(row["offset"])
    return {key: sorted(offsets) for key, offsets in found.items()}


def newest_epoch(settings: Settings) -> Path:
    return checkpoint.epochs(settings.checkpoints / "bronze")[-1]


@pytest.fixture
def senders_time(broker: Broker, settings: Settings) -> Settings:
    """A topic with CreateTime: records keep the sender's time."""
    kept = settings.model_copy(
        update={
            "kafka": settings.kafka.model_copy(update={"other_topic": f"{settings.topic}_theirs", "managed": False})
        }
    )
    create_topic_of_senders_time(kept)
    return kept


@pytest.mark.parametrize("few", [1_000, -1], ids=["driver commits", "spark commits"])
def test_the_time_of_a_record_is_not_used_without_log_append_time(
    senders_time: Settings, session: Session, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Also a time that Spark's own source cannot represent."""
    monkeypatch.setattr(micro_batch, "FEW", few)
    send_at(senders_time, TIMES_MS.values())
    before = datetime.now(timezone.utc)
    run(senders_time, session)
    send_at(senders_time, [NOW_MS], first_id=100)
    run(senders_time, session)
    rows = tables.snapshot(senders_time, BRONZE).arrow().sort_by("offset").to_pylist()
    assert [row["vente_id"] for row in rows] == [*range(1, len(TIMES_MS) + 1), 100]
    assert all(row["motifs"] == [] and before <= row["kafka_ts"] == row["date_ingestion"] for row in rows)


def test_only_what_was_committed_is_read_and_the_end_is_reached(settings: Settings, session: Session) -> None:
    transactions = Transactions(settings)
    wanted = transactions.commit(3)
    transactions.abort(3)
    wanted += transactions.commit(2)
    transactions.abort(1)
    run(settings, session)
    epoch = newest_epoch(settings)
    assert lag.of_bronze(settings, time.time()).messages == 0
    wanted += transactions.commit(1)
    run(settings, session)
    assert newest_epoch(settings) == epoch  # the checkpoint agrees with the table, at a marker too
    assert lag.of_bronze(settings, time.time()).messages == 0
    assert sorted(tables.snapshot(settings, BRONZE).arrow()["vente_id"].to_pylist()) == wanted


@pytest.mark.parametrize("few", [1_000, -1], ids=["driver commits", "spark commits"])
def test_each_message_once_through_every_kind_of_restart(
    settings: Settings, session: Session, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(micro_batch, "FEW", few)
    topic_id = str(kafka.topic_id(settings))
    send(settings, 1, 100)
    assert run(settings, session).record.total == 100
    first = newest_epoch(settings)

    newest = max((p for p in (first / "commits").iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
    newest.unlink()  # a crash between table and checkpoint
    newest.with_name(f".{newest.name}.crc").unlink()
    send(settings, 1001, 30)
    run(settings, session)
    assert newest_epoch(settings) == first
    assert held(settings) == {(topic_id, 0): list(range(130))}

    (first / "offsets" / newest.name).write_text("")  # damage
    send(settings, 2001, 30)
    run(settings, session)
    assert newest_epoch(settings) != first

    shutil.rmtree(settings.checkpoints)
    send(settings, 3001, 30)
    run(settings, session)
    assert held(settings) == {(topic_id, 0): list(range(190))}
    rows = tables.snapshot(settings, BRONZE).arrow().to_pylist()
    assert {row["key"] for row in rows} == {b"k"}
    assert all(row["headers"] == [{"key": "h", "value": b"\xff"}] for row in rows)
    assert sorted({row["motifs"][0] for row in rows if row["motifs"]}) == ["empty", "not_json"]


def test_old_epochs_are_deleted_once_a_newer_one_has_committed(settings: Settings, session: Session) -> None:
    send(settings, 1, 10)
    run(settings, session)
    first = newest_epoch(settings)
    (first / "metadata").unlink()
    send(settings, 1001, 200)  # several batches
    run(settings, session)
    assert checkpoint.epochs(settings.checkpoints / "bronze") == [newest_epoch(settings)]
    assert newest_epoch(settings) != first


def test_partitions_added_are_read_from_their_first_message(settings: Settings, session: Session) -> None:
    topic_id = str(kafka.topic_id(settings))
    send(settings, 1, 10)
    run(settings, session)
    with client(settings) as admin:
        admin.create_partitions([NewPartitions(settings.topic, 3)])[settings.topic].result(20)
    with kafka.Admin(settings) as asking:
        wait_for(lambda: len(asking.partitions()) == 3, "the topic has three partitions")
    for partition in range(3):
        send(settings, 1000 * (partition + 1), 5, partition)
    run(settings, session)
    assert held(settings) == {
        (topic_id, 0): list(range(15)),
        (topic_id, 1): list(range(5)),
        (topic_id, 2): list(range(5)),
    }


def test_expired_messages_stop_the_job_until_recover(settings: Settings, session: Session) -> None:
    topic_id = str(kafka.topic_id(settings))
    send(settings, 1, 10)
    run(settings, session)
    send(settings, 1001, 30)
    with client(settings) as admin:
        for answer in admin.delete_records([TopicPartition(settings.topic, 0, 25)]).values():
            answer.result(20)
    with pytest.raises(SourceChanged, match=r"offsets 10\.\.24 expired"):
        run(settings, session)
    found = recover.compare(settings, datetime.now(timezone.utc))
    assert found.lost == 15
    recover.record(settings, found)
    run(settings, session)
    assert held(settings) == {(topic_id, 0): [*range(10), *range(25, 40)]}
    assert [(gap.first, gap.last) for gap in accepted_gaps.read(settings.lake).gaps] == [(10, 24)]


def test_a_topic_recreated_during_a_batch_is_not_mixed_in(
    settings: Settings, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offsets alone cannot detect this: the new topic has more messages than the old one had."""
    old = str(kafka.topic_id(settings))
    send(settings, 1, 10)
    run(settings, session)
    send(settings, 1001, 10)

    def collect_while_the_topic_changes(rows: DataFrame, schema: pa.Schema) -> pa.Table | None:
        recreate(settings)
        send(settings, 5001, 50)
        return frames.collect(rows, schema)

    monkeypatch.setattr(micro_batch, "collect", collect_while_the_topic_changes)
    with pytest.raises(SourceChanged, match="deleted and created anew"):
        run(settings, session)
    monkeypatch.undo()
    assert held(settings) == {(old, 0): list(range(10))}
    recover.record(settings, recover.compare(settings, datetime.now(timezone.utc)))
    run(settings, session)
    new = str(kafka.topic_id(settings))
    assert held(settings) == {(old, 0): list(range(10)), (new, 0): list(range(50))}


def recreate(settings: Settings) -> None:
    with client(settings) as admin:
        admin.delete_topics([settings.topic])[settings.topic].result(20)
    wait_for(lambda: kafka.topic_id(settings) is None, "the topic is gone")
    kafka.ensure_topic(settings)


def client(settings: Settings) -> AdminClient:
    config = kafka.client_config(settings)
    del config["logger"]
    return AdminClient(config)


def test_the_writer_lock_outlives_javas_garbage_collector(
    settings: Settings, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    holders = []

    class Collecting:
        """Replaces the loop: collects garbage as a long run does, then checks the holder of the lock."""

        def __init__(self, job: Job, session: Session, *_: object) -> None:
            self._path, self._session = lock_path(job.settings, "bronze"), session

        def run(self) -> None:
            for _ in range(3):
                gc.collect()
                time.sleep(0.2)  # a thread of py4j releases the Java objects that Python has collected
                self._session.jvm.java.lang.System.gc()
            holders.append(holder(self._path))

    monkeypatch.setattr(bronze, "open_session", lambda *_: session)
    monkeypatch.setattr(session, "close", lambda: None)
    monkeypatch.setattr(bronze, "Bronze", Collecting)
    reporter = Reporter(settings.state, "bronze", "spark")
    bronze._body(Job(settings, logging.getLogger("ventes.bronze"), reporter, Stopper()))
    assert holders == [session.jvm_pid]
