"""Each file of Spark's checkpoint damaged in each way, at rest: each message is in Bronze once all the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.spark import test_bronze
from tests.spark.test_bronze import held, newest_epoch, run, send
from ventes import kafka
from ventes.check.doctor import lake as doctor
from ventes.check.protocol import checkpoint_complaints
from ventes.config import Settings
from ventes.engines.spark.session import Session

broker, settings = test_bronze.broker, test_bronze.settings  # fixtures


def truncated(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def garbage(path: Path) -> None:
    path.write_bytes(b"\0garbage" * 9)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def deleted(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def without_checksum(harm: Callable[[Path], None]) -> Callable[[Path], None]:
    """The same harm, with the checksum file beside it gone: Hadoop then takes the content as it is."""

    def done(path: Path) -> None:
        harm(path)
        path.with_name(f".{path.name}.crc").unlink(missing_ok=True)

    return done


def of_a_newer_spark(path: Path) -> None:
    """Whole, and of a version of the format that this Spark refuses: only Spark finds out."""
    path.write_bytes(path.read_bytes().replace(b"v1", b"v99", 1))
    path.with_name(f".{path.name}.crc").unlink(missing_ok=True)


HARMS = (
    of_a_newer_spark,
    truncated,
    garbage,
    empty,
    deleted,
    *(without_checksum(harm) for harm in (truncated, garbage, empty, deleted)),
)


def numbered(epoch: Path, kind: str, back: int) -> Path:
    """The newest file of offsets/ or commits/, or one so many batches before."""
    return sorted((p for p in (epoch / kind).iterdir() if p.name.isdecimal()), key=lambda p: int(p.name))[-1 - back]


TARGETS: dict[str, Callable[[Path], Path]] = {
    "metadata": lambda epoch: epoch / "metadata",
    "sources": lambda epoch: epoch / "sources" / "0" / "0",
    "newest offsets": lambda epoch: numbered(epoch, "offsets", 0),
    "offsets before": lambda epoch: numbered(epoch, "offsets", 1),
    "older offsets": lambda epoch: numbered(epoch, "offsets", 2),
    "newest commit": lambda epoch: numbered(epoch, "commits", 0),
    "older commit": lambda epoch: numbered(epoch, "commits", 2),
}


@pytest.mark.long
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.timeout(600)
def test_each_file_in_each_way(settings: Settings, session: Session, target: str) -> None:
    damaged_and_run(settings, session, target, HARMS)


@pytest.mark.parametrize("target", ["newest offsets", "newest commit"])
def test_what_only_spark_finds_out(settings: Settings, session: Session, target: str) -> None:
    """A query that fails with its checkpoint is not started with it for ever."""
    damaged_and_run(settings, session, target, [of_a_newer_spark, without_checksum(truncated)])


def damaged_and_run(settings: Settings, session: Session, target: str, harms: Sequence[Callable[[Path], None]]) -> None:
    topic_id = str(kafka.topic_id(settings))
    count = 0
    for number, harm in enumerate(harms):
        send(settings, 1 + 1000 * number, 200)  # several batches
        count += 200
        run(settings, session)
        harm(TARGETS[target](newest_epoch(settings)))
        (said,) = [one for one in doctor.findings(settings, repair=False) if one.name == "checkpoint of bronze"]
        assert said.level == "ok" or "nothing is lost" in said.next_step
        send(settings, 501 + 1000 * number, 5)
        count += 5
        run(settings, session)
        assert held(settings) == {(topic_id, 0): list(range(count))}, harm
        assert checkpoint_complaints(settings) == []


@pytest.mark.parametrize("folder", ["offsets", "commits", "sources", "state", "."])
def test_each_folder_deleted(settings: Settings, session: Session, folder: str) -> None:
    topic_id = str(kafka.topic_id(settings))
    send(settings, 1, 200)
    run(settings, session)
    target = newest_epoch(settings) / folder
    if target.exists():
        deleted(target)
    send(settings, 1001, 5)
    run(settings, session)
    assert held(settings) == {(topic_id, 0): list(range(205))}
    assert checkpoint_complaints(settings) == []
