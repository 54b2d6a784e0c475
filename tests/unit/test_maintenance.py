"""Tables stay small under thousands of small commits, lose no row, and the kept history can be read."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from harness.maintaining import maintenance_of
from harness.shipped import BRONZE
from harness.silver_engine import START, bronze_rows
from harness.silver_run import settings_of
from ventes.check.protocol import log_complaints
from ventes.config import Settings
from ventes.deltalog import commit, create
from ventes.deltalog import maintenance as maintenance_module
from ventes.deltalog.actions import DataFile
from ventes.deltalog.compaction import MOST_BYTES, mergeable
from ventes.deltalog.log import Log
from ventes.deltalog.maintenance import BACKLOG, BACKLOG_FACTOR, CHECKPOINT_EVERY, one_worker
from ventes.deltalog.snapshot import Snapshot
from ventes.deltalog.vacuum import Vacuum
from ventes.lake import tables
from ventes.lake.positions import positions


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = settings_of(tmp_path, maintenance={"compact_every": 20})
    tables.ensure(settings, BRONZE)
    return settings


def add(target: Path | Log, offset: int) -> None:
    days = timedelta(days=offset % 2)
    log = target if isinstance(target, Log) else Log.open(target)
    commit.append(log, BRONZE, bronze_rows([{"offset": offset, "timestamp": START + days}]), "job", offset)


@pytest.mark.parametrize("background", [True, False])
def test_many_tiny_commits_leave_few_files_and_every_row(settings: Settings, background: bool) -> None:
    log = Log.open(settings.bronze)
    maintenance = maintenance_of(settings, BRONZE, log, one_worker() if background else None)
    most = 0
    for offset in range(400):
        add(log, offset)
        maintenance.run_due()
        until = time.monotonic() + 30
        while background and len(log.files) > 90 and time.monotonic() < until:
            maintenance.run_due()  # a real writer pauses between commits: the thread gets its turn
        most = max(most, len(log.files))
    maintenance.close()
    assert most <= 100
    rows = tables.snapshot(settings, BRONZE).arrow()
    assert sorted(rows["offset"].to_pylist()) == list(range(400))
    assert positions(settings.bronze) == {("T", 0): 399}
    assert DeltaTable(settings.bronze).to_pyarrow_table().num_rows == 400
    assert list((settings.bronze / "_delta_log").glob("*.checkpoint.parquet"))
    changes = [line for line in _log_lines(settings.bronze) if '"remove"' in line]
    assert changes
    assert all('"dataChange":false' in line for line in changes)  # a stream that reads the table sees no new rows


def test_a_merge_of_files_that_were_optimized_meanwhile_is_discarded(settings: Settings) -> None:
    log = Log.open(settings.bronze)
    worker = one_worker()
    maintenance = maintenance_of(settings, BRONZE, log, worker)
    for offset in range(20):
        add(log, offset)
    maintenance.run_due()  # the worker merges
    worker.submit(lambda: None).result(30)  # it has merged
    DeltaTable(settings.bronze).optimize.compact()
    maintenance.run_due()
    add(log, 20)
    maintenance.close()
    assert sorted(tables.snapshot(settings, BRONZE).arrow()["offset"].to_pylist()) == list(range(21))


def test_merges_wait_for_the_end_of_a_backlog(settings: Settings) -> None:
    log = Log.open(settings.bronze)
    maintenance = maintenance_of(settings, BRONZE, log)
    for offset in range(100):
        add(log, offset)
        maintenance.run_due(BACKLOG)
    assert len(log.files) == 100
    maintenance.run_due()  # no new rows: the backlog is over
    assert len(log.files) == 2  # one a day
    assert tables.snapshot(settings, BRONZE).rows == 100


def test_a_backlog_without_end_is_merged_too(settings: Settings) -> None:
    log = Log.open(settings.bronze)
    maintenance = maintenance_of(settings, BRONZE, log)
    most = 0
    for offset in range(400):
        add(log, offset)
        maintenance.run_due(10 * BACKLOG)
        most = max(most, len(log.files))
    assert 20 * (BACKLOG_FACTOR - 1) < most < 20 * (BACKLOG_FACTOR + 1)


def test_the_result_of_a_merge_is_committed_while_nothing_comes(settings: Settings) -> None:
    log = Log.open(settings.bronze)
    maintenance = maintenance_of(settings, BRONZE, log, one_worker())
    for offset in range(20):
        add(log, offset)
    until = time.monotonic() + 30
    while len(log.files) > 2 and time.monotonic() < until:
        maintenance.run_due()
    assert len(log.files) == 2
    maintenance.close()


def _log_lines(path: Path) -> list[str]:
    return [line for file in sorted((path / "_delta_log").glob("*.json")) for line in file.read_text().splitlines()]


def test_a_merge_keeps_rows_statistics_and_order(settings: Settings) -> None:
    log = Log.open(settings.bronze)
    maintenance = maintenance_of(settings, BRONZE, log)
    for offset in range(40):
        add(log, offset)
    maintenance.run_due()
    assert len(log.files) == 2  # one a day
    for file in log.files.values():
        assert file.rows == 20
        low, high = file.bounds("offset") or (None, None)
        assert (low, high) in {(0, 38), (1, 39)}
    assert tables.snapshot(settings, BRONZE, version=40).rows == 40  # the files before the merge are still there


def test_rows_are_rewritten_a_few_times_only() -> None:
    """A year of tiny commits, merged as maintenance would: bytes rewritten stay a small multiple of those written."""
    live: list[DataFile] = []
    rewrites: Counter[str] = Counter()
    written = 0
    for number in range(60_000):
        live.append(DataFile(f"f{number}", 20_000, {"jour": "2026-03-01"}, 0))
        written += 20_000
        if number % 50 == 49:
            for group in mergeable(live):
                size = sum(file.size for file in group)
                assert size <= MOST_BYTES
                rewrites["bytes"] += size
                names = {file.path for file in group}
                live = [file for file in live if file.path not in names]
                live.append(DataFile(f"m{number}", size, {"jour": "2026-03-01"}, 0))
            assert len(live) <= 100
    assert rewrites["bytes"] < 6 * written


def test_more_than_one_merge_holds_is_merged_in_parts_of_neighbours() -> None:
    size, count = 3 << 20, 100
    files = [
        DataFile(
            f"f{n}",
            size,
            {"jour": "2026-03-01"},
            0,
            json.dumps({"minValues": {"offset": n}, "maxValues": {"offset": n}}),
        )
        for n in reversed(range(count))
    ]
    groups = list(mergeable(files))
    assert [file.path for group in groups for file in group] == [f"f{n}" for n in range(count)]
    assert len(groups) == -(-count // (MOST_BYTES // size))
    assert all(sum(file.size for file in group) <= MOST_BYTES for group in groups)


def test_days_are_merged_each_for_itself() -> None:
    files = [DataFile(f"{day}-{n}", 1000, {"jour": f"2026-03-0{day}"}, 0) for day in (1, 2) for n in range(3)]
    assert sorted(sorted(f.path for f in group) for group in mergeable(files)) == [
        ["1-0", "1-1", "1-2"],
        ["2-0", "2-1", "2-2"],
    ]


def test_topics_are_merged_each_for_itself() -> None:
    """A re-created topic begins at offset 0 again."""

    def file(topic: str, number: int) -> DataFile:
        bounds = {"topic_id": topic, "offset": number}
        stats = json.dumps({"minValues": bounds, "maxValues": bounds})
        return DataFile(f"{topic}-{number}", 1000, {"jour": "2026-03-01"}, 0, stats)

    files = [file(topic, number) for number in range(3) for topic in ("new", "old")]
    assert [[f.path for f in group] for group in mergeable(files)] == [
        ["new-0", "new-1", "new-2"],
        ["old-0", "old-1", "old-2"],
    ]


def _age(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


def _replaced_table(settings: Settings, made: float, removed: float) -> tuple[Log, Path]:
    """A table whose first file came `made` and went `removed` seconds before NOW."""
    log = Log.open(settings.bronze)
    add(log, 0)
    (file,) = log.files.values()
    gone = file.remove(True)
    gone["remove"]["deletionTimestamp"] = int((NOW - removed) * 1000)
    add(log, 2)
    log.commit([gone], "MERGE")
    os.utime(log.path / file.path, (NOW - made, NOW - made))
    return log, log.path / file.path


NOW = 1_795_392_055.0
"""55 seconds after a full minute."""


@pytest.mark.parametrize(
    ("made", "removed", "kept"),
    [
        (20, 10, True),  # every version of the last minutes is kept
        (3600, 1800, True),  # older history is kept per minute
        (1820, 1810, False),  # added and removed within one minute
        (8 * 3600, 7 * 3600, False),  # older than the history
    ],
)
def test_a_table_that_lots_replace_is_kept_by_the_minute(
    settings: Settings, made: float, removed: float, kept: bool
) -> None:
    log, path = _replaced_table(settings, made, removed)
    history = settings.maintenance.history_hours * 3600
    Vacuum(log.path, history, by_minute=True, now=lambda: NOW).run(set(log.files))
    assert path.exists() == kept
    assert Snapshot.open(log.path, BRONZE).arrow().num_rows == 1


@pytest.mark.parametrize(("made", "removed", "kept"), [(1820, 1810, True), (8 * 3600, 7 * 3600, False)])
def test_what_commits_of_the_kept_history_added_stays(
    settings: Settings, made: float, removed: float, kept: bool
) -> None:
    """A stream that was down reads each commit's own files, also those that were merged within the same minute."""
    log, path = _replaced_table(settings, made, removed)
    Vacuum(log.path, settings.maintenance.history_hours * 3600, now=lambda: NOW).run(set(log.files))
    assert path.exists() == kept


