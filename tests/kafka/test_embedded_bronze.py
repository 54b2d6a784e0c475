"""The embedded Bronze job against a real broker, in a thread of the test."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timezone
from typing import Any

import pyarrow.compute as pc
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from harness.broker import Broker
from harness.ingested import sale
from harness.odd_messages import TIMES_MS, Transactions, create_topic_of_senders_time, send_at
from harness.pipeline import wait_for
from harness.producing import IN_ORDER, MakeSettings
from harness.shipped import BRONZE
from ventes import kafka
from ventes.check import lag
from ventes.config import Settings
from ventes.deltalog.log import Log
from ventes.engines import bronze_writer, job
from ventes.engines.embedded import bronze
from ventes.engines.embedded.bronze import Ingestion
from ventes.engines.job import Job
from ventes.engines.kafka_reader import CHUNK, Batch, KafkaReader
from ventes.errors import LockLost
from ventes.lake import accepted_gaps, tables
from ventes.lake.positions import positions, read_through
from ventes.lake.writer_lock import WriterLock, lock_path
from ventes.runtime import allocator, disk, heartbeat
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper

Running = Callable[[], AbstractContextManager[None]]
RunningWith = Callable[[Settings], AbstractContextManager[None]]


@pytest.fixture
def running(settings: Settings) -> Running:
    """`with running():` the job runs; at the end it is stopped, and its exception is raised."""
    return lambda: running_job(settings)


@pytest.fixture
def running_with() -> RunningWith:
    return running_job


@contextmanager
def running_job(settings: Settings, require_lock: Callable[[], None] = lambda: None) -> Iterator[None]:
    stopper = Stopper()
    raised: list[BaseException] = []

    def work() -> None:
        reporter = Reporter(settings.state, "bronze")
        ingestion = Ingestion(Job(settings, logging.getLogger("test"), reporter, stopper), require_lock)
        try:
            ingestion.run()
        except BaseException as error:
            raised.append(error)
        finally:
            ingestion.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stopper.stop()
        thread.join(20)
        assert not thread.is_alive()
        if raised:
            raise raised[0]


def send(settings: Settings, *messages: dict[str, Any]) -> None:
    with Producer(
        {"bootstrap.servers": settings.kafka.bootstrap, "message.max.bytes": 10_000_000, **IN_ORDER}
    ) as producer:
        for message in messages:
            producer.produce(settings.topic, **message)
            producer.poll(0)
        assert producer.flush(30) == 0


def arrived(settings: Settings, offsets: dict[int, int]) -> Callable[[], bool]:
    """Whether Bronze holds exactly these last offsets, partition → offset."""
    return lambda: {part: last for (_, part), last in positions(settings.bronze).items()} == offsets


def phase(settings: Settings) -> str:
    record = heartbeat.read(settings.state, "bronze")
    return record.phase if record is not None else ""


def test_every_message_as_it_was(settings: Settings, running: Running) -> None:
    kafka.ensure_topic(settings)
    odd: list[dict[str, Any]] = [
        {"value": sale(1), "key": b"1"},
        {"value": b"\x00\xff\xfe", "key": b"\xff"},
        {"value": None, "key": b"2"},
        {"value": b"", "key": None},
        {"value": b"x" * 3_000_000, "key": b"3", "headers": [("a", b"\x00"), ("a", None), ("é", b"")]},
    ]
    before = datetime.now(timezone.utc)
    send(settings, *odd)
    with running():
        wait_for(arrived(settings, {0: 4}), "five messages in Bronze", 30)
    rows = tables.snapshot(settings, BRONZE).arrow().sort_by("offset").to_pylist()
    assert [(row["key"], row["value"]) for row in rows] == [(message["key"], message["value"]) for message in odd]
    assert [row["headers"] for row in rows] == [
        *[None] * 4,
        [{"key": "a", "value": b"\x00"}, {"key": "a", "value": None}, {"key": "é", "value": b""}],
    ]
    assert [bool(row["motifs"]) for row in rows] == [False, True, True, True, True]
    assert {row["topic_id"] for row in rows} == {kafka.topic_id(settings)}
    assert all(abs((row["kafka_ts"] - before).total_seconds()) < 60 for row in rows)
    transactions = Log.open(settings.bronze).transactions
    assert transactions[f"ventes-bronze:{kafka.topic_id(settings)}:0"] == 4


def test_it_continues_after_the_last_row_of_the_table(settings: Settings, running: Running) -> None:
    kafka.ensure_topic(settings)
    for start in (0, 50, 100):
        send(settings, *({"value": sale(number)} for number in range(start + 1, start + 51)))
        with running():
            wait_for(arrived(settings, {0: start + 49}), "all rows", 30)
    offsets = tables.snapshot(settings, BRONZE).arrow()["offset"]
    assert sorted(offsets.to_pylist()) == list(range(150))


def test_without_its_lock_it_commits_no_more(settings: Settings) -> None:
    kafka.ensure_topic(settings)

    def lose_the_lock(lock: WriterLock) -> None:
        with running_job(settings, lock.require):
            send(settings, {"value": sale(1)})
            wait_for(arrived(settings, {0: 0}), "the sale", 30)
            lock.path.unlink()
            send(settings, {"value": sale(2)})
            wait_for(lambda: not _alive("intake"), "the job has ended", 30)

    with WriterLock(lock_path(settings, "bronze")) as lock, pytest.raises(LockLost):
        lose_the_lock(lock)
    assert tables.snapshot(settings, BRONZE).rows == 1


def _alive(name: str) -> bool:
    return any(thread.name == name for thread in threading.enumerate())


def test_a_lost_connection_is_one_line_and_one_when_it_is_back(
    settings: Settings, broker: Broker, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.ensure_topic(settings)
    with running():
        send(settings, {"value": sale(1)})
        wait_for(arrived(settings, {0: 0}), "the sale", 30)
        caplog.set_level(logging.INFO, "test")
        caplog.clear()
        broker.kill()
        wait_for(lambda: phase(settings) == "waiting", "it waits", 30)
        time.sleep(3)  # a possible length of an outage: every line of this time counts
        broker.start()
        send(settings, {"value": sale(2)})
        wait_for(arrived(settings, {0: 1}), "the next sale", 60)
    said = [record.message for record in caplog.records if record.name in ("test", "ventes.kafka")]
    lost = [line for line in said if line.startswith("waiting: ")]
    assert len(lost) <= 2, said  # no listener; or perhaps a listener that does not answer yet
    assert len([line for line in said if line.startswith("continues after waiting ")]) == 1, said
    assert len(said) <= 6, said


def test_the_time_of_a_record_is_not_used_without_log_append_time(
    make_settings: MakeSettings, running_with: RunningWith
) -> None:
    settings = make_settings(managed=False)
    create_topic_of_senders_time(settings)
    send_at(settings, TIMES_MS.values())
    before = datetime.now(timezone.utc)
    with running_with(settings):
        wait_for(arrived(settings, {0: len(TIMES_MS) - 1}), "every message in Bronze", 30)
    rows = tables.snapshot(settings, BRONZE).arrow().to_pylist()
    assert [row["motifs"] for row in rows] == [[]] * len(TIMES_MS)
    assert all(before <= row["kafka_ts"] == row["date_ingestion"] for row in rows)


def test_only_what_was_committed_is_read_and_the_end_is_reached(settings: Settings, running: Running) -> None:
    kafka.ensure_topic(settings)
    transactions = Transactions(settings)
    wanted = transactions.commit(3)
    transactions.abort(3)
    wanted += transactions.commit(2)
    transactions.abort(1)  # the log ends with a marker, after messages that cannot be read
    with running():
        wait_for(lambda: lag.of_bronze(settings, time.time()).messages == 0, "nothing is left to read", 30)
    assert sorted(tables.snapshot(settings, BRONZE).arrow()["vente_id"].to_pylist()) == wanted
    high = kafka.end_offsets(settings)[0][1]
    assert read_through(Log.open(settings.bronze)) == {(kafka.topic_id(settings), 0): high - 1}
    version = Log.open(settings.bronze).version
    with running():  # a restart at the marker: no work, no log line
        wait_for(lambda: phase(settings) == "running", "it runs", 30)
        wanted += transactions.commit(1)
        wait_for(lambda: lag.of_bronze(settings, time.time()).messages == 0, "the next one is read", 30)
    assert sorted(tables.snapshot(settings, BRONZE).arrow()["vente_id"].to_pylist()) == wanted
    assert Log.open(settings.bronze).version <= version + 3


def test_an_open_transaction_is_not_waited_for_and_not_missed(settings: Settings, running: Running) -> None:
    kafka.ensure_topic(settings)
    transactions = Transactions(settings)
    wanted = transactions.commit(2)
    begun = time.time()
    wanted += transactions.begin(4)
    with running():
        wait_for(lambda: lag.of_bronze(settings, time.time()).messages == 0, "what may be read is read", 30)
        assert tables.snapshot(settings, BRONZE).rows == 2
        assert lag.of_bronze(settings, begun).problem == ""
        problem = lag.of_bronze(settings, begun + 100).problem
        assert problem.startswith("4 offsets wait for the end of a transaction that some producer began 10"), problem
        assert "began in the future, by its own clock" in lag.of_bronze(settings, begun - 100).problem
        transactions.end()
        wait_for(lambda: tables.snapshot(settings, BRONZE).rows == 6, "the rest", 30)
        assert lag.of_bronze(settings, time.time() + 100).problem == ""
    assert sorted(tables.snapshot(settings, BRONZE).arrow()["vente_id"].to_pylist()) == wanted


def test_progress_of_bronze_while_its_lag_is_read_is_no_loss(settings: Settings, running: Running) -> None:
    """The ends of topic and table are read one after the other, and both change in between."""

    class TakenMeanwhile(kafka.Admin):
        """Right after each answer three more messages come, and Bronze takes them."""

        def end_offsets(self, timeout: float = 5.0, *, committed: bool = True) -> dict[int, tuple[int, int]]:
            ends = super().end_offsets(timeout, committed=committed)
            end = ends[0][1]
            send(settings, *({"value": sale(end + number)} for number in range(1, 4)))
            wait_for(arrived(settings, {0: end + 2}), "they are in Bronze", 30)
            return ends

    kafka.ensure_topic(settings)
    send(settings, {"value": sale(1)})
    with running():
        wait_for(arrived(settings, {0: 0}), "the first sale", 30)
        found = lag.of_bronze(settings, time.time() + 60, TakenMeanwhile)
    assert found.problem == ""
    assert found.messages == 3


def test_a_marker_that_expired_is_no_loss(settings: Settings, running: Running) -> None:
    kafka.ensure_topic(settings)
    Transactions(settings).commit(3)
    with running():
        wait_for(lambda: lag.of_bronze(settings, time.time()).messages == 0, "all is read", 30)
    end = kafka.end_offsets(settings)[0][1]
    client = AdminClient({"bootstrap.servers": settings.kafka.bootstrap})
    upto = TopicPartition(settings.topic, 0, end)
    client.delete_records([upto])[upto].result(10)
    with running():
        wait_for(lambda: phase(settings) == "running", "it runs", 30)
    assert accepted_gaps.read(settings.lake).gaps == ()


def test_files_are_merged_while_nothing_comes(
    settings: Settings, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bronze, "PACE_SECONDS", 0.0)
    monkeypatch.setattr(job, "BEAT_SECONDS", 0.2)
    sales = settings.maintenance.compact_every
    kafka.ensure_topic(settings)
    with running():
        for number in range(sales):  # a commit each
            send(settings, {"value": sale(number)})
            wait_for(arrived(settings, {0: number}), "the sale in Bronze", 30)
        wait_for(lambda: len(Log.open(settings.bronze).files) == 1, "one file", 30)
    assert tables.snapshot(settings, BRONZE).rows == sales


def test_memory_is_given_back_once_after_a_backlog(
    settings: Settings, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bronze, "GIVE_BACK_ROWS", 150)
    monkeypatch.setattr(bronze, "LISTEN_SECONDS", 0.05)
    given_back: list[int] = []
    monkeypatch.setattr(allocator, "give_back", lambda: given_back.append(tables.snapshot(settings, BRONZE).rows))
    kafka.ensure_topic(settings)
    send(settings, *({"value": sale(number)} for number in range(150)))
    with running():
        wait_for(lambda: given_back, "memory given back", 30)
        for number in range(150, 155):
            send(settings, {"value": sale(number)})
            wait_for(arrived(settings, {0: number}), "the sale in Bronze", 30)
    assert given_back == [150]


def test_partitions_that_are_added_while_it_runs(
    settings: Settings, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bronze, "LOOK_SECONDS", 0.2)
    kafka.ensure_topic(settings)
    send(settings, {"value": sale(1), "partition": 0})
    with running():
        wait_for(arrived(settings, {0: 0}), "the first partition", 30)
        admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap})
        admin.create_partitions([NewPartitions(settings.topic, 3)])[settings.topic].result(10)
        for number in range(30):
            send(settings, {"value": sale(2 + number), "partition": number % 3})
        wait_for(arrived(settings, {0: 10, 1: 9, 2: 9}), "all three partitions", 30)
    assert tables.snapshot(settings, BRONZE).rows == 31
    topic_id = kafka.topic_id(settings)
    assert read_through(Log.open(settings.bronze)) == {(topic_id, 0): 10, (topic_id, 1): 9, (topic_id, 2): 9}


def test_messages_that_expired_before_the_first_start_are_recorded(settings: Settings, running: Running) -> None:
    kafka.ensure_topic(settings)
    send(settings, *({"value": sale(number)} for number in range(1, 21)))
    admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap})
    upto = TopicPartition(settings.topic, 0, 15)
    admin.delete_records([upto])[upto].result(10)
    with running():
        wait_for(arrived(settings, {0: 19}), "what is left", 30)
    assert tables.snapshot(settings, BRONZE).rows == 5
    (gap,) = accepted_gaps.read(settings.lake).gaps
    assert (gap.first, gap.last) == (0, 14)


def test_a_broker_that_hangs_is_waited_for(
    settings: Settings, running: Running, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bronze, "LOOK_SECONDS", 0.2)
    kafka.ensure_topic(settings)
    send(settings, {"value": sale(1)})
    with running():
        wait_for(arrived(settings, {0: 0}), "the first sale", 30)
        broker.pause()
        try:
            wait_for(lambda: phase(settings) == "waiting", "the job says that it waits", 30)
        finally:
            broker.resume()
        send(settings, {"value": sale(2)})
        wait_for(arrived(settings, {0: 1}), "the second sale", 30)
        wait_for(lambda: phase(settings) == "running", "the job says that it runs", 10)


def test_a_full_disk_pauses_it_and_nothing_is_lost(
    settings: Settings, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    shortage = ["the disk is full"]
    monkeypatch.setattr(disk, "shortage", lambda folder, least_mb: shortage[0])
    monkeypatch.setattr(bronze_writer, "DISK_SECONDS", 0.1)
    kafka.ensure_topic(settings)
    send(settings, {"value": sale(1)})
    with running():
        wait_for(lambda: phase(settings) == "waiting", "the job says that it waits", 30)
        record = heartbeat.read(settings.state, "bronze")
        assert record is not None
        assert record.reason == "the disk is full"
        assert not arrived(settings, {0: 0})()
        shortage[0] = ""
        wait_for(arrived(settings, {0: 0}), "the sale, once there is space", 30)
        wait_for(lambda: phase(settings) == "running", "the job says that it runs", 10)


def taken(intake: KafkaReader, rows: int) -> Iterator[Batch]:
    while rows > 0:
        batch = intake.take(10)
        assert batch is not None, f"{rows} rows did not come"
        rows -= batch.raw.num_rows
        yield batch


def read_from(settings: Settings, **limits: int) -> KafkaReader:
    return KafkaReader(settings, "label", {0: 0}, **{"max_rows": 10**9, **limits})


def test_a_backlog_comes_in_bounded_batches_in_order(settings: Settings) -> None:
    kafka.ensure_topic(settings)
    count = 3 * CHUNK
    send(settings, *({"value": b"%d" % number} for number in range(count)))
    with read_from(settings, max_rows=1000) as intake:
        batches = list(taken(intake, count))
    assert all(batch.raw.num_rows <= 1000 + CHUNK for batch in batches)
    assert len(batches) >= 3
    offsets = [offset for batch in batches for offset in batch.raw["offset"].to_pylist()]
    assert offsets == list(range(count))
    assert [batch.last[0] for batch in batches] == [pc.max(batch.raw["offset"]).as_py() for batch in batches]
    assert batches[-1].behind == 0
    assert batches[0].behind > 0


def test_large_messages_come_in_batches_of_bounded_size(settings: Settings) -> None:
    kafka.ensure_topic(settings)
    send(settings, *({"value": b"x" * 1_000_000} for _ in range(120)))
    with read_from(settings, max_bytes=5_000_000) as intake:
        sizes = [batch.raw.nbytes for batch in taken(intake, 120)]
    assert max(sizes) < 70_000_000, "librdkafka's queue and what came while it was emptied"


def test_one_batch_holds_what_came_while_the_last_was_stored(settings: Settings) -> None:
    kafka.ensure_topic(settings)
    with read_from(settings) as intake:
        assert intake.take(0.1) is None
        send(settings, {"value": b"1"})
        first = intake.take(10)
        assert first is not None
        assert first.raw.num_rows == 1
        for number in range(3):
            send(settings, {"value": b"%d" % number})
        rows = sum(batch.raw.num_rows for batch in taken(intake, 3))
        assert rows == 3


def test_bronze_has_exactly_the_contracts_columns(settings: Settings, running: Running) -> None:
    kafka.ensure_topic(settings)
    send(settings, {"value": sale(1)})
    with running():
        wait_for(arrived(settings, {0: 0}), "the sale", 30)
    assert tables.snapshot(settings, BRONZE).columns == tuple(BRONZE.schema.names)
