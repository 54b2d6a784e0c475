"""Owners and modes of folders and logs, and logs that were removed."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ventes.config import PROJECT, Settings
from ventes.errors import UnsafePlace
from ventes.runtime import logs, private_files, redaction

ME, ANOTHER = os.geteuid(), os.geteuid() + 12345
"""No file here belongs to the second one: asked as that user, every file of this test is another user's."""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)  # like /tmp
    return Settings(paths={"lake": tmp_path / "lake", "state": tmp_path / "state", "logs": tmp_path / "shared"})


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(before[0]):
        handler.close()
    root.handlers[:], root.level = before


# -- folders ----------------------------------------------------------------------------------


def test_an_own_folder_and_a_missing_one_are_accepted(tmp_path: Path) -> None:
    assert private_files.unsafe_folder(tmp_path) == ""
    assert private_files.unsafe_folder(tmp_path / "a" / "b") == ""


def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    if ME == 0:
        folder = tmp_path / "theirs"
        folder.mkdir()
        os.chown(folder, ANOTHER, -1)
        assert private_files.unsafe_folder(folder) == f"belongs to uid {ANOTHER}, another user"
    else:
        assert "another user" in private_files.unsafe_folder(tmp_path, user=ANOTHER)


@pytest.mark.parametrize("bits", [0o777, 0o757, 0o1777])
def test_a_folder_that_every_user_may_write_is_refused(tmp_path: Path, bits: int) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(bits)
    assert "may be written by every user" in private_files.unsafe_folder(folder)
    assert f"{bits:04o}" in private_files.unsafe_folder(folder)
    if bits & stat.S_ISVTX:
        assert private_files.unsafe_folder(folder, shared=True) == ""
        assert private_files.unsafe_folder(folder / "mine") == ""
    else:
        assert "which every user may write" in private_files.unsafe_folder(folder / "mine")


def test_a_folder_that_a_group_may_write_is_refused_unless_the_group_is_the_users_own(tmp_path: Path) -> None:
    folder = tmp_path / "group"
    folder.mkdir()
    folder.chmod(0o770)
    own = private_files.private_group(folder.stat().st_gid, ME)
    assert bool(private_files.unsafe_folder(folder)) is not own
    if ME == 0:
        os.chown(folder, -1, ANOTHER)
        assert f"the group gid {ANOTHER}" in private_files.unsafe_folder(folder)


def test_a_link_of_ones_own_is_followed_and_one_of_another_user_is_not(tmp_path: Path) -> None:
    (tmp_path / "real" / "lake").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    assert private_files.unsafe_folder(link / "lake") == ""
    if ME == 0:
        os.chown(link, ANOTHER, -1, follow_symlinks=False)
        assert f"leads through {link}, which is a link made by uid {ANOTHER}" in private_files.unsafe_folder(
            link / "lake"
        )
    else:
        assert "is a link made by" in private_files.unsafe_folder(link / "lake", user=ANOTHER)


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("x")
    assert private_files.unsafe_folder(tmp_path / "lake") == "is a file, not a folder"
    assert "which is a file" in private_files.unsafe_folder(tmp_path / "lake" / "x")


def test_the_key_and_the_next_step_are_named(settings: Settings) -> None:
    settings.lake.mkdir()
    settings.lake.chmod(0o777)
    with pytest.raises(UnsafePlace, match=r"paths\.lake = .* may be written by every user") as refused:
        private_files.check(settings)
    assert refused.value.hint.startswith(f"chmod go-w {settings.lake}")


def test_tables_and_logs_that_an_older_release_left_open_are_closed(settings: Settings) -> None:
    left = [settings.silver, settings.bronze.parent, settings.checkpoints]
    for folder in left:
        folder.mkdir(parents=True)
        folder.chmod(0o777)
    wanted = settings.lake / "locks"
    wanted.mkdir()
    wanted.chmod(0o750)  # the user wants a group to read it
    log = settings.log("bronze")
    for file in (log, log.with_name(f"{log.name}.1")):
        file.write_text("x")
        file.chmod(0o644)
        left.append(file)
    settings.lake.chmod(0o755)
    private_files.check(settings)
    assert {mode(path) & 0o077 for path in left} == {0}
    assert (mode(wanted), mode(settings.lake)) == (0o750, 0o755)