@pytest.mark.parametrize("by_minute", [False, True])
@pytest.mark.parametrize(("began", "kept"), [(None, False), (9 * 3600, True), (6 * 3600, False)])
def test_what_a_running_reader_has_in_its_snapshot_stays(
    settings: Settings, by_minute: bool, began: float | None, kept: bool
) -> None:
    """Removed seven hours ago: longer than the history."""
    log, path = _replaced_table(settings, 8 * 3600, 7 * 3600)
    since = None if began is None else NOW - began
    history = settings.maintenance.history_hours * 3600
    Vacuum(log.path, history, by_minute=by_minute, now=lambda: NOW, needed_since=lambda: since).run(set(log.files))
    assert path.exists() == kept


def test_files_that_no_commit_names_go_when_old(settings: Settings) -> None:
    log = Log.open(settings.bronze)
    add(log, 0)
    orphans = [settings.bronze / "jour=2026-03-01" / f"part-{name}.parquet" for name in ("old", "new")]
    for orphan in orphans:
        orphan.write_bytes(b"x")
    _age(orphans[0], 7 * 3600)
    assert Vacuum(log.path, settings.maintenance.history_hours * 3600).run(set(log.files)) == 1
    assert [orphan.exists() for orphan in orphans] == [False, True]


def test_a_compaction_of_many_days_is_one_commit(settings: Settings) -> None:
    log = Log.open(settings.bronze)
    maintenance = maintenance_of(settings, BRONZE, log)
    days = 40
    for part in range(settings.maintenance.compact_every):
        rows = [
            {"offset": part * days + day, "vente_id": part * days + day, "timestamp": START + timedelta(days=day)}
            for day in range(days)
        ]
        commit.append(log, BRONZE, bronze_rows(rows), "job", part + 1)
    before, rows_before = log.version, log.present_rows
    maintenance.run_due()
    assert log.version - before <= 2
    assert len(log.files) == days
    assert log.present_rows == rows_before
    assert sorted(Snapshot.of_log(log, BRONZE).arrow()["offset"].to_pylist()) == list(range(rows_before))


