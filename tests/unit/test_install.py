"""The installer's stamps and errors, with a pip that only prints. Other tests run the real one."""

import re
import subprocess
import sys
import types

import pytest

from ventes.cli import lifecycle
from ventes.config import PROJECT
from ventes.errors import InstallError
from ventes.install import environment, spark, steps
from ventes.install.environment import Environment
from ventes.install.java import Java
from ventes.install.steps import Stamps
from ventes.supervise import shutdown


def test_a_stamp_counts_only_for_what_it_was_set_for(tmp_path):
    stamps = Stamps(tmp_path / "installed.json")
    assert not stamps.has("packages", "hash 1")
    stamps.set("packages", "hash 1")
    stamps.set("spark", "hash 2")
    again = Stamps(tmp_path / "installed.json")
    assert again.has("packages", "hash 1")
    assert not again.has("packages", "hash 2")
    again.forget("packages")
    left = Stamps(tmp_path / "installed.json")
    assert (left.ever_done("packages"), left.ever_done("spark")) == (False, True)
    left.forget()
    assert not Stamps(tmp_path / "installed.json").ever_done("spark")


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", "\x00"])
def test_a_damaged_stamp_file_counts_as_not_installed(tmp_path, content):
    (tmp_path / "installed.json").write_text(content)
    assert not Stamps(tmp_path / "installed.json").has("packages", "x")


@pytest.fixture
def lock(tmp_path):
    path = tmp_path / "base.txt"
    path.write_text("a==1\n")
    return path


def with_pip(tmp_path, script):
    """An environment whose pip is a shell script."""
    return Environment(tmp_path, tmp_path, lambda _: None, pip=["sh", "-c", script, "pip"])


def test_a_lock_is_installed_once_for_each_content(tmp_path, lock):
    made = with_pip(tmp_path, f"echo run >> {tmp_path}/runs")
    stamps = Stamps(tmp_path / "installed.json")

    def runs():
        steps.install_lock(made, stamps, "packages", lock, space_mb=0)
        return (tmp_path / "runs").read_text().count("run")

    assert [runs(), runs()] == [1, 1]
    lock.write_text("a==2\n")
    assert runs() == 2


@pytest.mark.parametrize(
    ("said", "cause", "step"),
    [
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "disk", "make room"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "not the one", "proxy"),
        ("ERROR: No matching distribution found for duckdb==9", "duckdb==9", "3.10 to 3.13"),
        ("ERROR: Connection reset", "Connection reset", "network"),
    ],
)
def test_an_error_of_pip_becomes_a_cause_and_a_next_step(tmp_path, lock, said, cause, step):
    stamps = Stamps(tmp_path / "installed.json")
    with pytest.raises(InstallError) as caught:
        steps.install_lock(with_pip(tmp_path, f"echo '{said}'; exit 1"), stamps, "packages", lock, space_mb=0)
    assert cause in caught.value.message
    assert step in caught.value.hint
    assert not stamps.ever_done("packages")


def test_a_full_disk_is_named_before_anything_is_fetched(tmp_path, lock):
    made = with_pip(tmp_path, "exit 1")
    enough = 10**9
    with pytest.raises(InstallError, match=f"the installation needs {enough} MB"):
        made.install_lock("packages", lock, space_mb=enough)


def test_the_command_runs_from_a_folder_with_a_blank_and_a_letter_that_is_not_ascii(tmp_path):
    root = tmp_path / "it's my clone é"
    (root / "src" / "ventes").mkdir(parents=True)
    (root / "src" / "ventes" / "cli.py").write_text("import sys\ndef main():\n    print(sys.argv[1:])\n    return 3\n")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root / ".venv")], check=True)
    Environment(root, tmp_path, print).install_project()
    command = [str(root / ".venv" / "bin" / "ventes"), "start", "a b"]
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    done = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "['start', 'a b']\n"), done.stderr


def test_missing_venv_support_names_the_package():
    said = "The virtual environment was not created successfully because ensurepip is not available."
    assert f"python{sys.version_info[0]}.{sys.version_info[1]}-venv" in environment.venv_error(said).hint


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


