"""The index of the ids of the clean events: which ids of a lot were seen before, whatever ids look like.

It holds a pair (key, lot) for each clean event: the newest in memory, the others in a few sorted files (id_runs.py),
which are merged as they become many. A lot costs a search in each of them, however many events there are; a key that is
found names the lots, and so the few data files, where the id itself is looked up.

It is a cache in the folder `_ids` of its table: Delta leaves such folders alone, and whatever moves, exchanges or
deletes the table does the same to it. The table decides: before each lot the index is compared with it, reads the lots
that it lacks, and is built again if it is missing, damaged, or of other content. See
docs/decisions/0009-index-of-ids.md.
"""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ventes.config import Settings
from ventes.deltalog.database import RecycledDatabase
from ventes.deltalog.log import Log
from ventes.engines import id_manifest
from ventes.engines.clean_rows import Known, rows_of_lots
from ventes.engines.id_keys import SCHEME, KeysOf, keys_of
from ventes.engines.id_manifest import Manifest
from ventes.engines.id_runs import (
    NONE,
    Numbers,
    Pairs,
    Run,
    RunFile,
    RunFiles,
    RunWriter,
    Unusable,
    in_order,
    merge,
    merged,
)
from ventes.runtime import disk
from ventes.runtime.failpoints import failpoint
from ventes.stream.arrow import instant

FOLDER = "_ids"
"""In the folder of the table."""
MOST_IN_MEMORY = 1 << 18
"""Pairs in memory from which they are written to a file: 4 MB, and 12 MB more for a moment. A job that starts reads
about so many ids again at most."""
GROWTH = 1.5
"""A merge makes a file at least so many times larger than the oldest that it takes. Up to 100 million ids there are
three files on average, five at most, and each pair is copied seven times, 0.05 µs each. With 2 it is four times, four
files and at most eight: each file more costs a look-up of 100 ids 0.15 ms, one of 50,000 some 15 ms."""
MERGED_AT_ONCE = 1 << 16
"""Pairs that are merged with each lot at least, 3 ms: a merge of 64 million takes 1,000 lots."""
MERGED_PER_PAIR = 16
"""Pairs that are merged for each new one at least: more than the times that each is copied, whatever their number."""
_REPORT_EVERY = 1 << 20
"""Rows that are read between two reports of progress."""

_log = logging.getLogger("ventes.silver")


def index_of(settings: Settings, database: RecycledDatabase, progress: Callable[[], None] = lambda: None) -> IdIndex:
    """The index of the stream's clean events."""
    stream = settings.stream
    column = stream.event.field(stream.event.id).clean_name
    return IdIndex(
        column, stream.silver_app, stream.accepted_app, database, progress=progress, most_in_memory=MOST_IN_MEMORY
    )


