"""A JVM that ends while it starts: if it was killed the job starts again, if a setting is wrong a user must mend it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
        ("echo 'Unrecognized option: -Xwrong'; exit 1", "ConfigError", "Unrecognized option: -Xwrong"),
    ],
    ids=["killed", "killed after a warning", "a wrong option"],
)
def test_a_killed_jvm_is_started_again(tmp_path: Path, ends: str, error: str, said: str) -> None:
    real = java.find_java(Settings()).home
    home = tmp_path / "java"
    (home / "bin").mkdir(parents=True)
    (home / "release").write_bytes((Path(real) / "release").read_bytes())
    program = home / "bin" / "java"
    program.write_text(f'#!/bin/sh\ncase " $* " in *-version*) exec {real}/bin/java "$@";; esac\n{ends}\n', "ascii")
    program.chmod(0o755)
    toml = tmp_path / "ventes.toml"
    toml.write_text(f'[paths]\nlake = "{tmp_path / "lake"}"\nlogs = "{tmp_path}"\nstate = "{tmp_path / "state"}"\n')
    toml.chmod(0o600)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VENTES_")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={
            **environment,
            "VENTES_CONFIG": str(toml),
            "VENTES_JAVA_HOME": str(home),
            "PYTHONPATH": f"{PROJECT / 'src'}{os.pathsep}{PROJECT}",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.startswith(error), done.stdout + done.stderr[-2000:]
    assert said in done.stdout
