"""VACUUM without retention (`RETAIN 0 HOURS`) by another program: it deletes all that the newest version does not name.

Earlier versions, what a reader has in its snapshot, and what a job has written and not committed yet.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable

from harness import sample_lake
from harness.ingested import ingest, sale
from harness.shipped import ALL, BRONZE, CLEAN, PAR_PAYS
from harness.silver_run import loop_of, settings_of
from ventes.check.verify import Verification
from ventes.config import Settings
from ventes.dashboard.source import LiveTables
from ventes.deltalog import commit, data_files
from ventes.deltalog.actions import Action, DataFile
from ventes.deltalog.log import FilesDeleted, Log, VersionGone
from ventes.deltalog.vacuum import Vacuum
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.lake import damage, tables
from ventes.lake.tables import path_of

NOW = datetime(2026, 3, 10, tzinfo=timezone.utc)


def vacuum(path: Path) -> None:
    DeltaTable(path).vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=True)


@pytest.fixture
def lake(tmp_path: Path) -> Settings:
    settings = sample_lake.settings_at(tmp_path)
    sample_lake.make(settings, 60, now=NOW, lots=2)
    return settings


def more_rows(settings: Settings) -> list[DataFile]:
    """Files of 20 further messages, written and not committed."""
    rows = sample_lake.messages(sample_lake.next_offset(settings), 20, NOW, sample_lake.Shape())
    return data_files.write(settings.bronze, BRONZE, commit.in_table_order(BRONZE, rows))


def test_a_file_that_is_not_committed_yet_stays(lake: Settings) -> None:
    new = more_rows(lake)
    log = Log.open(lake.bronze)
    vacuum(lake.bronze)
    commit.append_files(log, new, {"test": 99})
    assert tables.snapshot(lake, BRONZE).arrow().num_rows == 80


def test_a_file_that_no_commit_names_goes_when_old(lake: Settings) -> None:
    """Its age counts from when it was written, although it is dated ahead."""
    (new,) = more_rows(lake)[:1]
    live = set(Log.open(lake.bronze).files)
    for hours, there in ((5.9, True), (6.1, False)):
        Vacuum(lake.bronze, 6 * 3600, now=partial(lambda hours: time.time() + hours * 3600, hours)).run(live)
        assert (lake.bronze / new.path).exists() == there


def test_a_file_that_was_deleted_all_the_same_is_not_committed(lake: Settings) -> None:
    """For example by a clean-up of files by their age."""
    new = more_rows(lake)
    log = Log.open(lake.bronze)
    (lake.bronze / new[-1].path).unlink()
    with pytest.raises(FilesDeleted, match="was deleted before it was committed"):
        commit.append_files(log, new, {"test": 99})
    assert tables.snapshot(lake, BRONZE).arrow().num_rows == 60


def test_readers_of_an_earlier_version_are_told(lake: Settings) -> None:
    before = tables.snapshot(lake, CLEAN)
    page = LiveTables(lake)
    page.read()
    DeltaTable(path_of(lake, CLEAN)).optimize.compact()
    vacuum(path_of(lake, CLEAN))
    with pytest.raises(duckdb.IOException, match=r"\.parquet") as raised:
        before.arrow()
    said = damage.of_error(raised.value)
    assert isinstance(said, VersionGone)
    assert (said.hint, "is no longer kept" in said.message) == ("run it again", True)
    newest = tables.snapshot(lake, CLEAN)
    assert page.read().by_name[CLEAN.name].arrow().num_rows == newest.rows
    earlier = page.read(before.committed_at)
    assert "not kept for as long ago as that" in str(earlier.absent[CLEAN.name])


def test_before_each_commit_of_the_jobs_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worst moment: the files are written, and no version names them. One table is filled again."""
    commits: Counter[str] = Counter()

    def vacuumed(log: Log, actions: Iterable[Action], operation: str, accept: bool = False) -> int:
        vacuum(log.path)
        commits[operation] += 1
        return whole(log, actions, operation, accept)

    whole = Log.commit
    monkeypatch.setattr(Log, "commit", vacuumed)
    settings = settings_of(tmp_path, maintenance={"compact_every": 2})
    for number in range(4):
        ingest(settings, [*(sale(10 * number + one) for one in range(1, 11)), b"not json"], first=11 * number)
        assert loop_of(settings, EmbeddedSilver, max_rows=6).run() == 0
    shutil.rmtree(path_of(settings, PAR_PAYS))
    assert loop_of(settings, EmbeddedSilver).run() == 0
    assert commits.keys() >= {"WRITE", "MERGE"}
    report = Verification(settings, read_topic=False).run()
    assert report.ok, [check.line() for check in report.checks if not check.ok]
    assert tables.snapshot(settings, CLEAN).rows == 4 * 10
    for table in ALL:
        log = Log.open(path_of(settings, table))
        assert all((log.path / file).exists() for file in log.files)
