"""A JVM that ends while it starts: if it was killed the job starts again, if a setting is wrong a user must mend it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.pipeline import wait_for
from ventes.config import PROJECT, Settings
from ventes.install import java

SCRIPT = """
from ventes import config
from ventes.engines.spark.session import open_session

try:
    open_session(config.load(), "bronze")
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("ends", "error", "said"),
    [
        ("kill -KILL $$", "Crashed", "ended while it started"),
        ("echo '26/01/05 10:00:00 WARN Utils: a warning'; kill -KILL $$", "Crashed", "ended while it started"),
        ("echo 'java.io.IOException: No space left on device'; exit 1", "Crashed", "the disk is full"),
        ("echo 'Unrecognized option: -Xwrong'; exit 1", "ConfigError", "Unrecognized option: -Xwrong"),
    ],
    ids=["killed", "killed after a warning", "a full disk", "a wrong option"],
)
def test_a_jvm_that_does_not_start_is_started_again_unless_a_setting_is_wrong(
    tmp_path: Path, ends: str, error: str, said: str
) -> None:
    done, _ = driver_with(java_that(tmp_path, ends), tmp_path).communicate(timeout=120)
    assert done.startswith(error), done
    assert said in done


@pytest.mark.parametrize("stopped", [False, True], ids=["that never reads stdin", "that is stopped"])
def test_a_jvm_ends_with_its_driver_while_it_starts(tmp_path: Path, stopped: bool) -> None:
    pid_file = tmp_path / "pid"
    program = java_that(tmp_path, f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 300")
    driver = driver_with(program, tmp_path)
    try:
        wait_for(pid_file.exists, "the JVM runs")
        jvm = psutil.Process(int(pid_file.read_text()))
        if stopped:
            jvm.suspend()
    finally:
        driver.kill()
        driver.communicate()
    wait_for(lambda: not jvm.is_running() or jvm.status() == psutil.STATUS_ZOMBIE, "the JVM has ended")


def java_that(folder: Path, does: str) -> Path:
    """The home of a Java whose JVM of Spark does this instead (in sh); all else is the real one's."""
    real = java.find_java(Settings()).home
    home = folder / "java"
    (home / "bin").mkdir(parents=True)
    (home / "release").write_bytes((Path(real) / "release").read_bytes())
    program = home / "bin" / "java"
    others = "*-version*|*org.apache.spark.launcher.Main*"
    program.write_text(f'#!/bin/sh\ncase " $* " in {others}) exec {real}/bin/java "$@";; esac\n{does}\n', "ascii")
    program.chmod(0o755)
    return home


def driver_with(home: Path, folder: Path) -> subprocess.Popen[str]:
    toml = folder / "ventes.toml"
    toml.write_text(f'[paths]\nlake = "{folder / "lake"}"\nlogs = "{folder}"\nstate = "{folder / "state"}"\n')
    toml.chmod(0o600)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VENTES_")}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        env={
            **environment,
            "VENTES_CONFIG": str(toml),
            "VENTES_JAVA_HOME": str(home),
            "PYTHONPATH": f"{PROJECT / 'src'}{os.pathsep}{PROJECT}",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
