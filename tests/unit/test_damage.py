"""A missing or damaged data file: every reader reports the same sentence and next step."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness import sample_lake
from harness.maintaining import maintenance_of
from harness.shipped import BRONZE, CLEAN
from harness.silver_run import settings_of
from tests.unit.test_maintenance import add
from ventes.cli import app, mount, run
from ventes.config import Settings
from ventes.deltalog.log import Log
from ventes.deltalog.snapshot import Snapshot
from ventes.deltalog.table import Table
from ventes.lake import damage, tables
from ventes.lake.tables import path_of


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    settings = sample_lake.settings_at(tmp_path)
    sample_lake.make(settings, 200)
    for name, value in (("LAKE", settings.lake), ("STATE", settings.state), ("LOGS", tmp_path / "logs")):
        monkeypatch.setenv(f"VENTES_PATHS__{name}", str(value))
    mount()
    return settings


def gone(file: Path) -> str:
    file.unlink()
    return "is gone"


def truncated(file: Path) -> str:
    file.write_bytes(file.read_bytes()[:100])
    return "is damaged"


@pytest.mark.parametrize("harm", [gone, truncated])
@pytest.mark.parametrize(
    ("table", "command", "step"),
    [
        (BRONZE, ["verify", "--no-topic"], "restore the folder from a backup"),
        (CLEAN, ["verify", "--no-topic"], "ventes rebuild silver"),
        (CLEAN, ["query", "SELECT sum(montant) FROM ventes_clean"], "ventes doctor"),
        (BRONZE, ["query", "SELECT count(DISTINCT pays) FROM bronze_data"], "ventes doctor"),
        (CLEAN, ["export", "ventes_clean", "--format", "parquet", "--output", "{out}"], "ventes rebuild silver"),
    ],
)
def test_every_command_reports_it_in_one_line(
    lake: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    harm: Callable[[Path], str],
    table: Table,
    command: list[str],
    step: str,
) -> None:
    path = path_of(lake, table)
    file = next(iter(Log.open(path).files))
    what = harm(path / file)
    assert run(app, [part.format(out=tmp_path / "out.parquet") for part in command]) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    if command[0] == "query":
        assert f"data file {path / file} of the table {command[1].split()[-1]} {what}" in said
    else:
        assert f"data file {file} of {path} {what}" in said
    assert step in said


def test_a_version_that_is_no_longer_kept_is_no_damage(lake: Settings) -> None:
    snapshot = tables.snapshot(lake, CLEAN)
    file = snapshot.files[0]
    log = Log.open(path_of(lake, CLEAN))
    log.commit([file.remove(True)], "DELETE")
    (log.path / file.path).unlink()
    with pytest.raises(Exception, match=r"\.parquet") as raised:
        snapshot.arrow()
    found = damage.of_error(raised.value)
    assert found is not None
    assert "is no longer kept" in found.message


def test_other_errors_are_not_taken_for_damage() -> None:
    assert damage.of_error(ValueError("/no/table/here.parquet")) is None
    assert damage.of_error(ValueError("no path")) is None


def test_a_writer_continues_although_a_file_is_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Merging needs the file, appending does not: appended rows are kept."""
    settings = settings_of(tmp_path, maintenance={"compact_every": 5})
    tables.ensure(settings, BRONZE)
    log = Log.open(settings.bronze)
    maintenance = maintenance_of(settings, BRONZE, log)
    with caplog.at_level(logging.ERROR):
        for offset in range(30):
            add(log, offset)
            if offset == 2:
                (settings.bronze / next(iter(log.files))).unlink()
            maintenance.run_due()
    assert log.present_rows == 30
    assert sum("cannot be merged" in record.message for record in caplog.records) == 1
    assert Snapshot.of_log(log, BRONZE).rows == 30


def test_the_command_line_keeps_its_traceback_for_what_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    mount()

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr("ventes.config.load", fail)
    assert isinstance(CliRunner().invoke(app, ["verify"]).exception, RuntimeError)