class IdIndex:
    """The index of one table, for the process that holds its writer lock. Not thread-safe."""

    def __init__(
        self,
        column: str,
        lot_app: str,
        accepted_app: str,
        database: RecycledDatabase,
        *,
        progress: Callable[[], None] = lambda: None,
        keys: KeysOf = keys_of,
        most_in_memory: int,
    ) -> None:
        """`column`: the table's ids. `lot_app`, `accepted_app`: the transactions with its last lot, and with the
        version at which other content was accepted. `progress` is called while many rows are read."""
        self._column = column
        self._lot_app = lot_app
        self._accepted_app = accepted_app
        self._database = database
        self._progress = progress
        self._keys = keys
        self._most = most_in_memory
        self._forget()

    def _forget(self) -> None:
        self._content: tuple[str, int] | None = None
        """Of the table that this is the index of; see _content_of."""
        self._lot = 0
        """The last lot whose ids are here, and the last one of these that has any."""
        self._last_with_ids = 0
        self._manifest: Manifest | None = None
        self._runs: list[Run] = []
        self._memory: list[Pairs] = []
        self._merging: list[_Merge] = []
        """Merges in progress, each of newer files than the one before it. The last one goes on first."""
        self._new = 0
        """Pairs since the last step of a merge."""

    # -- for each lot -------------------------------------------------------------------------

    def find(self, ids: pa.ChunkedArray, clean: Log) -> Known:
        """Those of `ids` (without NULL) that may be in the table, and where. `clean`: the table as it is now.

        First brings the index up to the table and writes what is due. Raises OSError, TableReplaced, or an error about
        a data file of the table; then nothing has changed.
        """
        keys = self._keys(self._database.con, ids)
        self.write_due(clean)
        found = self.find_keys(np.unique(keys), clean)
        if not len(found):
            return Known(pa.array([], ids.type), NONE.lots)
        return Known(pc.unique(ids.filter(pa.array(np.isin(keys, found.keys)))), np.unique(found.lots))

    def find_keys(self, keys: Numbers, clean: Log) -> Pairs:
        """The same for `keys`, ascending and each once: the pairs that have one of them, in order. Writes nothing,
        unless the index must be built."""
        try:
            self._follow(clean)
            found = self._pairs_of(keys)
        except Unusable as error:
            self.start_anew(clean, str(error))
            found = self._pairs_of(keys)
        return in_order(found)

    def files(self, clean: Log) -> RunFiles:
        """The files of the index, which is first brought up to the table. They stay until `write_due`.

        Whoever finds one damaged must have it built again: `start_anew`.
        """
        try:
            self._follow(clean)
        except Unusable as error:
            self.start_anew(clean, str(error))
        return RunFiles(clean.path / FOLDER, tuple(run.file for run in self._runs))

    def find_in_memory(self, keys: Numbers) -> list[Pairs]:
        """The pairs that have one of `keys`, as `find_keys`, and are in no file yet."""
        return [found for part in self._memory if len(found := part.find(keys))]

    def write_due(self, clean: Log) -> None:
        """Bring the index up to the table, write what is too much in memory, and go on with the merges.

        It may run beside the tasks of a lot, in a thread of its own; nothing else of the index may then be called.
        """
        try:
            self._follow(clean)
            self._write(clean)
        except Unusable as error:
            self.start_anew(clean, str(error))

    def add(self, ids: pa.ChunkedArray, lot: int) -> None:
        """Note that the clean events of `lot`, the one after those that `find` has seen, are committed."""
        self.add_keys(self._keys(self._database.con, ids), lot)

    def add_keys(self, keys: Numbers, lot: int) -> None:
        """The same by the key of each event, in any order."""
        self._remember(Pairs(keys, np.full(len(keys), lot, np.int64)))
        self._lot = lot

    def close(self) -> None:
        """Forget everything; what is in memory only will be read from the table again."""
        self._abandon()
        self._forget()

    def _pairs_of(self, wanted: Numbers) -> list[Pairs]:
        parts: list[Run | Pairs] = [*self._runs, *self._memory]
        return [found for part in parts if len(found := part.find(wanted))]

    def _remember(self, pairs: Pairs) -> None:
        if not len(pairs):
            return
        self._new += len(pairs)
        self._last_with_ids = max(self._last_with_ids, int(pairs.lots.max()))
        order = np.argsort(pairs.keys, kind="stable")
        self._memory.append(Pairs(pairs.keys[order], pairs.lots[order]))
        while len(self._memory) > 1 and len(self._memory[-2]) <= 2 * len(self._memory[-1]):
            last = self._memory.pop()
            self._memory[-1] = merged([self._memory[-1], last])

    @property
    def _in_memory(self) -> int:
        return sum(map(len, self._memory))

    # -- following the table ------------------------------------------------------------------

    def _follow(self, clean: Log) -> None:
        upto = clean.transactions.get(self._lot_app, 0)
        if self._content != self._content_of(clean) or self._lot > upto:
            self._open(clean, upto)
        elif self._lot < upto:
            self._read(clean, upto)

    def _write(self, clean: Log) -> None:
        if self._in_memory >= self._most:
            self._flush(clean)
        self._merge_some(clean.path / FOLDER, max(MERGED_AT_ONCE, MERGED_PER_PAIR * self._new))
        self._new = 0

    def start_anew(self, clean: Log, why: str) -> None:
        """Build the index again from the table."""
        _log.warning("the index of ids is built again: %s", why)
        self.close()
        (clean.path / FOLDER / id_manifest.NAME).unlink(missing_ok=True)
        self._follow(clean)
        self._write(clean)

    def _content_of(self, clean: Log) -> tuple[str, int]:
        """The id of the table, and the version at which other content of it was accepted last."""
        return clean.metadata["id"], clean.transactions.get(self._accepted_app, -1)

    def _open(self, clean: Log, upto: int) -> None:
        """Start from the files, and read the lots that they lack. Raises Unusable."""
        self.close()
        clean.require_in_place()
        folder = clean.path / FOLDER
        folder.mkdir(exist_ok=True)
        manifest = id_manifest.read(folder)
        if manifest is not None:
            self._require_fit(manifest, clean, upto)
            self._runs = [Run(folder, file) for file in manifest.files]
            self._manifest, self._lot, self._last_with_ids = manifest, manifest.lot, manifest.stamped_lot
        elif clean.rows:
            _log.info("the index of ids is built from the %d rows of %s", clean.rows, clean.path)
        self._remove_leftovers(folder)
        self._read(clean, upto)
        held = self._in_memory + sum(map(len, self._runs))
        if manifest is not None and held != clean.present_rows:
            raise Unusable(f"it holds {held} ids of a table of {clean.present_rows} rows")
        self._content = self._content_of(clean)

    def _require_fit(self, manifest: Manifest, clean: Log, upto: int) -> None:
        if manifest.scheme != SCHEME:
            raise Unusable("its keys were computed otherwise")
        if (manifest.table, manifest.accepted) != self._content_of(clean):
            raise Unusable("the table was made again, or changed by another program")
        if manifest.lot > upto or _stamp(clean, manifest.stamped_lot) != manifest.stamp:
            raise Unusable(f"the table does not hold its lot {manifest.stamped_lot}: it was set back")

    def _read(self, clean: Log, upto: int) -> None:
        """Add the ids of the table's lots after ours. If it fails, everything is forgotten."""
        folder = clean.path / FOLDER
        runs = list(self._runs)
        rows = 0
        try:
            for part in rows_of_lots(clean, self._lot, upto, [self._column]):
                self._remember(Pairs(self._keys(self._database.con, part[self._column]), part["lot"].to_numpy()))
                if self._in_memory >= self._most:
                    runs.append(self._written(folder))
                    self._memory = []
                if (rows + part.num_rows) // _REPORT_EVERY > rows // _REPORT_EVERY:
                    self._progress()
                    _log.info("index of ids: %d ids read, the table has %d rows", rows + part.num_rows, clean.rows)
                rows += part.num_rows
            self._lot = upto
            if len(runs) > len(self._runs):  # their lots are complete only now, together with those in memory
                if self._memory:
                    runs.append(self._written(folder))
                    self._memory = []
                self._publish(clean, runs)
                while self._merge_some(folder, _REPORT_EVERY):
                    self._progress()
        except BaseException:
            self._remove_leftovers(folder)
            self.close()
            raise

    # -- the files ----------------------------------------------------------------------------

    def _flush(self, clean: Log) -> None:
        clean.require_in_place()
        folder = clean.path / FOLDER
        try:
            run = self._written(folder)
            failpoint("ids.run_written")
            self._publish(clean, [*self._runs, run])
        except BaseException:
            self._remove_leftovers(folder)
            raise
        self._memory = []

    def _written(self, folder: Path) -> Run:
        """What is in memory, as a file."""
        folder.mkdir(exist_ok=True)
        writer = RunWriter(folder, _new_name())
        try:
            writer.add(merged(self._memory))
            return Run(folder, writer.finish(), trusted=True)
        except BaseException:  # frees the space at once if the disk is full
            writer.discard()
            raise

    def _publish(self, clean: Log, runs: list[Run]) -> None:
        """Make `runs` the files, which hold all ids up to our lot."""
        table, accepted = self._content_of(clean)
        stamp = _stamp(clean, self._last_with_ids)
        files = tuple(run.file for run in runs)
        self._replace(
            clean.path / FOLDER,
            Manifest(table, accepted, SCHEME, self._lot, self._last_with_ids, stamp, files),
            runs,
        )

    def _replace(self, folder: Path, manifest: Manifest, runs: list[Run]) -> None:
        manifest.write(folder)
        self._manifest, self._runs = manifest, runs

    def _merge_some(self, folder: Path, pairs: int) -> bool:
        """Merge at least `pairs` pairs, if files are due to be merged. False if there is nothing to do now.

        A disk that becomes full ends the merge, not the lot: it begins again once there is room.
        """
        try:
            self._begin_merge(folder)
            if not self._merging:
                return False
            if self._merging[-1].step(pairs):
                self._finish(folder, self._merging[-1])
        except OSError as error:
            self._abandon()
            if not disk.is_full(error):
                raise
            return False
        return True

    def _begin_merge(self, folder: Path) -> None:
        """Begin a merge of files that are newer than those of a merge in progress: small ones need not wait for it."""
        newer = self._runs[self._runs.index(self._merging[-1].runs[-1]) + 1 :] if self._merging else self._runs
        due = newer[stay(list(map(len, newer))) :]
        if due and shutil.disk_usage(folder).free >= 2 * sum(run.file.bytes for run in due):
            self._merging.append(_Merge(folder, due))

    def _finish(self, folder: Path, merging: _Merge) -> None:
        assert self._manifest is not None
        run = Run(folder, merging.finish(), trusted=True)
        failpoint("ids.merge_written")
        first = self._runs.index(merging.runs[0])
        runs = [*self._runs[:first], run, *self._runs[first + len(merging.runs) :]]
        self._replace(folder, replace(self._manifest, files=tuple(one.file for one in runs)), runs)
        self._merging.remove(merging)
        failpoint("ids.merge_published")
        self._remove_leftovers(folder)

    def _abandon(self) -> None:
        while self._merging:
            self._merging.pop().discard()

    def _remove_leftovers(self, folder: Path) -> None:
        """Delete all files but those in use: merged ones, and what a killed process left."""
        used = {id_manifest.NAME, *(file.name for file in self._manifest.files)} if self._manifest else set()
        used |= {merging.name for merging in self._merging}
        with suppress(FileNotFoundError):
            for path in folder.iterdir():
                if path.name not in used:
                    path.unlink()


