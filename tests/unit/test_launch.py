"""A root script run by a Python without the packages restarts with the project's Python, or names the first step."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ventes.config import PROJECT
from ventes.runtime import launch

SCRIPT = """
import sys
sys.path.insert(0, {src!r})
from ventes.runtime.launch import ensure_environment
ensure_environment("confluent_kafka")
print("went on")
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The parts of a project that the scripts need to find their Python."""
    for name in ("__init__.py", "runtime/__init__.py", "runtime/launch.py"):
        target = tmp_path / "src" / "ventes" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / "src" / "ventes" / name, target)
    (tmp_path / "producer.py").write_text(SCRIPT.format(src=str(tmp_path / "src")))
    return tmp_path


def run(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """-S and -I hide every installed package."""
    command = [sys.executable, "-S", "-I", str(checkout / "producer.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_without_an_environment_it_names_the_first_step(checkout: Path) -> None:
    result = run(checkout, "--help")
    assert result.returncode == 1
    assert result.stdout == ""
    assert f"bash {checkout}/start_pipeline.sh" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_projects_python_takes_over_with_the_same_arguments(checkout: Path) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "ours: $$ $*"\n')
    python.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-S", "-I", str(checkout / "producer.py"), "--rate", "a b"], stdout=subprocess.PIPE, text=True
    )
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert output == f"ours: {process.pid} -S -I {checkout}/producer.py --rate a b\n"


def test_with_the_packages_there_nothing_happens() -> None:
    launch.ensure_environment("confluent_kafka")


def test_a_python_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "OLDEST", (99, 0))
    assert launch._lacking(()) == "Python 99.0 or newer"


def test_the_guides_script_shows_its_options() -> None:
    result = subprocess.run(
        [sys.executable, str(PROJECT / "producer.py"), "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    for option in ("--rate", "--count", "--seed", "--bad", "--late", "--duplicates", "--bootstrap", "--topic"):
        assert option in result.stdout
