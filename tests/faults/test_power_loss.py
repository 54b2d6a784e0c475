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
from ventes.engines.spark.silver import FEW
from ventes.lake.tables import path_of

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing: apt-get install strace")


ROUNDS = 30
"""Enough for compactions and Delta checkpoints."""


@pytest.mark.long
@needs_strace
@pytest.mark.parametrize("engine", ["embedded", "spark"])
@pytest.mark.timeout(600)
def test_committed_versions_survive(tmp_path: Path, engine: str) -> None:
    with Pipeline(tmp_path / "pipeline", engine, extra="[maintenance]\ncompact_every = 5\n") as pipeline:
        lake = pipeline.settings.lake
        traces = {}
        pipeline.send(sales(FEW + 1, 10**5))  # before the jobs run: one lot, of Spark's tasks
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
        try:
            pipeline.catch_up(200)
            for number in range(ROUNDS):
                pipeline.send([*sales(10, 1 + 100 * number), b"not json"])
                pipeline.catch_up(200)
        finally:
            _kill_traced(pipeline)
        committed = {table.name: Log.open(path_of(pipeline.settings, table)).version for table in ALL}
        assert list(lake.rglob("*.checkpoint.parquet"))
        epochs = lake / "checkpoints" / "bronze"
        if engine == "spark":
            assert list(epochs.glob("*/commits/*")), "Spark's checkpoint is in the lake: it may be lost as well"

        image = tmp_path / "image"
        files = [path for path in lake.rglob("*") if not path.is_relative_to(epochs)]
        dropped = keep_durable(lake, image, traces.values())
        assert sum(not (image / path.relative_to(lake)).exists() for path in files) < len(files) / 2
        assert dropped > 0
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


def _kill_traced(pipeline: Pipeline) -> None:
    """Kill what strace traces; then strace ends. Killed first, it would let them run on."""
    for job in ("bronze", "silver"):
        process = pipeline.jobs.pop(job)
        family = psutil.Process(process.pid).children(recursive=True)
        for child in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        process.wait(60)
        _, left = psutil.wait_procs(family, timeout=30)
        assert not left, f"{job} left {left}"
