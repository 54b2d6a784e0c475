"""Reads a Structured Streaming checkpoint, and decides whether the Bronze query may continue from it.

The checkpoint is a cache of Bronze's position, in epochs: <lake>/checkpoints/bronze/epoch-NNNN/. A query continues the
newest epoch only if that agrees exactly with the table; otherwise a new epoch starts from the table's position, so
nothing is lost or read twice. Only `begin`, `remove_unfinished` and `retire` write.

Layout of an epoch, as Spark writes it: metadata (the query's id), sources/0/0 (first offsets), offsets/N (end of the
planned batch N, written before it runs), commits/N (written after it). epoch.json is ours.
"""

from __future__ import annotations

import json
import re
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ventes.engines.source import Resume
from ventes.errors import LakeDamaged

Offsets = Mapping[int, int]
"""partition → next offset, as in Spark: the end of a batch is exclusive."""

OURS = "epoch.json"
_NO_OFFSET = "-"
"""What Spark writes for a source that has none yet."""
_EPOCH = re.compile(r"epoch-(\d{4,})")


@dataclass(frozen=True)
class Checkpoint:
    """One epoch as it is on disk."""

    path: Path
    query_id: str = ""
    topic_id: str = ""
    """Bronze's label of the topic the epoch reads."""
    planned: int | None = None
    """The newest batch whose offsets are written; None if no batch was ever planned."""
    committed: int | None = None
    start: Offsets | None = None
    """Start offsets of the planned batch (if none is planned: of the first one)."""
    end: Offsets | None = None
    """End offsets of the planned batch."""
    damage: tuple[str, ...] = ()
    """Why Spark cannot start from it; empty if it can."""


@dataclass(frozen=True)
class Continue:
    """Start the query in this epoch."""

    path: Path
    replays: int | None
    """The batch that Spark repeats: planned but not committed in the checkpoint. Bronze may have it already."""


@dataclass(frozen=True)
class NewEpoch:
    """Start a new query at exactly these offsets."""

    path: Path
    topic_id: str
    offsets: Offsets
    why: str


# -- reading --------------------------------------------------------------------------------------------------------


def epochs(folder: Path) -> list[Path]:
    """The epochs of a job, oldest first."""
    if not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if _EPOCH.fullmatch(p.name)), key=_number)


def newest(folder: Path, topic: str) -> Checkpoint | None:
    """The newest epoch of a job, read; None if there is none."""
    found = epochs(folder)
    return read(found[-1], topic) if found else None


def read(path: Path, topic: str) -> Checkpoint:
    """Read one epoch of a query on `topic`. Never raises: problems are listed in `damage`."""
    damage: list[str] = []
    ours = _json(path / OURS, damage)
    # Spark creates `metadata` with the query; an epoch that has batches but no id is not continued.
    planned, committed = _highest(path / "offsets"), _highest(path / "commits")
    begun = planned is not None or committed is not None or (path / "metadata").exists()
    query_id = str(_json(path / "metadata", damage).get("id", "")) if begun else ""
    if begun and not query_id:
        damage.append("metadata names no query id")
    first = None
    if (path / "sources" / "0" / "0").exists():
        first = _offsets(path / "sources" / "0" / "0", topic, damage)
    elif planned is not None:
        damage.append("sources/0/0 is missing")
    start, end = first, None
    if planned is not None:
        end = _offsets(path / "offsets" / str(planned), topic, damage)
        if planned > 0:
            start = _offsets(path / "offsets" / str(planned - 1), topic, damage)
    if committed is not None:
        _version_line(path / "commits" / str(committed), damage)
        if planned is None or committed > planned:
            damage.append(f"batch {committed} is committed but was never planned")
    if planned is not None and planned - (-1 if committed is None else committed) > 1:
        damage.append(f"batch {planned} is planned, but of those before it only {committed} is committed")
    return Checkpoint(path, query_id, str(ours.get("topic_id", "")), planned, committed, start, end, tuple(damage))


