"""A session whose JVM stops after an error of its own: the job is told so, and closing it raises nothing."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from py4j.protocol import Py4JNetworkError

from ventes.engines.spark.session import Session


class Stopping:
    """A SparkSession whose context has stopped, while its JVM still runs and answers nothing more."""

    def __init__(self, master: str) -> None:
        stopped = SimpleNamespace(sc=lambda: SimpleNamespace(isStopped=lambda: True))
        self.sparkContext = SimpleNamespace(master=master, _jsc=stopped)

    def stop(self) -> None:
        raise Py4JNetworkError("Answer from Java side is empty")


@pytest.mark.parametrize(
    ("master", "reason"),
    [("local[*]", "stops after an error: see its log"), ("spark://127.0.0.1:7077", "was removed by its cluster")],
)
def test_a_jvm_that_stops_by_itself(tmp_path: Path, master: str, reason: str) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    spark: Any = Stopping(master)
    session = Session(spark, os.getpid(), (), scratch)
    assert not session.usable
    assert session.exit_reason == f"Spark (JVM pid {os.getpid()}) {reason}"
    session.close()
    assert not scratch.exists()
