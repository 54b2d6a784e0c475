"""Typed SQL: what may run, runs as Spark would; everything else is refused, and would fail if it were not."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import sample_lake
from ventes.dashboard.source import LiveTables
from ventes.dashboard.spark import Result, offered
from ventes.dashboard.tabs.raw import search_of_all
from ventes.deltalog.snapshot import Snapshot
from ventes.query import child_process, sandbox
from ventes.query.child_process import PROGRAM
from ventes.query.readable import TableToRead
from ventes.query.sandbox import Limits, SqlFailed, SqlRefused

GUIDE = """
        SELECT 
            categorie,
            COUNT(*) as count,
            SUM(montant) as revenue
        FROM bronze_data
        GROUP BY categorie
    """  # noqa: W291 - as printed in the guide


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Snapshot]:
    settings = sample_lake.settings_at(tmp_path_factory.mktemp("lake"))
    sample_lake.make(settings, 400, now=datetime(2026, 3, 10, tzinfo=timezone.utc), lots=2)
    return offered(LiveTables(settings).read())


def test_the_guides_query(tables: Mapping[str, Snapshot]) -> None:
    answer = sandbox.run(GUIDE, tables, Limits())
    assert answer.table.column_names == ["categorie", "count", "revenue"]
    assert sum(answer.table["count"].to_pylist()) == 400
    frame = Result(answer.table).to_pandas()
    assert frame.index.name == "categorie"
    assert list(frame.columns) == ["count", "revenue"]
    assert frame["revenue"].dtype == float
    assert isinstance(Result(answer.table).collect()[0]["revenue"], Decimal)


def test_sparks_dialect(tables: Mapping[str, Snapshot]) -> None:
    sql = "SELECT date_format(`timestamp`, 'yyyy') AS y, partition, offset FROM bronze_data ORDER BY offset LIMIT 1"
    assert sandbox.run(sql, tables, Limits()).table.to_pylist() == [{"y": "2026", "partition": 0, "offset": 0}]
    assert sandbox.run("SELECT explode(sequence(1, 3)) AS n", tables, Limits()).table["n"].to_pylist() == [1, 2, 3]


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SELECT 1; SELECT 2",
        "SELEKT 1",
        "DROP TABLE bronze_data",
        "INSERT INTO bronze_data VALUES (1)",
        "CREATE TABLE x AS SELECT 1",
        "COPY bronze_data TO '/tmp/x'",
        "ATTACH 'x.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA database_list",
        "SET memory_limit = '1TB'",
        "EXPLAIN SELECT 1",
        "DESCRIBE bronze_data",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM parquet_scan('/x')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM `/etc/passwd`",
        "SELECT * FROM parquet.`/etc/passwd`",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM query('SELECT 1')",
        "SELECT * FROM system.information_schema.tables",
        "SELECT (SELECT max(x) FROM read_blob('/etc/passwd')) FROM bronze_data",
        "WITH t AS (SELECT * FROM secrets) SELECT * FROM t",
        "SELECT * FROM (WITH secrets AS (SELECT 1) SELECT * FROM secrets) AS t, secrets",
        "SELECT * FROM bronze_data, LATERAL read_text('/etc/passwd')",
        "SELECT * FROM bronze_data AS b LEFT JOIN LATERAL read_blob('/etc/passwd') ON true",
        "SELECT * FROM bronze_data LATERAL VIEW read_text('/etc/passwd') AS t",
        "SELECT getenv('HOME')",
        "SELECT current_setting('memory_limit')",
        "SELECT sum(1) OVER w FROM bronze_data WINDOW w AS (ORDER BY read_text('/etc/passwd'))",
        "SELECT * FROM histogram('/etc/passwd', 'a')",
        "SELECT 1 -- " + "x" * 20_000,
        "(" * 3000 + "1" + ")" * 3000,
    ],
)
def test_refused_before_anything_runs(sql: str) -> None:
    with pytest.raises(SqlRefused):
        sandbox.translated(sql, frozenset({"bronze_data"}))


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t", "longer than"),
        ("SELECT repeat('x', 3000000000)", "MB it may use"),
        ("SELECT nope FROM bronze_data", "nope"),
    ],
)
def test_ends_as_a_sentence(tables: Mapping[str, Snapshot], sql: str, why: str) -> None:
    started = time.monotonic()
    with pytest.raises(SqlFailed, match=why):
        sandbox.run(sql, tables, Limits(seconds=1.0, memory_mb=128))
    assert time.monotonic() - started < 20


def test_one_huge_cell_does_not_fill_the_reader(tables: Mapping[str, Snapshot]) -> None:
    with pytest.raises(SqlFailed, match="larger than 4 MB"):
        sandbox.run("SELECT repeat('x', 50000000)", tables, Limits(seconds=20, result_mb=4))


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("WITH s AS (SELECT 1 AS a) SELECT a FROM s WHERE a IN (SELECT a FROM s)", 1),
        ("WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT n FROM t", 5),
        ("SELECT m FROM ventes_rejets LATERAL VIEW explode(motifs) AS m LIMIT 1", 1),
        ("SELECT c.pays FROM (SELECT DISTINCT pays FROM ventes_clean LIMIT 1) AS p JOIN LATERAL "
         "(SELECT pays FROM ventes_clean WHERE pays = p.pays LIMIT 1) AS c ON true", 1),
        ("SELECT * FROM generate_series(1, 4)", 4),
        ("SELECT 1 AS n FROM bronze_data WHERE false UNION ALL SELECT 2", 1),
    ],
)  # fmt: skip
def test_what_a_select_may_be_made_of(tables: Mapping[str, Snapshot], sql: str, rows: int) -> None:
    assert sandbox.run(sql, tables, Limits(seconds=10)).table.num_rows == rows


def test_rows_are_limited_and_it_says_so(tables: Mapping[str, Snapshot]) -> None:
    answer = sandbox.run("SELECT vente_id FROM bronze_data", tables, Limits(rows=7))
    assert answer.table.num_rows == 7
    assert answer.truncated


def child(task: dict[str, object]) -> subprocess.CompletedProcess[bytes]:
    """The child alone, with a query that the first fence would have refused."""
    defaults = {"views": {}, "paths": [], "memory_mb": 128, "cpu_seconds": 20}
    return subprocess.run(
        [sys.executable, "-I", str(PROGRAM), "run"],
        input=json.dumps({**defaults, **task}).encode(),
        capture_output=True,
        timeout=60,
        env={},
        check=False,
    )


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/proc/self/environ')",
        "SELECT * FROM '{other}'",
        "SELECT * FROM parquet_metadata('{other}')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "COPY (SELECT 1) TO '{folder}/new.csv'",
        "COPY (SELECT 1 AS a) TO '{mine}' (FORMAT parquet)",
        "EXPORT DATABASE '{folder}/new'",
        "ATTACH '{folder}/new.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "SET allowed_paths = ['/etc/passwd']",
        "SELECT * FROM task",
        "SELECT * FROM duckdb_secrets()",
        "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    ],
)
def test_the_child_could_not_even_if_it_were_let(tmp_path: Path, sql: str) -> None:
    mine, other = tmp_path / "mine.parquet", tmp_path / "other.parquet"
    for path in (mine, other):
        pq.write_table(pa.table({"a": [1, 2, 3]}), path)
    before = mine.read_bytes()
    done = child({"sql": sql.format(mine=mine, other=other, folder=tmp_path), "paths": [str(mine)]})
    assert done.returncode != 0, done.stdout
    assert mine.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.parquet", "other.parquet"]


def test_the_child_reads_what_it_may(tmp_path: Path) -> None:
    mine = tmp_path / "it's mine.parquet"
    pq.write_table(pa.table({"a": [1, 2, 3]}), mine)
    quoted = str(mine).replace("'", "''")
    view = {"mine": f"SELECT * FROM read_parquet(['{quoted}'])"}
    done = child({"sql": "SELECT sum(a) AS a FROM mine", "paths": [str(mine)], "views": view})
    assert done.returncode == 0, done.stderr
    assert pa.ipc.open_stream(done.stdout[1:]).read_all().to_pylist() == [{"a": 6}]


def test_the_child_gives_way_to_the_page(tables: Mapping[str, Snapshot]) -> None:
    me = psutil.Process()
    with sandbox.stream("SELECT a.range FROM range(1000000000) a", tables, Limits()):  # more than a pipe holds
        (child,) = [one for one in me.children() if str(PROGRAM) in one.cmdline()]
        assert child.nice() > me.nice()


def test_no_child_is_left_behind(tables: Mapping[str, Snapshot]) -> None:
    with sandbox.stream("SELECT * FROM bronze_data", tables, Limits()) as (_, batches):
        next(batches)
    assert not [one for one in psutil.Process().children() if str(PROGRAM) in one.cmdline()]


def test_every_column_and_every_value_has_a_form(tables: Mapping[str, Snapshot]) -> None:
    sql = "SELECT 1 AS a, 2 AS a, DATE '9999-12-31' + INTERVAL 1 DAY AS late, MAKE_DATE(10000, 1, 1) AS d"
    answer = sandbox.run(sql, tables, Limits(rows=1, seconds=20))
    (row,) = Result(answer.table).collect()
    assert row == {"a": 1, "a_2": 2, "late": "+10000-01-01 00:00:00", "d": "+10000-01-01"}
    assert list(Result(answer.table).toPandas()["a_2"]) == [2]


def test_a_long_error_is_the_true_one_cut_off(tables: Mapping[str, Snapshot]) -> None:
    with pytest.raises(SqlFailed, match="xxxx") as raised:
        sandbox.run("SELECT CAST(repeat('x', 1000000) AS DATE)", tables, Limits(seconds=20))
    assert len(raised.value.message) <= 2000


def test_a_text_is_translated_once(tables: Mapping[str, Snapshot], monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def counted(program: str, *arguments: Any) -> Any:
        started.append(program)
        return child_process.child(program, *arguments)

    monkeypatch.setattr(sandbox, "child", counted)
    for _ in range(2):
        sandbox.run("SELECT 'once' AS a", tables, Limits(seconds=20))
    for _ in range(2):
        with pytest.raises(SqlRefused):
            sandbox.run("SELECT once(", tables, Limits(seconds=20))
    assert started == ["translate", "run", "run", "translate"]


@pytest.mark.parametrize(
    ("sql", "what", "step"),
    [
        ("SELECT pay FROM bronze_data", 'Referenced column "pay" not found in FROM clause', "perhaps pays is meant"),
        ("SELECT pays FROM bronze_dat", "there is no table bronze_dat", "perhaps bronze_data is meant"),
        ("SELECT bronze_dat.pays FROM bronze_data", 'Referenced table "bronze_dat"', "perhaps bronze_data is meant"),
        ("SELECT FROM WHERE", "Expected table name but got WHERE", "correct it"),
    ],
)
def test_an_error_ends_without_a_mark_and_proposes_a_name(
    tables: Mapping[str, Snapshot], sql: str, what: str, step: str
) -> None:
    with pytest.raises((SqlFailed, SqlRefused)) as refused:
        sandbox.run(sql, tables, Limits())
    assert what in refused.value.message
    assert refused.value.message[-1] not in ".!"
    assert step in refused.value.hint


def test_nothing_is_proposed_for_a_name_that_is_like_none(tables: Mapping[str, Snapshot]) -> None:
    with pytest.raises(SqlFailed) as refused:
        sandbox.run("SELECT zzzz FROM bronze_data", tables, Limits())
    assert "perhaps" not in refused.value.hint


def test_the_names_of_counts_and_sums_are_known(tables: Mapping[str, Snapshot]) -> None:
    sql = (
        "SELECT pays, n, N AS again, s, vente_id, year(jour) AS y, SUM(s) OVER () AS Whole FROM "
        "(SELECT pays, COUNT(*) AS n, SUM(quantite) AS s, MAX(vente_id) AS vente_id, MAX(jour) AS jour "
        "FROM bronze_data GROUP BY pays)"
    )
    assert sandbox.translated(sql, frozenset(tables)).counts == ("n", "s", "whole")


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT count(*) FROM bronze_data", [{"count_star()": 400}]),
        ("SELECT COUNT(1) AS n FROM bronze_data", [{"n": 400}]),
        ("SELECT (SELECT count(*) FROM bronze_data) - count(*) AS n FROM bronze_data", [{"n": 0}]),
        ("SELECT count(*) + 1 AS n FROM bronze_data UNION ALL SELECT 2", [{"n": 401}, {"n": 2}]),
    ],
)
def test_rows_are_counted_without_opening_a_file(
    tables: Mapping[str, Snapshot], sql: str, rows: list[dict[str, Any]]
) -> None:
    nowhere = {name: replace(table, path=Path("/nowhere")) for name, table in tables.items()}
    assert sandbox.run(sql, nowhere, Limits()).table.to_pylist() == rows


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM bronze_data",
        "SELECT count(*) FROM bronze_data WHERE pays = 'France'",
        "SELECT count(pays) FROM bronze_data",
        "SELECT count(DISTINCT pays) FROM bronze_data",
        "SELECT count(*) FROM bronze_data JOIN ventes_clean USING (vente_id)",
        "SELECT count(*) FROM bronze_data NATURAL JOIN ventes_clean",
        "SELECT count(*) FROM (SELECT DISTINCT pays FROM bronze_data)",
        "SELECT count(*) FROM (SELECT * FROM bronze_data LIMIT 3)",
        "SELECT count(*) FROM bronze_data GROUP BY pays",
    ],
)
def test_what_depends_on_the_rows_is_read(tables: Mapping[str, Snapshot], sql: str) -> None:
    nowhere = {name: replace(table, path=Path("/nowhere")) for name, table in tables.items()}
    with pytest.raises(sandbox.TableUnreadable):
        sandbox.run(sql, nowhere, Limits())
    assert sandbox.run(sql, tables, Limits(seconds=30)).table.num_rows > 0


@pytest.mark.parametrize("search", ["Café", "l'été", "a\\b", "%", "' OR 1=1 --", "\\'"])
def test_the_search_of_all_sales_finds_what_contains_the_text(tmp_path: Path, search: str) -> None:
    """In any case and column; what the text holds is never SQL."""
    path = str(tmp_path / "clean.parquet")
    names = [f"xx{search.upper()}yy", "other", search]
    rows = {
        "produit_nom": names,
        "vente_id": [1, 2, 3],
        "kafka_ts": [datetime(2026, 1, day, tzinfo=timezone.utc) for day in (1, 2, 3)],
    }
    pq.write_table(pa.table(rows), path)
    readable = TableToRead(f"SELECT * FROM read_parquet('{path}')", [path])
    query = search_of_all("ventes_clean", ["vente_id", "produit_nom"], search)
    found = sandbox.run(query, {"ventes_clean": readable}, Limits(20))
    assert found.table["vente_id"].to_pylist() == [3, 1]
