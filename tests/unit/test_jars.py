"""The jar list, the check of jars, and an installation from a repository that is a dict."""

import hashlib
import os

import pytest

from ventes.errors import InstallError
from ventes.install import jars
from ventes.install.jars import Jar


def test_the_list_is_whole_and_names_no_address():
    assert {jar_set: len(jars.pinned(jar_set)) for jar_set in jars.SETS} == {"kafka": 45, "spark": 6}
    assert "://" not in jars.LOCK.read_text()
    assert len({jar.path for jar in jars.pinned()}) == 51


@pytest.mark.parametrize(
    "line",
    [
        "",
        "spark  g:a:1",
        f"spark  g:a  {'0' * 64}",
        f"spark  g:a:1:jar  {'0' * 64}",
        f"flink  g:a:1  {'0' * 64}",
        f"spark  g:a:1  {'Z' * 64}",
        f"{'0' * 64}  spark/a-1.jar",
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path, line):
    lock = tmp_path / "jars.lock"
    lock.write_text(f"spark  g:good:1  {'1' * 64}\n{line}\n")
    with pytest.raises(InstallError, match="line 2"):
        jars.pinned(lock=lock)


class World:
    """Three small jars of the broker, a folder for them, and a repository that counts its requests."""

    def __init__(self, tmp_path, monkeypatch):
        self.folder = tmp_path / "jars"
        self.remote = {"g:a:1": b"a", "g:b:1": b"b", "g:c:1": b"c"}
        self.asked, self.said = [], []
        lock = tmp_path / "jars.lock"
        self.write(lock, self.remote)
        monkeypatch.setattr(jars.pinned, "__defaults__", (None, lock))

    def write(self, lock, content):
        lock.write_text(
            "".join(f"kafka  {name}  {hashlib.sha256(data).hexdigest()}\n" for name, data in content.items())
        )

    def fetch(self, coordinates, into):
        self.asked.append(coordinates)
        if coordinates not in self.remote:
            raise InstallError(f"{coordinates} could not be downloaded: timed out", "check the network (HTTPS_PROXY)")
        into.mkdir(parents=True)
        file = into / "came.jar"
        file.write_bytes(self.remote[coordinates])
        return file

    def install(self):
        jars.install(self.folder, "kafka", self.fetch, self.said.append)

    @property
    def ready(self):
        return jars.ready(self.folder, "kafka")

    def jar(self, name):
        return self.folder / "kafka" / f"{name}-1.jar"


@pytest.fixture
def world(tmp_path, monkeypatch):
    return World(tmp_path, monkeypatch)


def test_installs_once_and_then_only_looks(world):
    assert not world.ready
    world.install()
    assert world.ready
    assert world.jar("c").read_bytes() == b"c"
    world.install()
    assert sorted(world.asked) == ["g:a:1", "g:b:1", "g:c:1"]
    assert world.said == ["jars: fetching 3 of 3 for kafka"]
    assert sorted(path.name for path in world.folder.iterdir()) == ["kafka", "kafka.checked.json"]


def test_an_interrupted_installation_continues(world):
    lost = world.remote.pop("g:c:1")
    with pytest.raises(InstallError):
        world.install()
    kept = world.jar("a").stat().st_ino
    world.remote["g:c:1"] = lost
    world.asked.clear()
    world.install()
    assert world.asked == ["g:c:1"]
    assert world.jar("a").stat().st_ino == kept
    assert world.said[-1] == "jars: fetching 1 of 3 for kafka"


def test_a_changed_jar_is_noticed_although_size_and_time_are_kept_and_replaced(world):
    world.install()
    before = world.jar("a").stat()
    world.jar("a").write_bytes(b"x")
    os.utime(world.jar("a"), ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not world.ready
    assert [(jar.path, "SHA-256" in why) for jar, why in jars.damaged(world.folder, jars.pinned())] == [
        ("kafka/a-1.jar", True)
    ]
    world.install()
    assert world.jar("a").read_bytes() == b"a"


def test_jars_that_were_only_copied_are_read_once_and_then_known(world, monkeypatch):
    world.install()
    for name in "abc":
        world.jar(name).write_bytes(world.jar(name).read_bytes())  # another modification time
    assert world.ready
    monkeypatch.setattr(jars, "_sha256", lambda path: pytest.fail(f"{path} is read again"))
    assert world.ready


def test_a_download_with_a_wrong_hash_is_tried_again_then_named_and_not_used(world):
    world.remote["g:b:1"] = b"not b"
    with pytest.raises(InstallError, match=r"kafka/b-1\.jar was downloaded twice") as caught:
        world.install()
    assert "start_pipeline.sh" in caught.value.hint
    assert world.asked.count("g:b:1") == 2
    assert not world.jar("b").exists()
    assert not world.ready


def test_the_second_attempt_recovers_from_one_failure(world):
    answers = [InstallError("reset"), None]

    def flaky(coordinates, into):
        failure = answers.pop(0) if coordinates == "g:b:1" else None
        if failure:
            raise failure
        return world.fetch(coordinates, into)

    jars.install(world.folder, "kafka", flaky, world.said.append)
    assert world.ready


def test_a_failed_download_tells_the_cause_and_the_next_step(world):
    del world.remote["g:a:1"]
    with pytest.raises(InstallError, match="timed out") as caught:
        world.install()
    assert "HTTPS_PROXY" in caught.value.hint


def test_a_jar_of_an_older_release_leaves_the_class_path(world):
    (world.folder / "kafka").mkdir(parents=True)
    (world.folder / "kafka" / "a-0.jar").write_bytes(b"old")
    world.install()
    assert not (world.folder / "kafka" / "a-0.jar").exists()


def test_damaged_counts_missing_jars(tmp_path):
    jar = Jar("spark", "g:a:1", "0" * 64)
    assert jars.damaged(tmp_path, [jar]) == [(jar, "missing")]
