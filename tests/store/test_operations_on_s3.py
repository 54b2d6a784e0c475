"""What a user does with a lake on S3: rebuild, copy there and back, reset, gaps, doctor, the vacuum."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from deltalake import DeltaTable

from harness.ingested import ingest, sale
from harness.object_store import client, environment
from harness.shipped import BRONZE, CLEAN, REJETS, ROLLUPS
from harness.silver_run import loop_of, rows_of, settings_of, stored_rollups
from ventes.check.doctor import store as doctor
from ventes.config import PROJECT, Settings
from ventes.deltalog import data_files
from ventes.deltalog.log import Log
from ventes.deltalog.vacuum import Vacuum
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.errors import VentesError
from ventes.lake import accepted_gaps, tables
from ventes.lake.accepted_gaps import Gap
from ventes.lake.tables import path_of
from ventes.operations import lake_copy, reset
from ventes.operations.rebuild import rebuild
from ventes.runtime.stop import Stopper
from ventes.store import eviction, places
from ventes.store.base import Stored
from ventes.store.mirror import Mirror


def silver(settings: Settings) -> None:
    """Run the Silver job until it is idle; it has stopped then, which the record of this process would not say."""
    assert loop_of(settings, partial(EmbeddedSilver), max_rows=100).run() == 0
    shutil.rmtree(settings.state / "run")


@pytest.fixture
def settings(tmp_path: Path, bucket: str) -> Settings:
    """A lake on S3 with some sales, of which every seventh is rubbish, and one comes twice."""
    settings = settings_of(tmp_path, f"{bucket}/lake", store={"poll_seconds": 3600})
    ingest(settings, [b"{" if number % 7 == 0 else sale(number) for number in range(80)] + [sale(1)])
    silver(settings)
    return settings


def elsewhere(settings: Settings, tmp_path: Path) -> Settings:
    return settings_of(tmp_path / "elsewhere", str(settings.paths.lake), store={"poll_seconds": 0.01})


def mirror_of(settings: Settings) -> Mirror:
    mirror = places.of(settings.lake)
    assert mirror is not None
    return mirror


def prefixes(settings: Settings) -> set[str]:
    return {one.key.partition("/")[0] for one in mirror_of(settings).store.list("")}


def silently(_: str) -> None:
    pass


# -- rebuild ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "point",
    [
        "rebuild.after_pointer",
        *(
            pytest.param(point, marks=pytest.mark.long)
            for point in ("", "rebuild.before_exchange", "rebuild.after_exchange")
        ),
    ],
)
def test_a_rebuild_changes_all_tables_at_once_for_all_machines(settings: Settings, tmp_path: Path, point: str) -> None:
    far = elsewhere(settings, tmp_path)
    stored = rows_of(far, CLEAN), rows_of(far, REJETS), stored_rollups(far)
    DeltaTable(path_of(far, CLEAN))  # another machine has it open
    other = settings.model_copy(update={"rules": settings.rules.model_copy(update={"watermark_minutes": 0})})
    if point:
        program = (
            "import sys, pathlib\n"
            "from harness.silver_run import settings_of\n"
            "from ventes.operations.rebuild import rebuild\n"
            "from ventes.runtime.stop import Stopper\n"
            "settings = settings_of(pathlib.Path(sys.argv[1]), sys.argv[2], rules={'watermark_minutes': 0})\n"
            "rebuild(settings, print, print, Stopper())\n"
        )
        child = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path), str(settings.paths.lake)],
            env=os.environ | {"VENTES_FAILPOINTS": f"{point}:kill9", "PYTHONPATH": os.pathsep.join(sys.path)},
            cwd=PROJECT,
            check=False,
            stdout=subprocess.DEVNULL,
        )
        assert child.returncode == -signal.SIGKILL
        late = any(row["en_retard"] for row in rows_of(far, CLEAN))
        assert late == (point != "rebuild.before_exchange")
        assert_exact_but_lateness(far, stored)
    result = rebuild(other, silently, silently, Stopper())
    assert result is not None
    assert all(row["en_retard"] for row in rows_of(far, CLEAN))
    assert_exact_but_lateness(far, stored)
    assert len([prefix for prefix in prefixes(settings) if prefix.startswith("silver")]) == 2  # and its pointer
    ingest(other, [sale(500)], first=81)
    silver(other)
    assert len(rows_of(far, CLEAN)) == len(stored[0]) + 1


def assert_exact_but_lateness(settings: Settings, before: tuple) -> None:
    clean, rejects, rollups = before
    same = ("lot", "date_traitement", "en_retard")
    plain = [[{k: v for k, v in row.items() if k not in same} for row in rows] for rows in (clean, rejects)]
    now = [rows_of(settings, CLEAN), rows_of(settings, REJETS)]
    assert [[{k: v for k, v in row.items() if k not in same} for row in rows] for rows in now] == plain
    assert stored_rollups(settings).keys() == rollups.keys()


# -- copy, reset ------------------------------------------------------------------------------------


def test_a_lake_goes_to_a_store_and_back(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gap = Gap("ingested", "ingested", 0, 200, 210, "test", "2026-01-01T00:00:00+00:00")
    accepted_gaps.record(settings.lake, [gap])
    back = tmp_path / "local" / "lake"
    copied: list[str] = []

    def ends(source: lake_copy._Place, target: lake_copy._Place, here: dict[str, Stored], path: str) -> None:
        if len(copied) == 12:
            raise VentesError("the connection is lost")
        copied.append(path)
        whole(source, target, here, path)

    whole = lake_copy._copy
    with monkeypatch.context() as patch:
        patch.setattr(lake_copy, "_copy", ends)
        with pytest.raises(VentesError, match="the connection is lost"):
            lake_copy.copy(settings, str(back), silently)
    done = lake_copy.copy(settings, str(back), silently)
    assert done.there >= 5
    assert done.rows[CLEAN.name] == len(rows_of(settings, CLEAN))
    local = settings_of(tmp_path / "local")
    assert accepted_gaps.read(local.lake).gaps == (gap,)
    ingest(local, [sale(600)], first=81)
    silver(local)
    assert len(rows_of(local, CLEAN)) == done.rows[CLEAN.name] + 1

    address = str(settings.paths.lake) + "-2"
    there = lake_copy.copy(local, address, silently)
    assert there.there == 0
    again = lake_copy.copy(local, address, silently)
    assert again.files == 0
    assert again.rows == there.rows
    stored = settings_of(tmp_path / "third", address)
    assert rows_of(stored, CLEAN) == rows_of(local, CLEAN)
    assert accepted_gaps.read(stored.lake).gaps == (gap,)
    with pytest.raises(VentesError, match="has been written to since it was copied"):
        lake_copy.copy(settings, address, silently)


def test_a_reset_removes_the_lake_and_nothing_else(settings: Settings, tmp_path: Path) -> None:
    s3, name = client(os.environ["AWS_ENDPOINT_URL"]), str(settings.paths.lake).split("/")[2]
    s3.put_object(Bucket=name, Key="lake/mine.txt", Body=b"1")
    s3.put_object(Bucket=name, Key="other/silver/x", Body=b"1")
    wanted = reset.what_to_remove(settings)
    assert f"all tables, gaps and leases under {settings.paths.lake}" in wanted.sentences()
    reset.carry_out(settings, wanted, silently)
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=name)["Contents"]] == ["lake/mine.txt", "other/silver/x"]
    assert not settings.lake.exists()
    ingest(settings, [sale(1)])  # begins anew
    silver(settings)
    assert len(rows_of(settings, CLEAN)) == 1


# -- gaps, doctor, files ----------------------------------------------------------------------------


def test_gaps_recorded_on_two_machines_are_all_there(settings: Settings, tmp_path: Path) -> None:
    far = elsewhere(settings, tmp_path)
    gaps = [Gap("T", "T", 0, n, n + 5, "why é", "2026-01-01T00:00:00+00:00") for n in range(0, 40, 10)]
    for number, gap in enumerate(gaps):
        accepted_gaps.record((settings, far)[number % 2].lake, [gap])
    assert accepted_gaps.read(elsewhere(settings, tmp_path / "third").lake).gaps == tuple(gaps)


def test_doctor_tries_the_store_and_says_who_writes(settings: Settings) -> None:
    (found, *_) = doctor.findings(settings)
    assert (found.level, found.name) == ("ok", "object store")
    assert "can be read, written, listed and deleted" in found.cause
    assert not mirror_of(settings).store.list(f"{doctor.FOLDER}/")
    missing = settings_of(settings.state.parent / "x", "s3://no-such-bucket/lake")
    (found,) = doctor.findings(missing)
    assert (found.level, found.next_step) == ("bad", "correct paths.lake, or create it")


def test_the_vacuum_deletes_on_the_store_what_nothing_needs(settings: Settings) -> None:
    mirror, path = mirror_of(settings), path_of(settings, ROLLUPS[0])
    log = Log.open(path)
    (new,) = data_files.write(path, ROLLUPS[0], tables.snapshot(settings, ROLLUPS[0]).arrow())
    mirror.uploaded([path / new.path])
    old = next(iter(log.files.values()))
    log.commit([old.remove(True), new.add(True)], "MERGE")
    vacuum = Vacuum(path, 3600.0)

    def stored() -> set[str]:
        prefix = mirror.key(path) + "/"
        return {one.key.removeprefix(prefix) for one in mirror.store.list(prefix) if one.key.endswith(".parquet")}

    vacuum.run(set(log.files))
    assert stored() >= {old.path, new.path}  # of the kept history
    later = Vacuum(path, 3600.0, now=lambda: time.time() + 8000)
    assert later.run(set(log.files)) >= 1
    assert stored() == set(log.files)
    options = {**environment(os.environ["AWS_ENDPOINT_URL"]), "AWS_ALLOW_HTTP": "true"}
    assert DeltaTable(mirror.place(path), storage_options=options).to_pyarrow_table().num_rows > 0


def test_the_mirror_stays_within_its_bound(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    files = sorted(settings.lake.rglob("part-*.parquet"))
    sizes = sum(path.stat().st_size for path in files)
    assert eviction.run(settings.lake, 0) == 0  # all are in use
    monkeypatch.setattr(eviction, "KEPT", 0.0)
    os.utime(files[0], (0, files[0].stat().st_mtime))
    assert eviction.run(settings.lake, sizes - 1) >= 1
    assert not files[0].exists()
    eviction.run(settings.lake, 0)
    assert not list(settings.lake.rglob("part-*.parquet"))
    assert_exact_rows(settings)


def assert_exact_rows(settings: Settings) -> None:
    assert len(rows_of(settings, CLEAN)) + len(rows_of(settings, REJETS)) == len(rows_of(settings, BRONZE)) == 81
