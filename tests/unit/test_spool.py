"""The spool keeps what Kafka has not acknowledged, through crashes, for the next run and for no other."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from ventes.config import PROJECT, Settings
from ventes.producer.message import Message
from ventes.producer.spool import Spool, folder

SALES = [Message(b"1", '{"client_nom":"Zoé\\t"}'.encode()), Message(b"22", b"\xff\x00 \t binary"), Message(b"3", b"")]


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file() and path.name != "lock")


def crash(spool: Spool) -> None:
    """The effect of kill -9: the lock is released, the files stay."""
    os.close(spool._lock)


def test_a_batch_is_kept_until_released(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    number = spool.keep(SALES)
    assert spool.read(number) == SALES
    spool.release(number)
    assert files(tmp_path) == []
    spool.close()
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["lock"]


def test_the_next_run_takes_over_the_spool_of_an_ended_run(tmp_path: Path) -> None:
    dead = Spool(tmp_path)
    kept = [dead.keep([Message(b"1", b"%d" % number)]) for number in range(12)]
    dead.release(kept[3])
    crash(dead)
    spool = Spool(tmp_path)
    left = [message.value for number in spool.adopt() for message in spool.read(number)]
    assert left == [b"%d" % number for number in range(12) if number != 3]
    assert spool.adopt() == []
    new = spool.keep(SALES)
    assert spool.read(new) == SALES
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1
    spool.close()


def test_a_live_run_keeps_its_own(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from ventes.producer.spool import Spool\n"
        "from ventes.producer.message import Message\n"
        "spool = Spool(Path(sys.argv[1])); spool.keep([Message(b'1', b'{}')]); print('kept', flush=True); input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(PROJECT / "src")},
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "kept\n"
    spool = Spool(tmp_path)
    assert spool.adopt() == []
    other.kill()
    other.communicate()
    assert [spool.read(number) for number in spool.adopt()] == [[Message(b"1", b"{}")]]
    spool.close()


def test_an_ordered_end_leaves_the_unacknowledged_to_the_next_run(tmp_path: Path) -> None:
    first = Spool(tmp_path)
    first.keep(SALES)
    first.close()
    second = Spool(tmp_path)
    assert [second.read(number) for number in second.adopt()] == [SALES]
    second.close()


def test_a_line_cut_off_while_written_was_never_sent(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    number = spool.keep(SALES[:2])
    [path] = files(tmp_path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert spool.read(number) in ([], SALES[:1])
    spool.close()


def test_a_write_that_fails_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    large = [Message(b"1", b"x" * 1_000)] * 100
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            spool.keep(large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(tmp_path) == []
    assert spool.read(spool.keep(large)) == large
    spool.close()


def test_nobody_else_reads_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.keep(SALES)
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "spool").rglob("*")} == {0}
    spool.close()


def test_sales_for_one_broker_or_topic_never_go_to_another(tmp_path: Path) -> None:
    places = {
        folder(Settings(paths={"state": tmp_path}, kafka=kafka))
        for kafka in ({}, {"port": 9192}, {"host": "kafka.example"}, {"topic": "autre"})
    }
    assert len(places) == 4
