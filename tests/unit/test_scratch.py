"""Temporary folders: one for each process, removed whatever ends it; databases do not read each other's files."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

from harness import sample_lake
from harness.page_site import toml
from ventes.config import PROJECT

HOLD = "from ventes.runtime import scratch; print(scratch.place('x').parent, flush=True); input()"
SPILL = """
import sys
from ventes.deltalog.database import connect
rows, factor = 1_000_000, int(sys.argv[1])
for turn in range(3):
    con = connect(40)
    con.execute("SET enable_progress_bar = false")  # on in a process without a file of its own, as this one
    con.execute(f"CREATE TABLE t AS SELECT hash(i * {factor} + {turn}) AS h, i FROM range({rows}) r(i) ORDER BY h")
    found = con.execute(
        "SELECT count(*), sum(i), sum(CASE WHEN h < before THEN 1 ELSE 0 END), sum((h <> hash(i * ? + ?))::INT) "
        "FROM (SELECT h, i, lag(h) OVER (ORDER BY h) AS before FROM t)", [factor, turn]).fetchone()
    assert found == (rows, rows * (rows - 1) // 2, 0, 0), found
    con.close()
"""


def process(code: str, temporary: Path, *arguments: str) -> subprocess.Popen[str]:
    """A process in the folder `temporary`, with TMPDIR there too."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=temporary,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(PROJECT / "src")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def folder_of(running: subprocess.Popen[str]) -> Path:
    assert running.stdout is not None
    return Path(running.stdout.readline().strip())


def test_databases_that_spill_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    running = [process(SPILL, tmp_path, str(number)) for number in (3, 7)]
    said = [one.communicate(timeout=120)[0] for one in running]
    assert [(one.returncode, out) for one, out in zip(running, said, strict=True)] == [(0, "")] * 2
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_killed_process_is_removed_by_the_next_one_and_a_used_one_is_not(tmp_path: Path) -> None:
    killed, lives = process(HOLD, tmp_path), process(HOLD, tmp_path)
    old, used = folder_of(killed), folder_of(lives)
    (old / "spilled").mkdir()
    (old / "spilled" / "much").write_bytes(b"x")
    foreign = tmp_path / "ventes-scratch-file"
    foreign.write_text("no folder")
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=30)
    assert old.is_dir()
    third = process(HOLD, tmp_path)
    new = folder_of(third)
    assert sorted(tmp_path.iterdir()) == sorted([used, new, foreign])
    for one in (lives, third):
        one.communicate("\n", timeout=30)
        assert one.returncode == 0
    assert list(tmp_path.iterdir()) == [foreign]


def test_many_processes_that_begin_at_once_have_a_folder_each(tmp_path: Path) -> None:
    running = [process(HOLD, tmp_path) for _ in range(8)]
    folders = [folder_of(one) for one in running]
    assert len(set(folders)) == 8
    assert all(folder.is_dir() for folder in folders)
    for one in running:
        one.kill()
        one.communicate(timeout=30)


def test_a_measurement_for_the_metrics_leaves_no_folder(tmp_path: Path) -> None:
    lake = tmp_path / "home"
    lake.mkdir()
    settings = toml(lake)
    sample_lake.make(sample_lake.settings_at(lake), 5, sample_lake.Shape(days=1))
    code = (
        "import os; from ventes.runtime import scratch; scratch.folder()\n"
        f"os.environ['VENTES_CONFIG'] = {str(settings)!r}\n"
        "from ventes.check.measure import main; main()"
    )
    running = process(code, tmp_path)
    out, _ = running.communicate("now\n", timeout=60)
    assert running.returncode == 0, out
    assert list(tmp_path.glob("ventes-scratch-*")) == []


def test_a_folder_that_somebody_removed_is_made_again(tmp_path: Path) -> None:
    code = HOLD.replace("input()", "input(); print(scratch.place('x').parent, flush=True)")
    running = process(code, tmp_path)
    first = folder_of(running)
    first.rmdir()
    out, _ = running.communicate("\n", timeout=30)
    assert Path(out.strip()).parent == tmp_path
    assert out.strip() != str(first)


def test_without_a_temporary_folder_a_database_works_and_does_not_spill(tmp_path: Path) -> None:
    code = (
        "import tempfile; tempfile.tempdir = '/proc/none'\n"
        "from ventes.deltalog.database import connect\n"
        "print(connect().execute(\"SELECT current_setting('temp_directory') || '|' || sum(i) FROM range(9) r(i)\")"
        ".fetchone()[0])"
    )
    out, _ = process(code, tmp_path).communicate(timeout=60)
    assert out == "|36\n"


def test_no_database_has_the_default_folder() -> None:
    """Each call of `duckdb.connect` says where it spills, if anywhere."""
    wrong = []
    for file in (PROJECT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "duckdb.connect":
                named = {ast.unparse(key): key for word in node.keywords if isinstance(word.value, ast.Dict)
                         for key in word.value.keys if key is not None}  # fmt: skip
                if "'temp_directory'" not in named:
                    wrong.append(f"{file}:{node.lineno}")
    assert wrong == []
