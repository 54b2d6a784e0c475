"""`ventes query`, `export`, `rejects`: the output for users and for programs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness import sample_lake
from ventes.cli import main


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    shape = sample_lake.Shape(bad_percent=5, hostile=sample_lake.HOSTILE)
    sample_lake.make(sample_lake.settings_at(folder), 400, shape, lots=2)
    (folder / "ventes.toml").write_text(f'[paths]\nlake = "{folder}/delta"\nstate = "{folder}/state"\n')
    return folder


@pytest.fixture(autouse=True)
def _settings(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENTES_CONFIG", str(lake / "ventes.toml"))


def test_query_as_csv_json_and_table(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    sql = "SELECT COUNT(*) AS n, MAX(montant) AS most FROM bronze_data"
    assert main(["query", sql, "--format", "csv"]) == 0
    header, row = csv.reader(io.StringIO(capfdbinary.readouterr().out.decode()))
    assert (header, row[0]) == (["n", "most"], "400")
    assert main(["query", sql, "--format", "json"]) == 0
    assert json.loads(capfdbinary.readouterr().out)["n"] == 400
    assert main(["query", sql]) == 0
    assert b"400" in capfdbinary.readouterr().out.splitlines()[2]


def test_query_has_all_rows(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["query", "SELECT * FROM range(25000)", "-f", "json"]) == 0
    assert len(capfdbinary.readouterr().out.splitlines()) == 25_000


def test_a_refused_query_is_wrong_usage(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "DROP TABLE bronze_data"]) == 2
    assert "only a SELECT" in capfd.readouterr().err
    assert main(["query", "SELECT nope FROM bronze_data"]) == 1


def test_names_cannot_write_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "SELECT DISTINCT pays, chr(27) || '[31mred' AS red FROM bronze_data"]) == 0
    out = capfd.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_export_is_whole(lake: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / f"out.{kind}"
    assert main(["export", "bronze_data", "--format", kind, "-o", str(target)]) == 0
    if kind == "csv":
        with target.open(newline="", encoding="utf-8") as lines:
            assert len(list(csv.reader(lines))) == 401
    else:
        assert pq.read_table(target).num_rows == 400
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_export_of_nothing_and_to_nowhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "nope"]) == 2
    assert "ventes_clean" in capfd.readouterr().err
    assert main(["export", "bronze", "-o", str(tmp_path / "no" / "folder.csv")]) == 2
    assert "cannot be written" in capfd.readouterr().err


def test_rejects_are_listed_and_shown(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["rejects", "list", "--reason", "negative:montant", "--limit", "3", "--json"]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert len(rows) == 3
    assert all(row["motifs"] == ["negative:montant"] for row in rows)
    position = f"{rows[0]['partition']}:{rows[0]['offset']}"
    assert main(["rejects", "show", position]) == 0
    shown = capfd.readouterr().out
    assert "negative:montant" in shown
    assert "montant is below zero: a refund is not a sale." in shown
    assert str(rows[0]["vente_id"]) in shown
    assert main(["rejects", "show", "0:999999"]) == 2
    assert main(["rejects", "show", "nonsense"]) == 2
    assert main(["rejects", "list", "--reason", "not_json"]) == 0


def test_replay_asks_first(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["rejects", "replay"]) == 2
    assert "--yes" in capfd.readouterr().err
