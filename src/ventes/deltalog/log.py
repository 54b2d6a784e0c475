"""The Delta log of one table: what it says now, and the next commit.

`Log` holds the state of a table (live files, application transactions, metadata) and follows it by reading each
new `N.json` once. `commit` writes the next one so that it is whole or absent: a temporary file, fsync, then link(2),
which refuses an existing name, so two writers can never both own a version; then fsync of the directory.

Why not deltalake's own commit: measured on 2 cores, 300 commits of 10 rows, `write_deltalake` took 8 ms rising to 15 ms
(it replays the log and its time grows with the files) and does not fsync; this path takes 2–4 ms with all fsyncs and
stays there (bench/commits.py). See docs/decisions/0002-own-commit-path.md. Creation and checkpoints stay deltalake's.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from ventes.deltalog.actions import Action, DataFile
from ventes.errors import LakeDamaged
from ventes.runtime.files import sync_folder

ENGINE = "ventes"
_READER_VERSION = 1
"""Tables are created with reader version 1: plain Parquet files, no deletion vectors, no column mapping."""


class TableMissing(LakeDamaged):
    """There is no Delta table at the path (yet)."""


class VersionGone(LakeDamaged):
    """The version asked for was vacuumed, or does not exist yet."""


@dataclass
class Log:
    """The state of the table at `path` as of `version`. Open with `Log.open`, follow with `refresh`."""

    path: Path
    version: int = -1
    committed_at: int = 0
    """Unix milliseconds of the commit `version`."""
    files: dict[str, DataFile] = field(default_factory=dict)
    transactions: dict[str, int] = field(default_factory=dict)
    metadata: Action = field(default_factory=dict)
    _identity: tuple[int, int] | None = None

    # -- reading ------------------------------------------------------------------------------

    @classmethod
    def open(cls, path: Path, version: int | None = None) -> Log:
        """Read the newest state, or that of `version`.

        Raises TableMissing, VersionGone, or LakeDamaged with what is wrong.
        """
        folder = path / "_delta_log"
        if not folder.is_dir():
            raise TableMissing(f"no table at {path}", "it appears when the job that writes it has started")
        log = cls(path)
        log._load_checkpoint(folder, version)
        log.refresh(upto=version)
        if version is not None and log.version != version:
            raise VersionGone(f"version {version} of {path} is not kept or not there yet", "ask for another")
        if log.version < 0 and any(folder.glob("*.json")):
            raise LakeDamaged(f"{folder} has commits, but neither the first nor a checkpoint", "ventes doctor")
        if log.version < 0:
            raise TableMissing(f"no commit in {folder}", "it appears when the job that writes it has started")
        log._identity = log._stamp()
        return log

    def refresh(self, upto: int | None = None) -> bool:
        """Read the commits that came since. True if there were any."""
        before = self.version
        while upto is None or self.version < upto:
            try:
                text = self._commit_file(self.version + 1).read_bytes()
            except FileNotFoundError:
                break
            self._apply(self.version + 1, text)
        if self.version == before:
            return False
        self._identity = self._stamp()
        return True

    def valid(self) -> bool:
        """Whether the commit last read is still on disk; False once it was cleaned up or the table re-created."""
        return self._identity == self._stamp()

    def _stamp(self) -> tuple[int, int] | None:
        try:
            status = self._commit_file(self.version).stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns

    def newer(self) -> bool:
        """Whether a commit after `version` exists: one stat call."""
        return self._commit_file(self.version + 1).exists()

    def _commit_file(self, version: int) -> Path:
        return self.path / "_delta_log" / f"{version:020d}.json"

    def _load_checkpoint(self, folder: Path, version: int | None) -> None:
        number = _last_checkpoint(folder, version)
        if number is None:
            return
        parts = sorted(folder.glob(f"{number:020d}.checkpoint*.parquet"))
        try:
            for part in parts:
                for action in _checkpoint_actions(part):
                    self._apply_action(action)
        except (pa.ArrowException, OSError) as error:
            raise LakeDamaged(f"checkpoint {number} of {self.path} cannot be read: {error}", "ventes doctor") from None
        self.version = number
        self.committed_at = int(parts[0].stat().st_mtime * 1000)

    def _apply(self, version: int, text: bytes) -> None:
        name = self._commit_file(version)
        if not text.strip():
            raise LakeDamaged(f"{name} is empty (power loss while it was written?)", "ventes doctor --repair")
        try:
            actions = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise LakeDamaged(f"{name} is not valid JSON: {error}", "ventes doctor --repair") from None
        stamp = None
        for action in actions:
            stamp = action.get("commitInfo", {}).get("timestamp", stamp)
            self._apply_action(action)
        self.version = version
        self.committed_at = stamp if stamp is not None else int(name.stat().st_mtime * 1000)

    def _apply_action(self, action: Action) -> None:
        if body := action.get("add"):
            if body.get("deletionVector"):
                raise LakeDamaged(f"{self.path} holds deletion vectors", "rewrite it: REORG TABLE … APPLY (PURGE)")
            file = DataFile(
                path=unquote(body["path"]),
                size=body["size"],
                partition=dict(body["partitionValues"] or {}),
                modified=body["modificationTime"],
                raw_stats=body.get("stats"),
            )
            self.files[file.path] = file
        elif body := action.get("remove"):
            self.files.pop(unquote(body["path"]), None)
        elif body := action.get("txn"):
            self.transactions[body["appId"]] = body["version"]
        elif body := action.get("metaData"):
            self.metadata = body
        elif (body := action.get("protocol")) and body["minReaderVersion"] > _READER_VERSION:
            raise LakeDamaged(
                f"{self.path} needs Delta reader version {body['minReaderVersion']}, known is {_READER_VERSION}",
                "a foreign tool upgraded the table; restore it or `ventes reset`",
            )

    # -- writing ------------------------------------------------------------------------------

    def commit(self, actions: Iterable[Action], operation: str) -> int:
        """Commit `actions` as the next version; returns it. Durable when it returns.

        Another writer's commit in between (a person's VACUUM, say) is read and the commit tried on top of it, unless
        it removed a file that `actions` remove too: LakeDamaged, because the single-writer rule was broken.
        """
        actions = list(actions)
        removed = [unquote(a["remove"]["path"]) for a in actions if "remove" in a]
        info = {"timestamp": int(time.time() * 1000), "operation": operation, "engineInfo": ENGINE}
        text = "\n".join(json.dumps(a, separators=(",", ":")) for a in [{"commitInfo": info}, *actions]).encode()
        while True:
            gone = [path for path in removed if path not in self.files]
            if gone:
                raise LakeDamaged(
                    f"another writer removed {gone[0]} from {self.path}",
                    "only one job may write a table; see `ventes status`",
                )
            try:
                self._publish(self.version + 1, text)
            except FileExistsError:
                self.refresh()
                self._check_not_doubled(actions)
                continue
            self._apply(self.version + 1, text)
            self._identity = self._stamp()
            return self.version

    def _check_not_doubled(self, actions: Iterable[Action]) -> None:
        for action in actions:
            stamp = action.get("txn", {"appId": "", "version": 0})
            if self.transactions.get(stamp["appId"], -1) >= stamp["version"]:
                raise LakeDamaged(
                    f"another writer committed {stamp['appId']} {stamp['version']} to {self.path}",
                    "only one job may write a table; see `ventes status`",
                )

    def _publish(self, version: int, text: bytes) -> None:
        target = self._commit_file(version)
        temporary = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.tmp")
        try:
            with open(temporary, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(target.parent)


def _last_checkpoint(folder: Path, version: int | None) -> int | None:
    """Number of the newest checkpoint not after `version`."""
    if version is None:
        try:
            number = int(json.loads((folder / "_last_checkpoint").read_bytes())["version"])
            if any(folder.glob(f"{number:020d}.checkpoint*.parquet")):
                return number
        except (OSError, ValueError, KeyError, TypeError):
            pass  # only a hint: the listing below knows
    numbers = {int(name.name[:20]) for name in folder.glob("*.checkpoint*.parquet") if name.name[:20].isdigit()}
    return max((n for n in numbers if version is None or n <= version), default=None)


_CHECKPOINT_COLUMNS = [
    *(f"add.{name}" for name in ("path", "partitionValues", "size", "modificationTime", "stats", "deletionVector")),
    "txn",
    "metaData",
    "protocol",
]


def _checkpoint_actions(part: Path) -> Iterator[Action]:
    """The actions of a checkpoint file, without its tombstones."""
    table = pq.ParquetFile(part).read(columns=_CHECKPOINT_COLUMNS)
    for kind in table.column_names:
        column = table[kind].drop_null()
        for body in column.to_pylist():
            for name in ("partitionValues", "configuration"):
                if isinstance(body.get(name), list):
                    body[name] = dict(body[name])
            yield {kind: body}
