"""Readers of one moment of the tables: the jobs know them while they run, and no longer."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from harness.pipeline import wait_for
from harness.silver_run import settings_of
from ventes.config import PROJECT
from ventes.lake import readers

SCRIPT = """
import sys, time
from pathlib import Path
from harness.silver_run import settings_of
from ventes.lake import readers

with readers.reading(settings_of(Path(sys.argv[1]))):
    time.sleep(300)
"""


def test_the_oldest_running_reader_counts(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert readers.oldest(settings) is None
    before = time.time()
    with readers.reading(settings):
        first = readers.oldest(settings)
        assert first is not None
        assert before - 2 * readers.CLOCK_MARGIN < first < before
        with readers.reading(settings):
            assert readers.oldest(settings) == first
        assert readers.oldest(settings) == first
    assert readers.oldest(settings) is None


def test_a_killed_reader_holds_nothing_and_its_file_goes(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    reader = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], env={"PYTHONPATH": f"{PROJECT}:{PROJECT / 'src'}"}
    )
    try:
        wait_for(lambda: readers.oldest(settings) is not None, "the reader reads")
    finally:
        reader.kill()
        reader.wait()
    assert readers.oldest(settings) is None
    (left,) = (settings.state / "run" / "readers").iterdir()
    with readers.reading(settings):
        assert not left.exists()


def test_a_damaged_file_and_a_reused_pid_count_for_nothing(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    folder = settings.state / "run" / "readers"
    folder.mkdir(parents=True)
    (folder / "1-1.json").write_text('{"pid": 1, "process_started": -5.0, "began": 1.0}')
    (folder / "2-2.json").write_text("{")
    (folder / "3-3.json").write_text("[]")
    assert readers.oldest(settings) is None


def test_without_permission_the_reader_reads_all_the_same(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    (settings.state / "run").mkdir(parents=True)
    (settings.state / "run" / "readers").write_text("a file where the folder should be")
    with readers.reading(settings):
        assert readers.oldest(settings) is None
