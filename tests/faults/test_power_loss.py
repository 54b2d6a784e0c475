"""Power loss: everything that was not brought to the disk is dropped. What was committed to a table is there.

Neither LazyFS nor device-mapper is needed: the jobs are traced, and the folder is made again from what they fsynced
(harness.power_loss). Kafka is left alone: its page cache is what `kafka.flush_every_message` is about.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.pipeline import SCRIPTS, Pipeline, sales
from harness.power_loss import keep_durable, traced
from harness.shipped import ALL
from ventes import config
from ventes.deltalog.log import Log
from ventes.lake.tables import path_of

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing: apt-get install strace")


@pytest.mark.long
@needs_strace
@pytest.mark.timeout(400)
def test_committed_versions_survive(tmp_path: Path) -> None:
    with Pipeline(tmp_path / "pipeline", "embedded", extra="[maintenance]\ncompact_every = 5\n") as pipeline:
        lake = pipeline.settings.lake
        traces = {}
        for job in ("bronze", "silver"):
            traces[job] = tmp_path / f"{job}.trace"
            pipeline.jobs[job] = subprocess.Popen(
                traced([sys.executable, str(config.PROJECT / SCRIPTS[job])], traces[job]),
                env=pipeline.environment,
                cwd=pipeline.folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        for number in range(30):  # with compactions and checkpoints
            pipeline.send([*sales(10, 1 + 100 * number), b"not json"])
            pipeline.catch_up()
        committed = {table.name: Log.open(path_of(pipeline.settings, table)).version for table in ALL}
        assert list(lake.rglob("*.checkpoint.parquet"))
        for job in ("bronze", "silver"):
            process = pipeline.jobs.pop(job)
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            process.wait(30)

        image = tmp_path / "image"
        dropped = keep_durable(lake, image, traces.values())
        assert dropped < len(list(lake.rglob("*"))) / 2
        shutil.rmtree(lake)
        os.rename(image, lake)
        found = {table.name: Log.open(path_of(pipeline.settings, table)).version for table in ALL}
        behind = {name: (found[name], version) for name, version in committed.items() if found[name] < version}
        assert behind == {}
        for job in ("bronze", "silver"):
            pipeline.start(job)
        pipeline.send(sales(10, 10**6))
        pipeline.catch_up()
        pipeline.verify()
