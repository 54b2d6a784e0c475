"""The jar list, what counts as right, and an installation against a Java that only copies files."""

import stat
import xml.etree.ElementTree as ET

import pytest

from ventes.errors import InstallError
from ventes.install import jars
from ventes.install.jars import Jar


def test_the_list_and_ivy_name_the_same_jars():
    for jar_set in jars.SETS:
        modules = ET.parse(jars.IVY / f"{jar_set}.xml").iter("dependency")
        named = {f"{module.get('name')}-{module.get('rev')}.jar" for module in modules}
        assert named == {jar.name for jar in jars.pinned() if jar.set == jar_set}


def test_no_repository_address_stands_in_the_project():
    for file in jars.IVY.glob("*.xml"):
        assert "://" not in file.read_text()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "abc  spark/a.jar",
        "0" * 64 + " spark/a.jar",
        "0" * 64 + "  a.jar",
        "0" * 64 + "  spark/x/a.jar",
        "Z" * 64 + "  s/a",
    ],
)
def test_a_line_that_is_no_checksum_is_named(tmp_path, line):
    lock = tmp_path / "jars.sha256"
    lock.write_text("1" * 64 + "  spark/good.jar\n" + line + "\n")
    with pytest.raises(InstallError, match="line 2"):
        jars.pinned(lock)


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """A list of three small jars, the folder for them, and a `java` that "retrieves" what lies in remote/."""
    content = {"spark/a-1.jar": b"a", "kafka/b-1.jar": b"b", "kafka/c-1.jar": b"c"}
    lock = tmp_path / "jars.sha256"
    remote = tmp_path / "remote"
    lines = []
    for path, data in content.items():
        file = remote / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        lines.append(f"{jars._sha256(file)}  {path}\n")
    lock.write_text("".join(lines))
    monkeypatch.setattr(jars, "LOCK", lock)
    monkeypatch.setattr(jars.pinned, "__defaults__", (lock,))
    java = tmp_path / "java"
    java.write_text(
        f"""#!/bin/sh
        echo run >> {tmp_path}/runs
        while [ "$1" != -ivy ]; do shift; done
        set=$(basename "$2" .xml); into=$(dirname "$4")
        mkdir -p "$into" && cp {remote}/$set/*.jar "$into" || {{ echo "download failed: timed out"; exit 1; }}
        """
    )
    java.chmod(java.stat().st_mode | stat.S_IXUSR)

    class World:
        def __init__(self):
            self.folder, self.cache, self.remote = tmp_path / "jars", tmp_path / "ivy", remote
            self.said = []

        def install(self):
            jars.install(self.folder, self.cache, java, self.said.append)

        @property
        def runs(self):
            log = tmp_path / "runs"
            return len(log.read_text().split()) if log.exists() else 0

    return World()


def test_installs_once_and_then_only_looks(listed):
    assert not jars.ready(listed.folder)
    listed.install()
    assert jars.ready(listed.folder)
    assert (listed.folder / "kafka" / "c-1.jar").read_bytes() == b"c"
    runs = listed.runs
    listed.install()
    assert listed.runs == runs


def test_an_interrupted_installation_fetches_only_what_is_missing(listed):
    listed.install()
    (listed.folder / "kafka" / "c-1.jar").unlink()
    kept = (listed.folder / "spark" / "a-1.jar").stat().st_ino
    assert not jars.ready(listed.folder)
    listed.install()
    assert jars.ready(listed.folder)
    assert (listed.folder / "spark" / "a-1.jar").stat().st_ino == kept
    assert listed.said[-1] == "jars: fetching 1 of 2 for kafka"


def test_a_changed_jar_is_noticed_and_replaced(listed):
    listed.install()
    (listed.folder / "spark" / "a-1.jar").write_bytes(b"evil")
    assert not jars.ready(listed.folder)
    assert [(jar.path, "SHA-256" in why) for jar, why in jars.damaged(listed.folder)] == [("spark/a-1.jar", True)]
    listed.install()
    assert (listed.folder / "spark" / "a-1.jar").read_bytes() == b"a"


def test_a_download_with_a_wrong_hash_is_tried_again_then_named_and_not_used(listed):
    (listed.remote / "kafka" / "b-1.jar").write_bytes(b"not b")
    with pytest.raises(InstallError, match=r"kafka/b-1\.jar was downloaded twice") as caught:
        listed.install()
    assert "start_pipeline.sh" in caught.value.hint
    assert listed.runs == 3  # spark once, kafka twice
    assert not (listed.folder / "kafka").exists()
    assert not jars.ready(listed.folder)


def test_a_failed_download_tells_the_cause_and_the_next_step(listed):
    for file in (listed.remote / "spark").iterdir():
        file.unlink()
    with pytest.raises(InstallError, match="timed out") as caught:
        listed.install()
    assert "HTTPS_PROXY" in caught.value.hint


def test_a_jar_of_an_older_release_leaves_the_class_path(listed):
    (listed.folder / "spark").mkdir(parents=True)
    (listed.folder / "spark" / "a-0.jar").write_bytes(b"old")
    listed.install()
    assert [path.name for path in (listed.folder / "spark").iterdir()] == ["a-1.jar"]


def test_damaged_counts_missing_jars(tmp_path):
    assert jars.damaged(tmp_path, [Jar("spark/a.jar", "0" * 64)]) == [(Jar("spark/a.jar", "0" * 64), "missing")]
