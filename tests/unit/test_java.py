"""The choice of Java, among homes that consist of a release file or a script."""

import subprocess

import pytest

from ventes.errors import InstallError
from ventes.install import java


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch):
    """Neither a Java of this machine nor the wheel."""
    monkeypatch.setattr(java, "_PLACES", ())
    monkeypatch.setattr(java, "find_spec", lambda name: None)


def home(folder, version, release=True):
    (folder / "bin").mkdir(parents=True)
    binary = folder / "bin" / "java"
    binary.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    binary.chmod(0o755)
    if release:
        (folder / "release").write_text(f'IMPLEMENTOR="X"\nJAVA_VERSION="{version}"\n')
    return folder


@pytest.mark.parametrize(
    ("text", "number"),
    [("17.0.15", 17), ("21", 21), ("1.8.0_402", 8), ("22-ea", 22), ("25.0.1+8", 25), ("", 0), ("unknown", 0)],
)
def test_major(text, number):
    assert java.major(text) == number


@pytest.mark.parametrize("release", [True, False])
def test_the_version_comes_from_the_release_file_or_from_java_itself(tmp_path, release):
    found = java.look(home(tmp_path / "jdk", "17.0.9", release), "test")
    assert found is not None
    assert (found.version, found.major, found.supported) == ("17.0.9", 17, True)


def test_a_java_that_does_not_run_is_none(tmp_path):
    folder = home(tmp_path / "jdk", "17", release=False)
    (folder / "bin" / "java").write_text("#!/bin/sh\nexit 1\n")
    assert java.look(folder, "test") is None


def test_what_was_named_for_this_pipeline_wins(tmp_path):
    env = {
        "VENTES_JAVA_HOME": str(home(tmp_path / "a", "21.0.1")),
        "JAVA_HOME": str(home(tmp_path / "b", "17.0.1")),
        "PATH": str(home(tmp_path / "c", "17.0.2") / "bin"),
    }
    assert java.find(env, tmp_path).origin == "VENTES_JAVA_HOME"
    del env["VENTES_JAVA_HOME"]
    assert java.find(env, tmp_path).origin == "JAVA_HOME"
    del env["JAVA_HOME"]
    assert java.find(env, tmp_path).origin == "PATH"


@pytest.mark.parametrize("version", ["11.0.2", None])
def test_a_named_java_that_does_not_fit_is_refused_not_passed_over(tmp_path, version):
    named = home(tmp_path / "a", version) if version else tmp_path / "nothing"
    env = {"VENTES_JAVA_HOME": str(named), "JAVA_HOME": str(home(tmp_path / "b", "17.0.1"))}
    with pytest.raises(InstallError, match="VENTES_JAVA_HOME"):
        java.find(env, tmp_path)


def test_a_supported_java_wins_over_a_newer_and_an_older_one(tmp_path, monkeypatch):
    monkeypatch.setattr(java, "_PLACES", (str(tmp_path / "jvm" / "*"),))
    home(tmp_path / "jvm" / "a", "17.0.3")
    env = {"JAVA_HOME": str(home(tmp_path / "b", "25")), "PATH": str(home(tmp_path / "c", "11") / "bin")}
    assert java.find(env, tmp_path).version == "17.0.3"


def test_a_newer_java_is_better_than_none(tmp_path):
    found = java.find({"JAVA_HOME": str(home(tmp_path / "b", "25"))}, tmp_path)
    assert (found.version, found.supported) == ("25", False)


def test_none_names_what_was_found_instead(tmp_path):
    with pytest.raises(InstallError, match=r"no Java 17 to 21; only 11\.0\.2 in") as caught:
        java.find({"JAVA_HOME": str(home(tmp_path / "b", "11.0.2"))}, tmp_path)
    assert "start_pipeline.sh" in caught.value.hint


def test_the_wrapper_drops_the_module_and_keeps_every_other_argument(tmp_path):
    inner = tmp_path / "a folder's jdk"
    (inner / "bin").mkdir(parents=True)
    (inner / "bin" / "java").write_text("#!/bin/sh\nfor a do printf '[%s]' \"$a\"; done\n")
    (inner / "bin" / "java").chmod(0o755)
    java._write_wrapper(tmp_path / "wrapper", inner)
    given = ["-Dx=a b", "--add-modules=jdk.incubator.vector", "", "it's", "-cp", "x:*"]
    done = subprocess.run(
        [tmp_path / "wrapper" / "bin" / "java", *given], capture_output=True, text=True, check=True
    ).stdout
    assert done.endswith("[-Dx=a b][][it's][-cp][x:*]")
    assert "vector" not in done


def test_environment_puts_this_java_first(tmp_path):
    found = java.look(home(tmp_path / "a", "17.0.1"), "test")
    assert found is not None
    env = found.environment()
    assert env["JAVA_HOME"] == str(tmp_path / "a")
    assert env["PATH"].startswith(str(tmp_path / "a" / "bin") + ":")
