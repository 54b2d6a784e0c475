"""Readers of a lake on S3: the page, `ventes query`, `export`, `status`, and what settings are refused."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from streamlit.testing.v1 import AppTest

from harness import sample_lake
from harness.cards import cards_of
from harness.object_store import SECRET, Proxy, S3Server, environment
from harness.page_site import SCRIPT
from harness.pipeline import wait_for
from harness.shipped import BRONZE
from harness.silver_engine import bronze_rows
from ventes import cli, config
from ventes.check.verify import Verification
from ventes.config import Settings
from ventes.deltalog import commit, compaction
from ventes.deltalog.log import Log
from ventes.deltalog.present import local_paths
from ventes.deltalog.vacuum import Vacuum
from ventes.errors import ConfigError
from ventes.lake import readers, tables
from ventes.store import places, reader_notes
from ventes.store.base import Store
from ventes.store.lease import Lease


@pytest.fixture(scope="module")
def written(server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a lake with 200 sales, which another machine has written."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(server.endpoint).items():
            patch.setenv(name, value)
        address = f"{server.make_bucket('readers-bucket')}/lake"
        there = settings_at(tmp_path_factory.mktemp("writer") / "folder", address, patch)
        sample_lake.make(there, 200, sample_lake.Shape(days=2), lots=2)
    return address


@pytest.fixture
def lake(written: str, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings in force: of a machine that has read nothing of that lake."""
    return settings_at(tmp_path / "reader", written, monkeypatch)


def settings_at(folder: Path, lake: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    folder.mkdir()
    path = folder / "ventes.toml"
    path.write_text(
        f'engine = "embedded"\n[paths]\nlake = "{lake}"\nlogs = "{folder}"\nstate = "{folder}/state"\n'
        "[kafka]\nport = 19898\ncontroller_port = 19899\n",
        encoding="utf-8",
    )
    path.chmod(0o600)
    monkeypatch.setenv("VENTES_CONFIG", str(path))
    return config.load()


def store_of(settings: Settings) -> Store:
    mirror = places.of(settings.lake)
    assert mirror is not None
    return mirror.store


def test_the_page_shows_the_sales(lake: Settings) -> None:
    page = AppTest.from_file(str(SCRIPT), default_timeout=120)
    page.run()
    assert not page.exception, page.exception
    assert not [one.value for one in page.error]
    assert cards_of(page)[0].value == "200"


def test_commands_read_it_and_show_no_secret(
    lake: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["query", "SELECT COUNT(*) AS n FROM ventes_clean", "-f", "csv"]) == 0
    assert 150 < int(capsys.readouterr().out.split()[-1]) <= 200  # a few are rejected
    assert cli.main(["export", "ventes_clean", "-f", "parquet", "-o", str(tmp_path / "clean.parquet")]) == 0
    mirror = places.of(lake.lake)
    assert mirror is not None
    elsewhere = tmp_path / "third"
    elsewhere.mkdir()
    holder = type(mirror)(elsewhere, mirror.options, mirror.limits)
    lease = Lease(holder, "silver").acquire()
    capsys.readouterr()
    cli.main(["status", "--json"])
    status = json.loads(capsys.readouterr().out)
    lease.release()
    assert status["lake"] == str(lake.paths.lake)
    assert "silver" in status["writers"]
    assert SECRET not in json.dumps(status) + repr(lake) + str(lake.model_dump())
    assert SECRET in lake.secrets()  # so that logs leave it out


def test_a_store_that_is_down_is_said_in_a_sentence(
    lake: Settings, through: Proxy, capsys: pytest.CaptureFixture[str]
) -> None:
    places._mirrors.clear()  # its client does not go through the proxy
    through.weather.down = True
    assert cli.main(["query", "SELECT COUNT(*) FROM ventes_clean"]) == 1
    said = capsys.readouterr().err
    assert f"{through.endpoint} does not answer" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("lake", "said"),
    [
        ("s3://user:word@bucket/lake", "must hold no credentials"),
        ("s3://bucket/lake?versionId=1", "must hold no credentials and no query"),
        ("https://bucket.example.com/lake", 'must be a folder, or "s3://bucket/prefix"'),
    ],
)
@pytest.mark.usefixtures("bucket")
def test_what_cannot_be_a_lake_is_refused(lake: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        config.load(paths={"lake": lake, "state": tmp_path})
    assert "word" not in str(error.value).replace("password", "")


def test_verify_is_green_from_a_machine_that_has_nothing_of_it(lake: Settings) -> None:
    report = Verification(lake, read_topic=False).run()
    assert [check.differences for check in report.checks if not check.ok and check.invariant != "I3 payload"] == []
    assert next(check for check in report.checks if check.invariant == "I5 aggregates").ok


def test_a_reader_on_another_machine_keeps_what_it_reads(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = settings_at(tmp_path / "writer", f"{bucket}/lake", monkeypatch)
    tables.ensure(writer, BRONZE)
    log = Log.open(writer.bronze)
    for offset in range(4):
        commit.append(log, BRONZE, bronze_rows([{"offset": offset}]), "job", offset)
    reader = settings_at(tmp_path / "reader", f"{bucket}/lake", monkeypatch)
    with readers.reading(reader):
        seen = list(Log.open(reader.bronze).files.values())
        merged = compaction.merge_files(log.path, BRONZE, seen)
        removed = [file.remove(data_change=False) for file in seen]
        log.commit([*removed, merged.add(data_change=False)], "OPTIMIZE")
        vacuum = Vacuum(log.path, 0.0, needed_since=partial(readers.oldest, writer), now=lambda: time.time() + 7200)
        vacuum.run(set(log.files))
        found = [pq.read_table(path)["offset"].to_pylist() for path in local_paths(reader.bronze, seen)]
        assert sorted(found) == [[0], [1], [2], [3]]
    assert vacuum.run(set(log.files)) == len(seen)


def test_a_reader_that_was_killed_keeps_nothing(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(settings_at(tmp_path / "writer", f"{bucket}/lake", monkeypatch))
    ended = reader_notes.noted(store)
    ended.__enter__()  # of a process that ends here, so it is never left
    assert reader_notes.oldest(store) is not None
    monkeypatch.setattr(reader_notes, "LASTS", -60.0)
    assert reader_notes.oldest(store) is None
    monkeypatch.undo()
    assert store.list(reader_notes.FOLDER) == []


def test_a_reader_renews_its_note(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(settings_at(tmp_path / "reader", f"{bucket}/lake", monkeypatch))
    monkeypatch.setattr(reader_notes, "RENEWED", 0.1)
    with reader_notes.noted(store):
        (first,) = store.list(reader_notes.FOLDER)
        wait_for(lambda: store.list(reader_notes.FOLDER)[0].modified > first.modified, "the note is renewed")
        assert store.list(reader_notes.FOLDER)[0].key == first.key
    assert store.list(reader_notes.FOLDER) == []


def test_a_store_that_refuses_the_note_does_not_stop_the_reader(
    bucket: str, through: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reader = settings_at(tmp_path / "reader", f"{bucket}/lake", monkeypatch)
    through.weather.down = True
    with readers.reading(reader):
        pass
    assert "the writers of the lake do not know of this reader" in caplog.text
