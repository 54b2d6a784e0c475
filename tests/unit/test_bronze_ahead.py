"""Bronze's loop during a backlog: a batch is written while the next one is judged, and the commits stay in order."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest

from harness.ingested import TOPIC, messages, sale
from harness.pipeline import wait_for
from ventes import config
from ventes.config import Settings
from ventes.deltalog import data_files
from ventes.deltalog.log import Log
from ventes.deltalog.maintenance import BACKLOG
from ventes.engines import bronze_writer
from ventes.engines.bronze_writer import BronzeWriter
from ventes.engines.embedded import bronze
from ventes.engines.embedded.bronze import Ingestion
from ventes.engines.job import Job
from ventes.engines.kafka_reader import Batch
from ventes.errors import LockLost
from ventes.lake import positions
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper

ROWS = 200
"""Of a batch: more than are judged one by one."""


class Backlog:
    """Batches that wait already; the job is told to stop after the last one."""

    def __init__(self, stopper: Stopper, count: int, behind: int) -> None:
        self._stopper = stopper
        self._left = iter(range(count))
        self._behind = behind

    def take(self, _timeout: float) -> Batch | None:
        number = next(self._left, None)
        if number is None:
            self._stopper.stop()
            return None
        first = number * ROWS
        values = [sale(first + place) for place in range(ROWS)]
        return Batch(messages(values, first, 0), {0: first + ROWS - 1}, self._behind)


class Scene:
    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = settings
        self.stopper = Stopper()
        self.events: list[tuple[str, int]] = []
        """("judged" | "written", number of the batch), as each begins."""
        self.before_write: Callable[[int], None] = lambda number: None
        self.require_lock: Callable[[], None] = lambda: None
        monkeypatch.setattr(bronze, "AHEAD_ROWS", ROWS)
        monkeypatch.setattr(bronze, "PACE_SECONDS", 0.0)
        monkeypatch.setattr(bronze, "same_topic", lambda resume, admin: None)
        judged, write = BronzeWriter.judged, data_files.write

        def judging(writer: BronzeWriter, batch: Batch, threads: int) -> pa.Table:
            self.events.append(("judged", batch.last[0] // ROWS))
            return judged(writer, batch, threads)

        def writing(path: Any, table: Any, rows: pa.Table) -> Any:
            number = rows["offset"][0].as_py() // ROWS
            self.events.append(("written", number))
            self.before_write(number)
            return write(path, table, rows)

        monkeypatch.setattr(BronzeWriter, "judged", judging)
        monkeypatch.setattr(data_files, "write", writing)

    def run(self, count: int, behind: int = BACKLOG) -> None:
        reporter = Reporter(self.settings.state, "bronze")
        job = Job(self.settings, logging.getLogger("test"), reporter, self.stopper)
        ingestion = Ingestion(job, lambda: self.require_lock())
        resume = SimpleNamespace(topic_id=TOPIC)
        try:
            ingestion._ingest(cast(Any, Backlog(self.stopper, count, behind)), cast(Any, resume), cast(Any, None))
        finally:
            ingestion.close()

    def committed(self) -> list[int]:
        """The last offset after each commit of rows."""
        log = Log.open(self.settings.bronze)
        found = (positions.of_bronze(Log.open(self.settings.bronze, version)) for version in range(1, log.version + 1))
        return [held[TOPIC, 0] for held in found]

    def rows(self) -> int:
        return Log.open(self.settings.bronze).rows


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    paths = {"lake": tmp_path / "lake", "state": tmp_path / "state", "logs": tmp_path / "logs"}
    return Scene(config.load(paths=paths), monkeypatch)


def test_a_batch_is_written_while_the_next_one_is_judged(scene: Scene) -> None:
    def wait_for_the_next(number: int) -> None:
        if number < 3:
            wait_for(lambda: ("judged", number + 1) in scene.events, "the next batch is judged", 30)

    scene.before_write = wait_for_the_next
    scene.run(4)
    assert scene.committed() == [ROWS - 1, 2 * ROWS - 1, 3 * ROWS - 1, 4 * ROWS - 1]
    assert scene.rows() == 4 * ROWS
    assert [number for event, number in scene.events if event == "written"] == [0, 1, 2, 3]


def test_batches_follow_each_other_if_the_next_one_does_not_wait(scene: Scene) -> None:
    scene.run(3, behind=BACKLOG - 1)
    assert scene.events == [(event, number) for number in range(3) for event in ("judged", "written")]
    assert scene.rows() == 3 * ROWS


def test_nothing_follows_a_batch_that_could_not_be_committed(scene: Scene) -> None:
    def lose() -> None:
        if ("judged", 1) in scene.events:
            raise LockLost("gone", "")

    scene.require_lock = lose
    with pytest.raises(LockLost):
        scene.run(5)
    done = scene.rows()
    assert done in (0, ROWS)  # the first may have been written before the second one was begun
    assert [number for event, number in scene.events if event == "written"] == list(range(done // ROWS))
    assert not any(number > 2 for _, number in scene.events)


def test_the_next_batch_waits_for_a_full_disk(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bronze_writer, "DISK_SECONDS", 0.0)
    refused: list[int] = []

    def fill(number: int) -> None:
        if number == 1 and len(refused) < 3:
            refused.append(number)
            raise OSError(28, "No space left on device")

    scene.before_write = fill
    scene.run(4)
    assert [number for event, number in scene.events if event == "written"] == [0, 1, 1, 1, 1, 2, 3]
    assert scene.committed() == [ROWS - 1, 2 * ROWS - 1, 3 * ROWS - 1, 4 * ROWS - 1]


def test_stopped_while_the_disk_is_full_nothing_later_is_committed(scene: Scene) -> None:
    def fill(number: int) -> None:
        if number == 1:
            scene.stopper.stop()
            raise OSError(28, "No space left on device")

    scene.before_write = fill
    scene.run(4)
    assert scene.committed() == [ROWS - 1]
