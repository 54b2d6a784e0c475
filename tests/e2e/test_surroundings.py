"""The programs in an environment that can break a JVM: a folder with a blank and a non-ASCII letter, a Turkish shell,
another Spark in SPARK_HOME, few open files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.clone import Clone
from harness.pipeline import wait_for
from ventes.runtime import heartbeat

SALES = 20
TURKISH = "-Duser.language=tr -Duser.country=TR"


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    one = Clone(tmp_path)
    yield one
    one.stop()


def taken(clone: Clone) -> bool:
    """Whether Bronze has every sale; fails with all logs if a program ended badly."""
    assert not [name for name, process in clone.running.items() if process.poll()], clone.said()
    record = heartbeat.read(clone.state, "bronze")
    return record is not None and record.total == SALES


@pytest.mark.parametrize(
    ("engine", "environment"),
    [
        ("embedded", {"LC_ALL": "C", "JDK_JAVA_OPTIONS": TURKISH}),
        ("spark", {"LC_ALL": "tr_TR.UTF-8", "JAVA_TOOL_OPTIONS": TURKISH, "SPARK_HOME": "/nonexistent"}),
    ],
)
def test_sales_reach_bronze(clone: Clone, engine: str, environment: dict[str, str]) -> None:
    clone.environment.update(environment)
    clone.start("broker", "-m", "ventes.broker.run")
    clone.start("bronze", "spark_streaming_delta.py", "--engine", engine)
    clone.start("producer", "producer.py", "--rate", "max", "--count", str(SALES))
    wait_for(lambda: taken(clone), "all sales are in Bronze", 120)
    assert (clone.folder / "my lake é" / "bronze" / "ventes_stream" / "_delta_log").is_dir()


def test_too_few_open_files_are_named_before_a_jvm_starts(clone: Clone) -> None:
    assert clone.start("broker", "-m", "ventes.broker.run", most_files=256).wait(60) != 0
    assert "only 256 files" in clone.said()
    assert not (clone.state / "kafka").exists()


def test_the_files_of_sparks_jvm_are_where_the_settings_say(clone: Clone) -> None:
    """Options with a blank reach it unchanged."""
    script = (
        "import json; from ventes import config; from ventes.engines.spark.session import open_session\n"
        "session = open_session(config.load(), 'bronze')\n"
        "get = session.jvm.java.lang.System.getProperty\n"
        "print(json.dumps([get(name) for name in ('ventes.jvm.log', 'java.io.tmpdir', 'user.language')]))\n"
        "session.close()"
    )
    clone.environment["JAVA_TOOL_OPTIONS"] = TURKISH
    clone.start("spark", "-c", script).wait(90)
    log, temporary, language = json.loads((clone.folder / "spark.out").read_text("utf-8").splitlines()[-1])
    assert Path(log) == clone.state / "log" / "spark-bronze.log"
    assert Path(temporary).is_relative_to(clone.state)
    assert language == "en"
