"""The child that writes a download: the whole file, or a line with the reason for none."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import sample_lake
from harness.pipeline import wait_for
from harness.shipped import BRONZE
from ventes.dashboard.download_server import CHILD
from ventes.deltalog.snapshot import Snapshot
from ventes.lake import tables
from ventes.query.csv_child import CsvTask
from ventes.query.readable import TableToRead


@pytest.fixture(scope="module")
def bronze(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    settings = sample_lake.settings_at(tmp_path_factory.mktemp("lake"))
    sample_lake.make(settings, 500, now=datetime(2026, 3, 10, tzinfo=timezone.utc), lots=3)
    return tables.snapshot(settings, BRONZE)


def written(task: CsvTask | bytes) -> tuple[Mapping[str, object], list[list[str]], int]:
    """The first line, the rows of the file, the exit code. The child's environment is empty."""
    done = subprocess.run(
        CHILD, input=task if isinstance(task, bytes) else task.to_json(), capture_output=True, timeout=60,
        env={"LANG": "C.UTF-8"}, cwd="/", check=False,
    )  # fmt: skip
    first, _, file = done.stdout.partition(b"\n")
    return json.loads(first), list(csv.reader(io.StringIO(file.decode(), newline=""))), done.returncode


def test_a_task_goes_through_json_unchanged() -> None:
    task = CsvTask({"t": TableToRead("SELECT 1", ["/a", "/b"])}, "SELECT * FROM t", 300)
    assert CsvTask.from_json(task.to_json()) == task


def test_a_table_is_written_whole(bronze: Snapshot) -> None:
    said, (header, *rows), code = written(CsvTask({"bronze": TableToRead.of(bronze)}))
    assert (said["status"], code) == (200, 0)
    assert header == BRONZE.schema.names
    assert sorted(int(row[header.index("offset")]) for row in rows) == list(range(500))


def test_a_query_is_written_without_a_limit_of_rows(bronze: Snapshot) -> None:
    query = "SELECT vente_id, n FROM bronze_data CROSS JOIN (SELECT explode(sequence(1, 50)) AS n)"
    said, rows, code = written(CsvTask({"bronze_data": TableToRead.of(bronze)}, query))
    assert (said["status"], code, len(rows)) == (200, 0, 25_001)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("SELECT * FROM read_csv('/etc/passwd')", "read_csv is not allowed. Next step:"),
        ("SELECT nope FROM bronze_data", "nope"),
    ],
)
def test_a_query_that_is_refused_or_fails_is_a_sentence(bronze: Snapshot, query: str, sentence: str) -> None:
    said, rows, code = written(CsvTask({"bronze_data": TableToRead.of(bronze)}, query))
    assert (said["status"], rows, code) == (409, [], 1)
    assert sentence.lower() in str(said["message"]).lower()


def test_missing_files_are_reported(bronze: Snapshot) -> None:
    gone = TableToRead(bronze.select().replace(".parquet", ".gone"), [])
    said, rows, code = written(CsvTask({"bronze": gone}))
    assert (said["status"], rows, code) == (410, [], 1)
    assert "no longer kept" in str(said["message"])


def test_an_invalid_task_is_an_error_without_details() -> None:
    said, rows, code = written(b"{")
    assert (said["status"], rows, code) == (500, [], 1)


def test_a_query_that_computes_ends_with_the_child() -> None:
    """Killed before its first row, as when its reader disconnects."""
    endless = "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t"
    with subprocess.Popen(CHILD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/") as child:
        assert child.stdin is not None
        with child.stdin:
            child.stdin.write(CsvTask({}, endless, 300).to_json())
        process = psutil.Process(child.pid)

        def running() -> list[psutil.Process]:
            return [one for one in process.children() if one.cmdline()[-1:] == ["run"]]

        wait_for(lambda: bool(running()), "the query runs")
        (query,) = running()
        wait_for(lambda: query.cpu_times().user > 0.3, "it computes")
        child.kill()
    wait_for(lambda: not query.is_running() or query.status() == psutil.STATUS_ZOMBIE, "the query has ended", 2)


def test_a_file_that_fails_midway_ends_with_an_error(tmp_path: Path) -> None:
    """Its second file is truncated: the rows of the first one may have been written."""
    paths = [tmp_path / f"{number}.parquet" for number in range(2)]
    for path in paths:
        pq.write_table(pa.table({"a": list(range(200_000))}), path, row_group_size=10_000)
    data = bytearray(paths[1].read_bytes())
    data[1000:-1000] = os.urandom(len(data) - 2000)
    paths[1].write_bytes(data)
    listed = ", ".join(f"'{path}'" for path in paths)
    said, rows, code = written(CsvTask({"t": TableToRead(f"SELECT a FROM read_parquet([{listed}])", [])}))
    assert code == 1
    assert len(rows) < 400_001
    assert said["status"] in (200, 500)
