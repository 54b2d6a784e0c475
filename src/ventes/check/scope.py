"""Which messages `verify` judges again, and in which parts: each part fits in memory, however large the lake is."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial

import duckdb
import pyarrow as pa

from ventes.deltalog.snapshot import Snapshot
from ventes.engines.bronze_row_groups import BronzeRowGroups
from ventes.engines.lot_range import LotRange, next_lot_range
from ventes.errors import UsageError

PART_ROWS, PART_BYTES = 250_000, 96_000_000
"""Of the messages of a part, before compression: 250,000 sales have 77 MB. A larger message is a part of its own."""
BLOCK = 10_000
"""Neighbouring offsets that a sample takes together: a file's row group has 16,384 rows and is read as a whole."""
WHOLE = 1 << 62
"""The block that holds every offset."""


@dataclass(frozen=True)
class Part:
    """The offsets `first` … `last` of a partition."""

    topic_id: str
    partition: int
    first: int
    last: int

    @property
    def rows(self) -> LotRange:
        key = (self.topic_id, self.partition)
        return LotRange({key: self.first - 1}, {key: self.last})

    def condition(self) -> str:
        """The rows as a condition on the columns of a position, in DuckDB's dialect."""
        topic = self.topic_id.replace("'", "''")
        offsets = f'"offset" BETWEEN {self.first} AND {self.last}'
        return f"topic_id = '{topic}' AND \"partition\" = {self.partition} AND {offsets}"


@dataclass(frozen=True)
class Scope:
    """The messages that are judged again. The others are taken as the tables have them."""

    asked: tuple[Part, ...]
    """Different offsets, each within one block."""
    block: int = WHOLE
    is_whole: bool = True
    words: str = ""
    """What is looked at, for a person."""

    def register(self, con: duckdb.DuckDBPyConnection) -> None:
        """Make the relation `asked`, which `inside` and `outside` need."""
        rows = [(part.topic_id, part.partition, part.first, part.last, part.first // self.block) for part in self.asked]
        columns = list(zip(*rows, strict=True)) if rows else [()] * 5
        kinds = {"topic_id": pa.string(), "partition": pa.int32(), "first": pa.int64(), "last": pa.int64()}
        kinds["block"] = pa.int64()
        con.register(
            "_asked", pa.table([pa.array(c, k) for c, k in zip(columns, kinds.values(), strict=True)], list(kinds))
        )
        con.execute("CREATE OR REPLACE TEMP TABLE asked AS SELECT * FROM _asked")

    def inside(self, relation: str) -> str:
        """The rows of a relation that are looked at."""
        return relation if self.is_whole else f"(SELECT r.* FROM {relation} r SEMI JOIN asked a ON {self._same})"

    def outside(self, relation: str) -> str:
        """The others."""
        if self.is_whole:
            return f"(SELECT * FROM {relation} WHERE false)"
        return f"(SELECT r.* FROM {relation} r ANTI JOIN asked a ON {self._same})"

    @property
    def _same(self) -> str:
        return (
            'r.topic_id = a.topic_id AND r."partition" = a."partition" '
            f'AND r."offset" // {self.block} = a.block AND r."offset" BETWEEN a."first" AND a."last"'
        )


def sample_of(held: Iterable[Part], percent: float, seed: int) -> Scope:
    """About `percent` of the offsets `held`, in blocks; at least one block if there is a message."""
    blocks = [(part, range(part.first // BLOCK, part.last // BLOCK + 1)) for part in held]
    total = sum(len(numbers) for _, numbers in blocks)
    count = min(total, max(1, round(total * percent / 100)))
    chosen = sorted(random.Random(seed).sample(range(total), count))
    asked = []
    before = 0
    for part, numbers in blocks:
        for place in (place - before for place in chosen if before <= place < before + len(numbers)):
            first = numbers[place] * BLOCK
            asked.append(Part(part.topic_id, part.partition, max(part.first, first), min(part.last, first + BLOCK - 1)))
        before += len(numbers)
    words = f"a sample of {percent:g} %: {count:,} of {total:,} blocks of {BLOCK:,} offsets, seed {seed}"
    return Scope(tuple(asked), BLOCK, False, words)


def lot_since(con: duckdb.DuckDBPyConnection, since: str, placed: str) -> int:
    """The number of the first lot of `since`: its number, or a date or time (UTC) from which Silver took it.

    `placed`: a relation with `lot` and `processed_at`. Raises UsageError.
    """
    if since.isdecimal():
        return int(since)
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        raise UsageError(f"--since {since} is neither a lot nor a date", "for example --since 2026-11-28") from None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)
    row = con.execute(f"SELECT min(lot) FROM {placed} WHERE processed_at >= ?", [moment]).fetchone()
    if row is None or row[0] is None:
        raise UsageError(f"there is no lot since {since}", "`ventes status` says how old the newest is")
    return int(row[0])


def parts_of(ranges: Iterable[Part], bronze: Snapshot) -> Iterator[Part]:
    """The same offsets, cut so that Bronze has at most PART_ROWS and PART_BYTES in each."""
    row_groups = partial(BronzeRowGroups().of, bronze.path)
    for whole in ranges:
        key = (whole.topic_id, whole.partition)
        first = whole.first
        while first <= whole.last:
            cut = next_lot_range({key: first - 1}, {key: whole.last}, bronze.files, PART_ROWS, PART_BYTES, row_groups)
            assert cut is not None  # there is at least one offset
            yield Part(*key, first, cut.upto[key])
            first = cut.upto[key] + 1
