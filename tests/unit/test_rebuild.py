"""`ventes rebuild silver`: the current rules for all of Bronze, without disturbing readers, wherever it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.ingested import ingest, sale
from harness.shipped import CLEAN, REJETS
from harness.silver_run import loop_of, rows_of
from ventes import config
from ventes.config import Settings
from ventes.engines import id_index
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.errors import AlreadyRunning, VentesError
from ventes.lake import tables
from ventes.lake.tables import path_of
from ventes.lake.writer_lock import lock_path
from ventes.operations import reset
from ventes.operations.rebuild import Rebuilt, rebuild, staging_of
from ventes.operations.swap_folders import swap_folders
from ventes.runtime import heartbeat
from ventes.runtime.stop import Stopper

SALES = 250
LATER_IN_UTC = "2026-01-06 14:00:00"
"""28 hours after its arrival as UTC, 14 hours after it in Kiritimati's zone: a rule decides which."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline's folder, with Bronze and a Silver that rejected two sales for their time, and one invalid message."""
    (tmp_path / "ventes.toml").write_text(
        '[paths]\nlake = "lake"\nstate = "state"\nlogs = "logs"\n[embedded]\nmax_rows_per_batch = 100\n'
    )
    monkeypatch.setenv("VENTES_CONFIG", str(tmp_path / "ventes.toml"))
    settings = config.load()
    valid = [sale(number) for number in range(1, SALES + 1)]
    ingest(settings, [*valid, sale(901, timestamp=LATER_IN_UTC), sale(902, timestamp=LATER_IN_UTC), b"rubbish"])
    loop_of(settings, EmbeddedSilver, max_rows=1000).run()
    assert counts(settings) == (SALES, 3)
    return tmp_path


@pytest.fixture
def other_rules(folder: Path) -> Settings:
    with (folder / "ventes.toml").open("a") as file:
        file.write('[source]\ntime_zone = "Pacific/Kiritimati"\n')
    return config.load()


def counts(settings: Settings) -> tuple[int, int]:
    clean, rejets = (tables.snapshot(settings, table).rows for table in (CLEAN, REJETS))
    return clean, rejets


def run(settings: Settings, stopper: Stopper | None = None, progress: Any = lambda text: None) -> Rebuilt | None:
    return rebuild(settings, lambda text: None, progress, stopper or Stopper())


def command(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from ventes.cli import main; raise SystemExit(main())", "rebuild", "silver", "--yes"],
        env=os.environ | {"PYTHONPATH": str(config.PROJECT / "src")} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_rejected_sales_that_are_valid_now_become_clean_once(other_rules: Settings) -> None:
    result = run(other_rules)
    assert result is not None
    assert (result.clean, result.rejected, result.before) == (SALES + 2, 1, (SALES, 3))
    ids = [row["vente_id"] for row in rows_of(other_rules, CLEAN)]
    assert ids == [*range(1, SALES + 1), 901, 902]
    assert [row["motifs"] for row in rows_of(other_rules, REJETS)] == [["not_json"]]
    assert not staging_of(other_rules).lake.exists()
    again = run(other_rules)
    assert again is not None
    assert (again.clean, again.rejected) == (SALES + 2, 1)


def test_the_silver_job_continues_after_it(
    other_rules: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(id_index, "MOST_IN_MEMORY", 100)
    run(other_rules)
    assert list((path_of(other_rules, CLEAN) / id_index.FOLDER).glob("*.run"))
    ingest(other_rules, [sale(903, timestamp=LATER_IN_UTC), sale(1)], first=SALES + 3)
    loop_of(other_rules, EmbeddedSilver, max_rows=1000).run()
    assert counts(other_rules) == (SALES + 3, 2)
    assert "index of ids" not in caplog.text  # it was exchanged with its table


def test_readers_see_the_old_tables_until_the_end(other_rules: Settings) -> None:
    seen = []
    run(other_rules, progress=lambda text: seen.append(counts(other_rules)))
    assert len(seen) >= 3
    assert set(seen) == {(SALES, 3)}
    assert counts(other_rules) == (SALES + 2, 1)


def test_a_stopped_rebuild_keeps_silver_and_continues_later(other_rules: Settings) -> None:
    stopper = Stopper()
    assert run(other_rules, stopper, progress=lambda text: stopper.stop()) is None
    assert counts(other_rules) == (SALES, 3)
    staging = staging_of(other_rules)
    assert 0 < counts(staging)[0] < SALES
    said: list[str] = []
    result = rebuild(other_rules, said.append, lambda text: None, Stopper())
    assert said == ["going on with the rebuild that was interrupted"]
    assert result is not None
    assert (result.clean, result.rejected) == (SALES + 2, 1)


def test_bronze_may_grow_meanwhile(other_rules: Settings) -> None:
    more = iter(range(SALES + 3, 10_000))

    def grow(text: str) -> None:
        ingest(other_rules, [sale(10_000 + (offset := next(more)))], first=offset)

    result = run(other_rules, progress=grow)
    assert result is not None
    assert result.clean >= SALES + 2
    ids = [row["vente_id"] for row in rows_of(other_rules, CLEAN)]
    assert ids[: SALES + 2] == [*range(1, SALES + 1), 901, 902]


def test_a_disk_without_space_is_reported(other_rules: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENTES_MAINTENANCE__MIN_FREE_MB", "1000000000")
    with pytest.raises(VentesError, match=r"could not continue: .* MB free, less than"):
        run(config.load())
    assert counts(other_rules) == (SALES, 3)


def test_reset_removes_an_unfinished_rebuild(other_rules: Settings) -> None:
    stopper = Stopper()
    run(other_rules, stopper, progress=lambda text: stopper.stop())
    heartbeat.path_of(
        other_rules.state, "silver", supervised=False
    ).unlink()  # the fixture's, in the name of this process
    wanted = reset.what_to_remove(other_rules)
    assert staging_of(other_rules).lake in wanted.paths
    reset.carry_out(other_rules, wanted, lambda text: None)
    assert not other_rules.lake.exists()


def test_a_second_change_of_rules_starts_the_rebuild_again(other_rules: Settings, folder: Path) -> None:
    stopper = Stopper()
    run(other_rules, stopper, progress=lambda text: stopper.stop())
    text = (folder / "ventes.toml").read_text()
    (folder / "ventes.toml").write_text(text.replace("Pacific/Kiritimati", "UTC"))
    result = run(config.load())
    assert result is not None
    assert (result.clean, result.rejected) == (SALES, 3)


@pytest.mark.parametrize(
    ("point", "kept"),
    [
        ("silver.after_rejets", (SALES, 3)),
        ("silver.after_clean@2", (SALES, 3)),
        ("rebuild.before_exchange", (SALES, 3)),
        ("rebuild.after_exchange", (SALES + 2, 1)),
    ],
)
def test_killed_anywhere_silver_is_the_old_or_the_new_one(
    other_rules: Settings, point: str, kept: tuple[int, int]
) -> None:
    killed = command(VENTES_FAILPOINTS=f"{point}:kill9")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert counts(other_rules) == kept
    done = command()
    assert done.returncode == 0, done.stderr
    assert f"{SALES + 2} clean, 1 rejected" in done.stdout
    assert counts(other_rules) == (SALES + 2, 1)
    assert not staging_of(other_rules).lake.exists()


def test_a_job_started_by_hand_is_not_ended(other_rules: Settings) -> None:
    holding = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, pathlib; from ventes.lake.writer_lock import WriterLock; "
            f"WriterLock(pathlib.Path({str(lock_path(other_rules, 'silver'))!r})).acquire(); print(flush=True); "
            "sys.stdin.read()",
        ],
        env=os.environ | {"PYTHONPATH": str(config.PROJECT / "src")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holding.stdout is not None
    holding.stdout.readline()
    try:
        with pytest.raises(AlreadyRunning, match=str(holding.pid)):
            run(other_rules)
        assert holding.poll() is None
    finally:
        holding.communicate()


def test_an_empty_bronze_makes_an_empty_silver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENTES_PATHS__LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("VENTES_PATHS__STATE", str(tmp_path / "state"))
    settings = config.load()
    ingest(settings, [])
    assert run(settings) is not None
    assert counts(settings) == (0, 0)


def test_without_bronze_there_is_nothing_to_rebuild_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENTES_PATHS__LAKE", str(tmp_path / "none"))
    with pytest.raises(VentesError, match="no Bronze table"):
        run(config.load())


@pytest.mark.parametrize("kernel_can", [True, False])
def test_two_folders_change_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel_can: bool) -> None:
    if not kernel_can:
        monkeypatch.setattr("ventes.operations.swap_folders._exchanged", lambda new, old: False)
    new, old = tmp_path / "staging" / "silver", tmp_path / "silver"
    for folder, text in ((new, "new"), (old, "old")):
        folder.mkdir(parents=True)
        (folder / "x").write_text(text)
    swap_folders(new, old)
    assert ((old / "x").read_text(), (new / "x").read_text()) == ("new", "old")
    assert not new.with_name("silver.old").exists()
