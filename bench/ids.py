"""The index of ids at 100,000 to 100 million sales: look-ups, insertion, and whole lots of the embedded engine.

    python bench/ids.py [--keys 1e5 1e6 1e7 1e8] [--ids random|rising|both] [--folder FOLDER]

The engine's own index is filled in lots of 50,000 ids, which are not searched. Its table gets the commits of these
lots, but no data: files of 1.5 million rows that the log names and that do not exist, so that a lot that would read the
past fails. At each number of keys look-ups of new ids are measured (medians), then lots of 100 sales from Bronze to the
commit, without roll-ups.
Needs 40 bytes of disk per key.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402

from harness.ingested import TOPIC, messages, sale  # noqa: E402
from harness.shipped import BRONZE, CLEAN, REJETS, SILVER_APP  # noqa: E402
from ventes import config  # noqa: E402
from ventes.deltalog import commit  # noqa: E402
from ventes.deltalog.actions import DataFile  # noqa: E402
from ventes.engines import id_index  # noqa: E402
from ventes.engines.embedded.silver import EmbeddedSilver  # noqa: E402
from ventes.engines.id_index import IdIndex  # noqa: E402
from ventes.engines.lot_range import LotRange  # noqa: E402
from ventes.judging.judge_batch import judge_batch  # noqa: E402
from ventes.lake.open_tables import OpenTables  # noqa: E402

Draw = Callable[[int], np.ndarray]
LOT = 50_000
FILE_ROWS = 1_500_000
SMALL = 100


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def drawn(kind: str) -> Draw:
    """New ids of a lot: random 53 bits, or rising."""
    rng = np.random.default_rng(1)
    last = 0

    def draw(count: int) -> np.ndarray:
        nonlocal last
        last += count
        return rng.integers(1, 2**53, count) if kind == "random" else np.arange(last - count, last) + 1

    return draw


class Filled:
    """A lake whose index of ids grows."""

    def __init__(self, folder: Path, draw: Draw) -> None:
        self._settings = config.load(paths={"lake": folder / "lake", "state": folder, "logs": folder})
        self._tables = OpenTables(self._settings)
        self._bronze, self._clean, _ = (self._tables.ensure(table) for table in (BRONZE, CLEAN, REJETS))
        self._engine = EmbeddedSilver(self._settings, self._tables)
        self._draw = draw
        self._lot = 0
        self._offset = 0
        self._unnamed = 0
        self.keys = 0

    @property
    def _index(self) -> IdIndex:
        return self._engine.known_ids

    @property
    def folder(self) -> Path:
        return self._clean.path / id_index.FOLDER

    def grow(self, keys: int) -> tuple[float, float, float]:
        """Add lots until there are `keys`. CPU µs per id for the files, and in memory; CPU ms of the longest lot."""
        began = self.keys
        files = memory = longest = 0.0
        while self.keys < keys:
            ids = pa.chunked_array([pa.array(self._draw(min(LOT, keys - self.keys)))])
            before = cpu()
            self._index.find(ids.slice(0, 0), self._tables.log(CLEAN))  # writes and merges what is due
            written = cpu()
            self._index.add(ids, self._lot + 1)
            added = cpu()
            self._commit(len(ids))
            files, memory = files + written - before, memory + added - written
            longest = max(longest, (added - before) * 1000)
        count = max(1, self.keys - began)
        return files / count * 1e6, memory / count * 1e6, longest

    def _commit(self, rows: int) -> None:
        self._lot += 1
        self.keys += rows
        self._unnamed += rows
        files = []
        if self._unnamed >= FILE_ROWS:
            files, self._unnamed = [_phantom(self._lot, self._unnamed)], 0
        paths = [self._clean.path / file.path for file in files]
        for path in paths:  # a commit whose files are not there is refused
            path.parent.mkdir(exist_ok=True)
            path.touch()
        commit.append_files(self._clean, files, {SILVER_APP: self._lot})
        for path in paths:
            path.unlink()

    def look_up(self, count: int, times: int) -> tuple[float, float]:
        """Median ms and CPU ms of looking up `count` new ids."""
        wall, used = [], []
        log = self._tables.log(CLEAN)
        for ids in [pa.chunked_array([pa.array(self._draw(count))]) for _ in range(times)]:
            before, began = cpu(), time.perf_counter()
            self._index.find(ids, log)
            wall.append((time.perf_counter() - began) * 1000)
            used.append((cpu() - before) * 1000)
        return statistics.median(wall), statistics.median(used)

    def take(self, times: int) -> float:
        """Median CPU ms of a whole lot of SMALL new sales, Bronze to commit."""
        return statistics.median(list(self._takes(times)))

    def _takes(self, times: int) -> Iterator[float]:
        for _ in range(times):
            values = [sale(int(number)) for number in self._draw(SMALL)]
            now = datetime.now(timezone.utc)
            self._engine.database.begin()
            judged = judge_batch(self._engine.database.con, messages(values, self._offset, 0), self._settings, now)
            commit.append(self._bronze, BRONZE, judged, "bench", self._offset)
            after, self._offset = self._offset - 1, self._offset + SMALL
            lot_range = LotRange({(TOPIC, 0): after}, {(TOPIC, 0): self._offset - 1})
            self._lot += 1
            before = cpu()
            taken = self._engine.take(lot_range, self._lot)
            yield (cpu() - before) * 1000
            assert taken.clean == SMALL
            self.keys += SMALL

    def close(self) -> None:
        self._engine.close()


def _phantom(lot: int, rows: int) -> DataFile:
    """A file that the log names, and that nothing may read."""
    bounds = {"lot": 0, "vente_id": 1, "topic_id": TOPIC, "partition": 0, "offset": 0}
    stats = {"numRecords": rows, "minValues": bounds, "maxValues": bounds | {"vente_id": 2**53}}
    return DataFile(f"jour=2026-01-05/phantom-{lot}.parquet", 128 << 20, {"jour": "2026-01-05"}, 0, json.dumps(stats))


def measure(kind: str, sizes: list[int], folder: Path) -> None:
    filled = Filled(folder, drawn(kind))
    try:
        for size in sizes:
            in_files, in_memory, longest = filled.grow(size)
            filled.look_up(SMALL, 300)  # each block of a file is compared with its checksum when first used
            small, large = filled.look_up(SMALL, 200), filled.look_up(LOT, 5)
            lot = filled.take(30)
            files = list(filled.folder.glob("*.run"))
            megabytes = sum(file.stat().st_size for file in files) / 1e6
            print(
                f"{kind:7}{size:>13,}{len(files):>6}{megabytes:>8.0f}{small[0]:>9.2f}{small[1]:>8.2f}{large[0]:>9.1f}"
                f"{large[1]:>8.1f}{lot:>9.1f}{in_files:>9.3f}{in_memory:>8.3f}{longest:>9.0f}{resident_mb():>8.0f}",
                flush=True,
            )
    finally:
        filled.close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--keys", type=float, nargs="+", default=[1e5, 1e6, 1e7, 1e8])
    options.add_argument("--ids", choices=("random", "rising", "both"), default="both")
    options.add_argument("--folder", type=Path, help="where the lakes are made; default: a temporary folder")
    asked = options.parse_args()
    print(
        f"{'':37}look up 100   look up 50,000  lot of 100   fill, CPU µs an id  longest  memory\n"
        f"{'ids':7}{'keys':>13}{'files':>6}{'MB':>8}{'ms':>9}{'CPU ms':>8}{'ms':>9}{'CPU ms':>8}{'CPU ms':>9}"
        f"{'files':>9}{'memory':>8}{'CPU ms':>9}{'MB':>8}"
    )
    for kind in ("random", "rising") if asked.ids == "both" else (asked.ids,):
        folder = Path(tempfile.mkdtemp(prefix="ventes-bench-", dir=asked.folder))
        try:
            measure(kind, sorted(int(size) for size in asked.keys), folder)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