class _Merge:
    """A merge that is done in steps."""

    def __init__(self, folder: Path, runs: Sequence[Run]) -> None:
        self.runs = runs
        self.name = _new_name()
        self._writer = RunWriter(folder, self.name)
        self._pieces = merge(runs)

    def step(self, pairs: int) -> bool:
        """Copy at least `pairs` pairs. True if all are copied."""
        for piece in self._pieces:
            self._writer.add(piece)
            pairs -= len(piece)
            if pairs <= 0:
                return False
        return True

    def finish(self) -> RunFile:
        return self._writer.finish()

    def discard(self) -> None:
        self._writer.discard()


def stay(sizes: Sequence[int]) -> int:
    """How many of the files stay as they are, the oldest ones; the others are due to be merged into one.

    `sizes`: pairs of each, the oldest first.
    """
    newer = sum(sizes)
    for number, size in enumerate(sizes):
        newer -= size
        if newer >= (GROWTH - 1) * size:
            return number
    return len(sizes)


def _new_name() -> str:
    return f"{uuid.uuid4()}.run"


def _stamp(clean: Log, lot: int) -> int | None:
    """When the rows of `lot` were processed, in µs; None if there are none."""
    found = [rows["date_traitement"] for rows in rows_of_lots(clean, lot - 1, lot, ["date_traitement"])]
    return max((pc.max(times.cast(instant())).value for times in found if len(times)), default=None)
