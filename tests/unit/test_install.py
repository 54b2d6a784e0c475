"""The installer's stamps and refusals. The steps themselves run for real in the end-to-end test."""

import shutil
import subprocess
import sys
import types

import pytest

from ventes.config import PROJECT
from ventes.errors import InstallError
from ventes.install import spark_defaults, steps
from ventes.install.java import Java
from ventes.install.steps import Stamps


def test_a_stamp_counts_only_for_what_it_was_set_for(tmp_path):
    stamps = Stamps(tmp_path / "installed.json")
    assert not stamps.has("packages", "hash 1")
    stamps.set("packages", "hash 1")
    again = Stamps(tmp_path / "installed.json")
    assert again.has("packages", "hash 1")
    assert not again.has("packages", "hash 2")
    again.forget("packages")
    assert not Stamps(tmp_path / "installed.json").has("packages", "hash 1")


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", "\x00"])
def test_a_damaged_stamp_file_means_nothing_was_done(tmp_path, content):
    (tmp_path / "installed.json").write_text(content)
    assert not Stamps(tmp_path / "installed.json").has("packages", "x")


def test_a_step_that_is_done_runs_no_pip(tmp_path, monkeypatch):
    lock = tmp_path / "base.txt"
    lock.write_text("a==1\n")
    stamps = Stamps(tmp_path / "installed.json")
    stamps.set("packages", steps._hash(lock))
    monkeypatch.setattr(steps, "_PIP", ["/nonexistent/pip"])
    steps._pip(stamps, "packages", lock)
    lock.write_text("a==2\n")
    with pytest.raises(FileNotFoundError):
        steps._pip(stamps, "packages", lock)


@pytest.mark.parametrize(
    ("said", "cause", "step"),
    [
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "disk", "make room"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "not the one", "proxy"),
        ("ERROR: No matching distribution found for duckdb==9", "duckdb==9", "3.10 to 3.13"),
        ("ERROR: Connection reset", "Connection reset", "network"),
    ],
)
def test_what_pip_says_becomes_a_cause_and_a_next_step(tmp_path, monkeypatch, said, cause, step):
    lock = tmp_path / "base.txt"
    lock.write_text("a==1\n")
    monkeypatch.setattr(steps, "STATE", tmp_path)
    monkeypatch.setattr(steps, "ROOT", tmp_path)
    monkeypatch.setattr(steps, "NEEDED_MB", 0)
    monkeypatch.setattr(steps, "_PIP", ["sh", "-c", f"echo '{said}'; exit 1", "pip"])
    stamps = Stamps(tmp_path / "installed.json")
    with pytest.raises(InstallError) as caught:
        steps._pip(stamps, "packages", lock)
    assert cause in caught.value.message
    assert step in caught.value.hint
    assert not stamps.has("packages", steps._hash(lock))


def test_a_full_disk_is_named_before_anything_is_fetched(monkeypatch):
    usage = types.SimpleNamespace(free=100_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InstallError, match="has 100 MB free"):
        steps._require_space()


def test_missing_venv_support_names_the_package():
    with pytest.raises(InstallError) as caught:
        steps._explain_venv("The virtual environment was not created successfully because ensurepip is not available.")
    assert f"python{sys.version_info[0]}.{sys.version_info[1]}-venv" in caught.value.hint


def test_an_old_python_is_refused_by_the_script(tmp_path):
    """start_pipeline.sh with nothing but a Python 3.8 on PATH."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "cat"):
        (tools / name).symlink_to(subprocess.run(["which", name], capture_output=True, text=True).stdout.strip())
    old = tools / "python3"
    old.write_text('#!/bin/bash\n[ "$1" = --version ] && echo Python 3.8.1\nexit 1\n')
    old.chmod(0o755)
    script = tmp_path / "a folder" / "start_pipeline.sh"
    script.parent.mkdir()
    script.write_bytes((PROJECT / "start_pipeline.sh").read_bytes())
    done = subprocess.run(["bash", script], env={"PATH": str(tools)}, capture_output=True, text=True)
    assert done.returncode == 1
    assert "3.8.1" in done.stderr
    assert "apt install python3" in done.stderr
    assert [path.name for path in script.parent.iterdir()] == ["start_pipeline.sh"]


def test_sparks_commands_find_spark_and_java_in_a_folder_with_spaces(tmp_path, monkeypatch):
    package, bin_ = tmp_path / "a b" / "pyspark", tmp_path / "a b" / "bin"
    package.mkdir(parents=True)
    bin_.mkdir()
    monkeypatch.setattr(
        spark_defaults, "find_spec", lambda name: types.SimpleNamespace(submodule_search_locations=[str(package)])
    )
    monkeypatch.setattr(sys, "executable", str(bin_ / "python"))
    spark_defaults.write(tmp_path / "jars", tmp_path / "scratch", Java(tmp_path / "it's java", "17", "test"))
    script = f'source "{bin_}/find-spark-home"; printf "%s|%s" "$SPARK_HOME" "$JAVA_HOME"'
    run = lambda env: subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True).stdout  # noqa: E731
    assert run({}) == f"{package}|{tmp_path}/it's java"
    assert run({"SPARK_HOME": "/mine", "VENTES_JAVA_HOME": "/named"}) == "/mine|/named"
    assert f"{tmp_path}/jars/spark/*" in (package / "conf" / "spark-defaults.conf").read_text()