def test_the_log_is_trimmed_up_to_a_checkpoint(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance_module, "CHECKPOINT_SHARE", float("inf"))  # not by the clock
    log = Log.open(settings.bronze)
    maintenance = maintenance_of(settings, BRONZE, log)
    for offset in range(100):
        add(log, offset)
        maintenance.run_due()
    Vacuum(log.path, settings.maintenance.history_hours * 3600, most_commits=30).run(set(log.files))
    kept = sorted(int(file.name[:20]) for file in (settings.bronze / "_delta_log").glob("*.json"))
    assert 30 <= len(kept) <= 60
    assert kept == list(range(kept[0], log.version + 1))
    assert tables.snapshot(settings, BRONZE, version=kept[0]).version == kept[0]
    assert tables.snapshot(settings, BRONZE).rows == 100
    assert DeltaTable(settings.bronze).to_pyarrow_table().num_rows == 100


def test_a_reader_continues_while_files_are_merged(settings: Settings) -> None:
    log = Log.open(settings.bronze)
    maintenance = maintenance_of(settings, BRONZE, log, one_worker())
    for offset in range(60):
        add(log, offset)
        maintenance.run_due()
        snapshot = tables.snapshot(settings, BRONZE)
        assert snapshot.arrow().num_rows == snapshot.rows == offset + 1
    maintenance.close()


def test_the_past_is_read_at_a_full_minute_once_it_is_old(settings: Settings) -> None:
    log = Log.open(settings.bronze)
    for offset in range(3):
        add(log, offset)
    ages = (3665.0, 3605.0, 3601.0)
    for version, age in enumerate(ages, 1):
        _age(settings.bronze / "_delta_log" / f"{version:020d}.json", age)
    _age(settings.bronze / "_delta_log" / f"{0:020d}.json", 7200)
    now = datetime.now(timezone.utc)
    asked = now - timedelta(seconds=3600)
    snapshot = tables.snapshot(settings, BRONZE, as_of=asked)
    minute = asked.replace(second=0, microsecond=0)
    wanted = sum(now - timedelta(seconds=age) <= minute for age in ages)
    assert snapshot.version == wanted


@pytest.mark.parametrize("failures", [2, 1_000])
def test_a_listing_with_a_gap_is_read_again_and_never_ends_the_writer(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failures: int
) -> None:
    left = [DeltaError("Expected contiguous commit files, but found gap")] * failures

    def opened(path: Path) -> DeltaTable:
        if left:
            raise left.pop()
        return DeltaTable(path)

    monkeypatch.setattr(create, "DeltaTable", opened)
    log = Log.open(settings.bronze)
    maintenance = maintenance_of(settings, BRONZE, log)
    for offset in range(CHECKPOINT_EVERY):
        add(log, offset)
    maintenance.run_due()
    made = bool(list((log.path / "_delta_log").glob("*.checkpoint.parquet")))
    assert made == (failures == 2)
    assert ("no checkpoint at version" in caplog.text) == (failures != 2)


def test_a_commit_that_a_listing_left_out_is_not_reported_missing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for offset in range(5):
        add(settings.bronze, offset)
    log = settings.bronze / "_delta_log"
    listed = [entry for entry in log.iterdir() if entry.name != f"{3:020d}.json"]
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(listed))
    assert log_complaints(settings.bronze)[0] == []
    (log / f"{3:020d}.json").unlink()
    assert "lacks version(s) [3]" in log_complaints(settings.bronze)[0][0]