def query_id(path: Path) -> str:
    """The id of the query that runs in an epoch. Raises LakeDamaged if Spark's metadata file has none."""
    damage: list[str] = []
    found = str(_json(path / "metadata", damage).get("id", ""))
    if not found:
        raise LakeDamaged(f"{path} names no query: {'; '.join(damage)}", "restart the job: it begins a new epoch")
    return found


def batch_offsets(path: Path, topic: str, batch: int) -> Offsets:
    """The planned end offsets of batch `batch`. Raises LakeDamaged if the checkpoint has none."""
    damage: list[str] = []
    found = _offsets(path / "offsets" / str(batch), topic, damage)
    if found is None:
        raise LakeDamaged(
            f"{path} was damaged while in use: {'; '.join(damage)}", "restart the job: it begins a new epoch"
        )
    return found


def _number(epoch: Path) -> int:
    found = _EPOCH.fullmatch(epoch.name)
    assert found is not None
    return int(found[1])


def _highest(folder: Path) -> int | None:
    if not folder.is_dir():
        return None
    return max((int(item.name) for item in folder.iterdir() if item.name.isdecimal()), default=None)


def _bytes(path: Path, damage: list[str]) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError as error:
        damage.append(f"{path.parent.name}/{path.name} cannot be read: {error.strerror or error}")
        return None
    if not _checksum_agrees(path, content):
        damage.append(f"{path.parent.name}/{path.name} does not match its checksum file")
        return None
    return content


def _checksum_agrees(path: Path, content: bytes) -> bool:
    """Hadoop refuses a file unlike its .name.crc: "crc\0", chunk size, CRC-32 per chunk. True without one."""
    try:
        crc = path.with_name(f".{path.name}.crc").read_bytes()
    except OSError:
        return True
    if crc[:4] != b"crc\0" or len(crc) < 8:
        return False
    size = int.from_bytes(crc[4:8], "big")
    chunks = range(0, len(content), size) if size > 0 else range(0)
    return crc[8:] == b"".join(zlib.crc32(content[i : i + size]).to_bytes(4, "big") for i in chunks)


def _json(path: Path, damage: list[str]) -> dict[str, object]:
    content = _bytes(path, damage)
    if content is None:
        return {}
    try:
        value = json.loads(content)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        damage.append(f"{path.name} is not a JSON object")
        return {}
    return value


def _version_line(path: Path, damage: list[str]) -> list[str]:
    """The lines after the version line (`v1`) of one of Spark's log files."""
    content = _bytes(path, damage)
    if content is None:
        return []
    # Spark writes a NUL byte before some version lines, so that very old versions refuse them.
    lines = content.lstrip(b"\0").decode("utf-8", errors="replace").splitlines()
    if not lines or not re.fullmatch(r"v\d+", lines[0]):
        damage.append(f"{path.parent.name}/{path.name} is truncated or not Spark's")
        return []
    for line in lines[1:]:
        try:
            line == _NO_OFFSET or json.loads(line)
        except ValueError:
            damage.append(f"{path.parent.name}/{path.name} holds a line that is not JSON")
            return []
    return lines[1:]


def _offsets(path: Path, topic: str, damage: list[str]) -> Offsets | None:
    """The last line of an offset file: {topic: {partition: next offset}}."""
    before = len(damage)
    lines = _version_line(path, damage)
    if len(damage) > before:
        return None
    try:
        offsets = json.loads(lines[-1])[topic]
        return {int(partition): int(offset) for partition, offset in offsets.items()}
    except (IndexError, ValueError, KeyError, TypeError, AttributeError):
        damage.append(f"{path.parent.name}/{path.name} holds no offsets of {topic}")
        return None


# -- deciding -------------------------------------------------------------------------------------------------------


