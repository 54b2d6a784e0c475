"""The programs in an environment that can break them: a folder with a blank and a non-ASCII letter, a shell in Turkish,
Lithuanian or C, another Spark in SPARK_HOME, few open files, a user without name, rights and home, a proxy that does
not answer, an unusual umask."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.clone import Clone, as_user
from harness.pipeline import wait_for
from ventes.check.status import SHOWN
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


DEAD_PROXY = dict.fromkeys(
    ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"
)
NO_HOME = {"HOME": "/sys"}
"""Where not even root can make a file."""
NOBODY, NAMELESS = 65534, 4321
"""A user whose home does not exist; one who is not in /etc/passwd."""


@pytest.mark.parametrize(
    ("engine", "user", "language", "umask"),
    [
        ("embedded", NAMELESS, "lt_LT.UTF-8", 0o077),
        pytest.param("embedded", NOBODY, "tr_TR.UTF-8", 0, marks=pytest.mark.long),
        pytest.param("spark", NOBODY, "lt_LT.UTF-8", 0, marks=pytest.mark.long),
        pytest.param("spark", NOBODY, "C", 0o077, marks=pytest.mark.long),
    ],
)
@pytest.mark.timeout(280)
def test_a_user_without_rights_and_home_behind_a_dead_proxy(
    clone: Clone, engine: str, user: int, language: str, umask: int
) -> None:
    another = _another(user)
    options = f"-Duser.language={language[:2].lower()}"
    clone.environment.update({**DEAD_PROXY, **NO_HOME, "LC_ALL": language, "LANG": language})
    clone.environment.update({"JAVA_TOOL_OPTIONS": options, "SPARK_HOME": "/nonexistent"})
    try:
        started = clone.ventes("start", "--engine", engine, umask=umask, before=another)
        assert started.returncode == 0, started.stdout + started.stderr + clone.said()
        assert "visible in Silver" in started.stdout
        asked = clone.ventes("status", "--json", before=another)
        services = json.loads(asked.stdout)["services"]
        assert {service["name"] for service in services if service["ready"]} == set(SHOWN) - {"alerts"}, asked.stdout
        pids = [service["pid"] for service in services]
        assert {psutil.Process(pid).uids().real for pid in pids} == {os.getuid()}
    finally:
        stopped = clone.ventes("stop", before=another)
    assert stopped.returncode == 0, stopped.stderr
    for command in (
        ("verify", "--no-topic"),
        ("query", "SELECT count(*) AS n FROM ventes_clean"),
        ("export", "bronze"),
    ):
        done = clone.ventes(*command, before=another)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


def _another(user: int) -> tuple[str, ...]:
    if subprocess.run([*as_user(user), "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no user namespaces here: sysctl -w kernel.unprivileged_userns_clone=1")
    return as_user(user)


def test_spark_names_a_user_who_is_not_in_passwd_before_anything_is_started(clone: Clone) -> None:
    done = clone.ventes("start", "--engine", "spark", before=_another(NAMELESS))
    assert done.returncode == 1
    assert f"the user with the number {NAMELESS} has no entry in /etc/passwd" in done.stderr
    assert "--engine embedded" in done.stderr
    assert not (clone.state / "run").exists()


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
