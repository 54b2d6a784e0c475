"""Jars come from Maven Central or from the mirror that Maven's settings name: a small web server here."""

from __future__ import annotations

import gc
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.pipeline import free_ports
from ventes.errors import InstallError
from ventes.install import maven
from ventes.install.maven import Repository, mirror

# jgo leaves the connection of a response that is no jar to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in.*socket:pytest.PytestUnraisableExceptionWarning")

SETTINGS = """<?xml version="1.0"?>
<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0"><mirrors>{}</mirrors></settings>"""
MIRROR = "<mirror><id>m</id><mirrorOf>{}</mirrorOf><url>{}</url></mirror>"


def settings(tmp_path: Path, *mirrors: tuple[str, str]) -> Path:
    file = tmp_path / "settings.xml"
    file.write_text(SETTINGS.format("".join(MIRROR.format(*one) for one in mirrors)))
    return file


@pytest.mark.parametrize("of", ["central", "*", "external:*", "other, central", "*,!other"])
def test_a_mirror_of_central_is_used(tmp_path, of):
    assert mirror([settings(tmp_path, (of, "http://mirror.test/maven/"))]) == "http://mirror.test/maven"


@pytest.mark.parametrize("of", ["other", "*,!central", "external:http:*", ""])
def test_a_mirror_of_something_else_is_not(tmp_path, of):
    assert mirror([settings(tmp_path, (of, "http://mirror.test/maven"))]) is None


def test_a_mirror_of_central_by_name_wins_as_in_maven(tmp_path):
    file = settings(tmp_path, ("*", "http://all.test"), ("central", "http://named.test"))
    assert mirror([file]) == "http://named.test"


def test_the_users_maven_settings_have_precedence_and_are_optional(tmp_path):
    own = settings(tmp_path, ("central", "http://own.test"))
    assert mirror([tmp_path / "none.xml", own, Path("/nonexistent")]) == "http://own.test"
    assert mirror([tmp_path / "none.xml"]) is None


def test_settings_without_a_namespace_are_read_and_broken_ones_named(tmp_path):
    file = tmp_path / "settings.xml"
    file.write_text("<settings><mirrors>" + MIRROR.format("*", "http://plain.test") + "</mirrors></settings>")
    assert mirror([file]) == "http://plain.test"
    file.write_text("<settings>")
    with pytest.raises(InstallError, match=r"settings\.xml"):
        mirror([file])


class Mirror:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

            def do_GET(self) -> None:
                outer.asked.append(self.path)
                super().do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def put(self, path: str, content: bytes) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True)
        file.write_bytes(content)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    one = Mirror(tmp_path / "remote")
    (home / ".m2").mkdir(parents=True)
    settings(home / ".m2", ("central", one.address))
    thread = threading.Thread(target=one.server.serve_forever, args=(0.02,))
    thread.start()
    yield one
    one.server.shutdown()
    one.server.server_close()
    thread.join()
    gc.collect()


def test_a_jar_comes_from_the_mirror_that_the_settings_name_and_leaves_no_trace_in_m2(served, tmp_path):
    served.put("org/x/thing_2.13/1.0/thing_2.13-1.0.jar", b"bytes")
    repository = Repository(mirror(maven.settings_files()))
    came = repository.fetch("org.x:thing_2.13:1.0", tmp_path / "into")
    assert came.read_bytes() == b"bytes"
    assert came.is_relative_to(tmp_path / "into")
    assert served.asked[0] == "/org/x/thing_2.13/1.0/thing_2.13-1.0.jar"
    assert [path.name for path in (tmp_path / "home" / ".m2").iterdir()] == ["settings.xml"]


def test_a_jar_in_m2_is_not_used(served, tmp_path):
    poisoned = tmp_path / "home" / ".m2" / "repository" / "org" / "x" / "a" / "1"
    poisoned.mkdir(parents=True)
    (poisoned / "a-1.jar").write_bytes(b"poison")
    served.put("org/x/a/1/a-1.jar", b"bytes")
    assert Repository(served.address).fetch("org.x:a:1", tmp_path / "into").read_bytes() == b"bytes"


def test_a_jar_that_the_repository_does_not_have_is_named(served, tmp_path):
    with pytest.raises(InstallError, match=r"org\.x:a:1 could not be downloaded") as caught:
        Repository(served.address).fetch("org.x:a:1", tmp_path / "into")
    assert "settings.xml" in caught.value.hint


def test_no_network_is_reported_with_the_next_step_and_without_a_password(served, tmp_path):
    (port,) = free_ports(1)
    with pytest.raises(InstallError, match="refused") as caught:
        Repository(f"http://me:secret@127.0.0.1:{port}").fetch("org.x:a:1", tmp_path / "into")
    assert "HTTPS_PROXY" in caught.value.hint
    assert "secret" not in str(caught.value)


def test_a_proxy_is_asked_and_an_unusable_one_named_without_its_password(served, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("http_proxy", served.address)
    served.put("org/x/a/1/a-1.jar", b"by proxy")
    with pytest.raises(InstallError):  # this one serves files, so it has no http://mirror.test/…
        Repository("http://mirror.test/maven2").fetch("org.x:a:1", tmp_path / "into")
    assert served.asked == ["http://mirror.test/maven2/org/x/a/1/a-1.jar"]
    monkeypatch.setenv("http_proxy", "http://me:secret@proxy.test:notaport")
    with pytest.raises(InstallError) as caught:
        Repository("http://mirror.test/maven2").fetch("org.x:a:1", tmp_path / "into")
    assert "secret" not in str(caught.value)


def test_a_full_disk_is_named(served, tmp_path, monkeypatch):
    served.put("org/x/a/1/a-1.jar", b"bytes")
    into = tmp_path / "into"
    (into / "org/x/a/1").mkdir(parents=True)
    (into / "org/x/a/1/a-1.jar").symlink_to("/dev/full")
    monkeypatch.setattr(Path, "exists", lambda self: False)  # the name is free, but the disk is full
    with pytest.raises(InstallError, match=r"the disk of .* is full"):
        Repository(served.address).fetch("org.x:a:1", into)