def test_the_locks_name_no_index_and_agree_with_each_other():
    pins: dict[str, str] = {}
    for lock in sorted((PROJECT / "requirements").glob("*.txt")):
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text
        assert not [line for line in text.splitlines() if line.startswith("-")]
        if lock.name == "peer.txt":
            continue  # an environment of its own
        for line in (line for line in text.splitlines() if "==" in line and not line.startswith(" ")):
            pin, _, marker = line.rstrip("\\ ").partition(" ; ")
            name, version = pin.split("==")
            # a package may have another version on an older Python, the same one in every lock
            assert pins.setdefault(f"{name} {marker}", version) == version, f"{name} in {lock.name}"


def test_the_embedded_engine_brings_no_spark():
    base = (PROJECT / "requirements" / "base.txt").read_text(encoding="utf-8")
    assert "spark" not in base
    assert "py4j" not in base


def test_the_installation_needs_nothing_of_the_pipeline():
    """Broker and engines import it, so it must import none of them."""
    for file in (PROJECT / "src" / "ventes" / "install").glob("*.py"):
        for line in file.read_text(encoding="utf-8").splitlines():
            match = re.match(r"\s*(?:from|import) ventes\.(\w+)", line)
            if match and "main" not in line:  # that one is written into bin/ventes
                assert match[1] in {"errors", "config", "runtime", "install"}, f"{file.name}: {line}"


def test_an_environment_that_is_a_link_is_not_emptied(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "kept").touch()
    (tmp_path / ".venv").symlink_to(shared)
    with pytest.raises(InstallError, match=r"\.venv is a link to .*shared, which would be emptied") as caught:
        with_pip(tmp_path, "").create()
    assert caught.value.hint == f"rm {tmp_path / '.venv'}"
    assert (shared / "kept").exists()


# -- Spark -------------------------------------------------------------------------------------


@pytest.fixture
def no_spark(monkeypatch):
    monkeypatch.setattr(spark, "find_spec", lambda name: None)


@pytest.mark.usefixtures("no_spark")
def test_what_of_spark_is_missing_is_named_with_the_command_that_adds_it(tmp_path):
    with pytest.raises(InstallError, match=r"Spark is not installed here .*pyspark and delta") as caught:
        spark.require(tmp_path)
    assert "`bash start_pipeline.sh --engine spark` adds it" in caught.value.hint


@pytest.mark.usefixtures("no_spark")
def test_a_restart_on_spark_is_refused_before_anything_is_stopped(tmp_path, monkeypatch):
    toml = tmp_path / "ventes.toml"
    toml.write_text('engine = "embedded"\n[paths]\nstate = "state"\n')
    monkeypatch.setenv("VENTES_CONFIG", str(toml))
    monkeypatch.setattr(shutdown, "stop", lambda *_: pytest.fail("something was stopped"))
    with pytest.raises(InstallError, match="Spark is not installed here"):
        lifecycle.restart(engine="spark")


def test_packages_without_their_jars_are_no_spark(tmp_path):
    assert spark.missing(tmp_path) == f"its pinned jars in {tmp_path / 'spark'}"


def test_sparks_commands_find_spark_and_java_in_a_folder_with_spaces(tmp_path, monkeypatch):
    package, bin_ = tmp_path / "a b" / "pyspark", tmp_path / "a b" / "bin"
    package.mkdir(parents=True)
    bin_.mkdir()
    spec = types.SimpleNamespace(submodule_search_locations=[str(package)])
    monkeypatch.setattr(spark, "find_spec", lambda name: spec)
    monkeypatch.setattr(sys, "executable", str(bin_ / "python"))
    spark.write_defaults(tmp_path / "jars", tmp_path / "scratch", Java(tmp_path / "it's java", "17", "test"))
    script = f'source "{bin_}/find-spark-home"; printf "%s|%s" "$SPARK_HOME" "$JAVA_HOME"'
    run = lambda env: subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True).stdout  # noqa: E731
    assert run({}) == f"{package}|{tmp_path}/it's java"
    assert run({"SPARK_HOME": "/mine", "VENTES_JAVA_HOME": "/named"}) == "/mine|/named"
    assert f"{tmp_path}/jars/spark/*" in (package / "conf" / "spark-defaults.conf").read_text()