def seen(checkpoint: Checkpoint | None) -> dict[tuple[str, int], int]:
    """Offsets that the topic has reached, for `source.resume`: the end of the planned batch."""
    if checkpoint is None or checkpoint.damage or not checkpoint.end:
        return {}
    return {(checkpoint.topic_id, partition): offset for partition, offset in checkpoint.end.items()}


def decide(folder: Path, checkpoint: Checkpoint | None, resume: Resume) -> Continue | NewEpoch:
    """Continue the newest epoch, or begin a new one.

    `resume`: where reading continues according to the table; `source.resume` has already refused a changed topic.
    """
    why = _disagreement(checkpoint, resume)
    if checkpoint is not None and not why:
        replays = checkpoint.planned if checkpoint.planned != checkpoint.committed else None
        return Continue(checkpoint.path, replays)
    number = _number(epochs(folder)[-1]) + 1 if epochs(folder) else 1
    if checkpoint is not None and checkpoint.planned is None and checkpoint.committed is None:
        number -= 1  # it never planned a batch, so nothing is lost: `begin` replaces it
    return NewEpoch(folder / f"epoch-{number:04d}", resume.topic_id, dict(resume.offsets), why)


def _disagreement(checkpoint: Checkpoint | None, resume: Resume) -> str:
    """Why the epoch cannot be continued; empty if it can."""
    if checkpoint is None:
        return "there is no checkpoint"
    if checkpoint.damage:
        return f"{checkpoint.path.name} is damaged: {'; '.join(checkpoint.damage)}"
    if checkpoint.topic_id != resume.topic_id:
        return f"{checkpoint.path.name} reads topic id {checkpoint.topic_id}, the topic is {resume.topic_id}"
    if checkpoint.planned is None:
        agrees = _agree(checkpoint.start, resume.offsets)
        return "" if agrees else f"{checkpoint.path.name} never ran, and would not start where Bronze ends"
    if _agree(checkpoint.end, resume.offsets):
        return ""  # Bronze has all planned offsets; a missing commit is a crash between sink and checkpoint
    if checkpoint.planned != checkpoint.committed and _agree(checkpoint.start, resume.offsets):
        return ""  # planned, not in Bronze: Spark repeats the batch
    return (
        f"{checkpoint.path.name} stands at {_show(checkpoint.end)}, Bronze at {_show(resume.offsets)}: "
        "another engine wrote, or one of them was restored"
    )


def _agree(checkpoint: Offsets | None, table: Offsets) -> bool:
    """Whether they are equal, except for partitions added since: a running query reads those from offset 0."""
    if checkpoint is None or not set(checkpoint) <= set(table):
        return False
    return all(table[p] == checkpoint.get(p, 0) for p in table)


def _show(offsets: Offsets | None) -> str:
    return ", ".join(f"{p}:{offset}" for p, offset in sorted((offsets or {}).items())) or "no offset"


# -- writing --------------------------------------------------------------------------------------------------------


def begin(epoch: NewEpoch) -> None:
    """Create the folder of a new epoch, with epoch.json: its topic, and the reason for it."""
    if epoch.path.exists():
        shutil.rmtree(epoch.path)
    epoch.path.mkdir(parents=True)
    note = {key: value for key, value in asdict(epoch).items() if key != "path"}
    (epoch.path / OURS).write_text(json.dumps(note) + "\n", encoding="utf-8")


def remove_unfinished(epoch: Path) -> None:
    """Remove the files that a killed JVM had not finished: Spark never does. Call it while no query uses the epoch."""
    for path in (*epoch.rglob(".*.tmp"), *epoch.rglob(".*.tmp.crc")):
        path.unlink(missing_ok=True)


def retire(folder: Path, current: Path) -> list[Path]:
    """Remove the epochs before `current`, to be called once `current` has committed a batch."""
    old = [path for path in epochs(folder) if _number(path) < _number(current)]
    for path in old:
        shutil.rmtree(path)
    return old