# -- logs -------------------------------------------------------------------------------------


def plant_link(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))


def plant_pipe(path: Path) -> None:
    os.mkfifo(path)


def plant_second_name(path: Path) -> None:
    other = path.with_name("precious")
    other.write_text("precious")
    os.link(other, path)


def plant_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("plant", [plant_link, plant_pipe, plant_second_name, plant_folder])
def test_an_existing_log_in_a_shared_folder_is_refused(settings: Settings, plant) -> None:
    log = settings.log("producer")
    plant(log)
    with pytest.raises(UnsafePlace, match=f"the log {log}"):
        logs.setup("producer", settings)
    with pytest.raises(UnsafePlace, match=f"the log {log}"):
        private_files.open_log(log)
    assert not log.with_name("elsewhere").exists()


@pytest.mark.skipif(ME != 0, reason="only root can give a file away")
def test_a_log_of_another_user_is_refused(settings: Settings) -> None:
    log = settings.log("producer")
    log.write_text("x")
    os.chown(log, ANOTHER, -1)
    with pytest.raises(UnsafePlace, match=f"belongs to uid {ANOTHER}, another user"):
        logs.setup("producer", settings)


def test_a_link_in_a_folder_of_ones_own_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "producer.log").symlink_to(tmp_path / "disk" / "producer.log")
    os.close(private_files.open_log(tmp_path / "logs" / "producer.log"))
    assert (tmp_path / "disk" / "producer.log").is_file()


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_files_are_private_whatever_the_umask(settings: Settings, umask: int) -> None:
    before = os.umask(umask)
    try:
        logs.setup("bronze", settings).warning("hello")
    finally:
        os.umask(before)
    assert mode(settings.log("bronze")) == 0o600


def test_a_log_whose_folder_was_removed_continues_in_a_new_one(tmp_path: Path) -> None:
    settings = Settings(paths={"lake": tmp_path / "lake", "state": tmp_path / "state", "logs": tmp_path / "logs"})
    log = logs.setup("bronze", settings)
    file = settings.log("bronze")
    log.warning("one")
    file.unlink()
    file.parent.rmdir()
    log.warning("two")
    assert file.read_text().endswith("two\n")
    assert "one" not in file.read_text()
    file.rename(file.with_suffix(".kept"))  # moved, as logrotate does
    log.warning("three")
    assert file.read_text().count("\n") == 1
    assert (mode(file), mode(file.parent)) == (0o600, 0o700)


def test_a_log_is_rotated_and_stays_private(settings: Settings) -> None:
    handler = logs.LogFile(settings.log("bronze"), 200, 2)
    for number in range(30):
        handler.emit(logging.LogRecord("x", logging.INFO, "", 0, f"line {number} é \udce9", None, None))
    handler.close()
    found = sorted(settings.log("bronze").parent.glob("spark_delta.log*"))
    assert len(found) == 3
    assert {mode(file) for file in found} == {0o600}
    assert "line 29 é \\udce9" in found[0].read_text(encoding="utf-8")


def test_known_secrets_are_blanked_in_logs(tmp_path: Path) -> None:
    settings = Settings(
        paths={"lake": tmp_path / "lake", "state": tmp_path / "state", "logs": tmp_path / "logs"},
        kafka={"managed": False, "security": {"sasl.username": "anna", "sasl.password": "correct horse"}},
    )
    try:
        logs.setup("bronze", settings).error("a library says: correct horse, anna")
    finally:
        redaction._secrets.clear()
    said = settings.log("bronze").read_text()
    assert f"a library says: {redaction.BLANK}, anna" in said


# -- programs ---------------------------------------------------------------------------------


def test_export_writes_with_the_users_umask_and_the_rest_is_private(tmp_path: Path) -> None:
    code = """
import os, sys
os.umask(0o027)
from ventes.cli import reading, run
import typer
app = typer.Typer()
@app.command()
def write():
    from pathlib import Path
    with reading._target(Path("named"), "csv") as out: out.write(b"x")
    Path("ours").write_text("x"); Path("folder").mkdir()
sys.exit(run(app, []))
"""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "src")}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, timeout=60)
    found = {name: mode(tmp_path / name) for name in ("named", "ours", "folder")}
    assert found == {"named": 0o640, "ours": 0o600, "folder": 0o700}
