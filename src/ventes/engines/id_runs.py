"""Sorted runs of (key, lot) pairs: in memory, and in files.

A file consists of blocks of BLOCK pairs: the keys of a block, then their lots; the last block is padded with the
largest key. After the blocks comes the directory: the first key of each block and the largest key of the file, then a
checksum of each block. It is small (12 bytes per block) and read when the file is opened; the blocks are mapped, and
each is compared with its checksum before it is first used. Nothing is synced: what power loss tears does not match.
"""

from __future__ import annotations

import mmap
import os
import weakref
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
_At = Callable[[Numbers], Numbers]
"""Places in order → what is there."""

BLOCK = 512
"""Pairs per block: 8 kB, the checksum of which takes 2.4 µs. A larger one makes a first look-up slower, a smaller one
the directory larger."""
PIECE = 64
"""Blocks of all its files together that a merge holds in memory: 512 kB, and a few times as much for a moment."""
AT_ONCE = 512
"""Keys that are looked up together: each may map 64 kB of the file, which counts as memory of the process."""
FEW = 256
"""Keys up to which each block is read, 2 µs, into 1 MB for each file: mapping a page and giving it back takes 4 µs. Of
more keys, which come in order, several use the pages that are mapped together."""
MOST_MAPPED = 16 << 20
"""Bytes of a file that stay mapped from one look-up to the next; more pages are given back to the kernel's cache."""
_MAPPED_AROUND = 64 << 10
"""Bytes that the kernel maps around a page that is used."""

_PAIR_BYTES = 16
_BLOCK_BYTES = BLOCK * _PAIR_BYTES
_STEPS = (*(BLOCK >> shift for shift in range(1, BLOCK.bit_length())), 1)
"""Of a binary search over a block that counts 0 to BLOCK smaller keys."""
_NUMBER = np.dtype("<i8")
_CHECKSUM = np.dtype("<u4")


class Unusable(Exception):
    """A file of the index cannot be used: the message says which, and why."""


@dataclass(frozen=True)
class Pairs:
    """Keys in ascending order, and the lot of each. A key may occur more than once."""

    keys: Numbers
    lots: Numbers

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, part: slice) -> Pairs:
        return Pairs(self.keys[part], self.lots[part])

    def find(self, wanted: Numbers) -> Pairs:
        """The pairs whose key is one of `wanted` (ascending, each once), in no certain order."""
        places = np.searchsorted(self.keys, wanted)
        return _equal_from(places, wanted, len(self), self.keys.__getitem__, self.lots.__getitem__)


NONE = Pairs(np.empty(0, np.int64), np.empty(0, np.int64))


def in_order(parts: Sequence[Pairs]) -> Pairs:
    """All pairs of `parts`, each in any order, by their keys."""
    if not parts:
        return NONE
    keys = np.concatenate([part.keys for part in parts])
    order = np.argsort(keys, kind="stable")
    return Pairs(keys[order], np.concatenate([part.lots for part in parts])[order])


def merged(parts: Sequence[Pairs]) -> Pairs:
    """All pairs of `parts`. Timsort finds the sorted parts and merges them: linear in the pairs."""
    if len(parts) == 1:
        return parts[0]
    keys = np.concatenate([part.keys for part in parts])
    order = np.argsort(keys, kind="stable")
    return Pairs(keys[order], np.concatenate([part.lots for part in parts])[order])


def _equal_from(places: Numbers, wanted: Numbers, count: int, key_at: _At, lot_at: _At) -> Pairs:
    """The pairs at and after `places`, where each key of `wanted` would be first, as long as the key is equal."""
    found = []
    while len(places):
        inside = places < count
        places, wanted = places[inside], wanted[inside]
        equal = key_at(places) == wanted
        places, wanted = places[equal], wanted[equal]
        found.append(Pairs(wanted, lot_at(places)))
        places = places + 1
    return _concatenated(found)


def _concatenated(parts: Sequence[Pairs]) -> Pairs:
    if not parts:
        return NONE
    return Pairs(np.concatenate([part.keys for part in parts]), np.concatenate([part.lots for part in parts]))


# -- files ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunFile:
    """What must be known of a file to trust it."""

    name: str
    pairs: int
    checksum: int
    """Of the directory."""

    @property
    def blocks(self) -> int:
        return -(-self.pairs // BLOCK)

    @property
    def bytes(self) -> int:
        return self.blocks * (_BLOCK_BYTES + _NUMBER.itemsize + _CHECKSUM.itemsize) + _NUMBER.itemsize


@dataclass(frozen=True)
class RunFiles:
    """The files of an index, for look-ups by other processes (`find_in_files`)."""

    folder: Path
    files: tuple[RunFile, ...]


class Run:
    """A file that is open for look-ups. The pages that are mapped at a time are bounded, whatever its size."""

    def __init__(self, folder: Path, file: RunFile, *, trusted: bool = False) -> None:
        """Reads the directory. `trusted`: this process has just written it. Raises Unusable."""
        self.file = file
        self._path = folder / file.name
        try:
            self._handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise Unusable(f"{self._path} is missing") from None
        weakref.finalize(self, os.close, self._handle)
        blocks_end = file.blocks * _BLOCK_BYTES
        if (size := os.fstat(self._handle).st_size) != file.bytes:
            raise Unusable(f"{self._path} has {size} bytes instead of {file.bytes}")
        directory = os.pread(self._handle, size - blocks_end, blocks_end)
        self._mapped = mmap.mmap(self._handle, blocks_end, access=mmap.ACCESS_READ)
        if zlib.crc32(directory) != file.checksum:
            raise Unusable(f"the directory of {self._path} is damaged")
        self._mapped.madvise(mmap.MADV_RANDOM)
        self._flat: Numbers = np.frombuffer(self._mapped, _NUMBER)
        self._fences = np.frombuffer(directory, _NUMBER, file.blocks + 1)
        self._first, self._largest = self._fences[:-1], self._fences[-1]
        self._checksums = np.frombuffer(directory, _CHECKSUM, offset=self._fences.nbytes)
        self._checked = np.full(file.blocks, trusted)
        self._used = 0
        """Blocks of the mapping used since its pages were given back."""
        self._room = np.empty(FEW * BLOCK, np.int64)
        self._rows = [[row.data.cast("B")] for row in self._room.reshape(FEW, BLOCK)]
        """Where the keys of a block are read to, as preadv takes it."""

    def __len__(self) -> int:
        return self.file.pairs

    def find(self, wanted: Numbers) -> Pairs:
        """The pairs whose key is one of `wanted` (ascending, each once), in no certain order. Raises Unusable."""
        low, high = np.searchsorted(wanted, self._first[0]), np.searchsorted(wanted, self._largest, "right")
        wanted = wanted[low:high]
        if len(wanted) <= FEW:
            return self._find(wanted, self._in_read) if len(wanted) else NONE
        parts = [self._find(wanted[at : at + AT_ONCE], self._in_mapped) for at in range(0, len(wanted), AT_ONCE)]
        return _concatenated(parts)

    def _find(self, wanted: Numbers, search: Callable[[Numbers, Numbers], tuple[Numbers, Numbers]]) -> Pairs:
        # the last block whose first key is smaller: the key, if it is there, begins in it or right after it
        blocks = np.maximum(np.searchsorted(self._first, wanted) - 1, 0)
        self._check(blocks)
        smaller, next_key = search(wanted, blocks)
        key = np.where(smaller < BLOCK, next_key, self._fences[blocks + 1])
        hit = key == wanted
        places = blocks * BLOCK + smaller
        pairs = _equal_from(places[hit], wanted[hit], len(self), self._key_at, self._lot_at)
        if len(self._mapped) > MOST_MAPPED and self._used * _MAPPED_AROUND > MOST_MAPPED:
            self._mapped.madvise(mmap.MADV_DONTNEED)
            self._used = 0
        return pairs

    def _in_mapped(self, wanted: Numbers, blocks: Numbers) -> tuple[Numbers, Numbers]:
        """How many keys of its block are smaller than each of `wanted`, and the one after them if the block has it."""
        self._used += len(blocks)
        start = blocks * (2 * BLOCK)
        smaller = np.zeros(len(wanted), np.int64)
        for step in _STEPS:
            smaller += step * (self._flat[start + smaller + (step - 1)] < wanted)
        return smaller, self._flat[start + np.minimum(smaller, BLOCK - 1)]

    def _in_read(self, wanted: Numbers, blocks: Numbers) -> tuple[Numbers, Numbers]:
        """The same for few keys, without the mapping: the blocks are read one after the other, so they are in order."""
        is_new = np.diff(blocks, prepend=-1) > 0
        offsets = (blocks[is_new] * _BLOCK_BYTES).tolist()
        # a loop in C: what Python adds to 100 calls shows
        if sum(map(os.preadv, repeat(self._handle), self._rows, offsets)) != len(offsets) * BLOCK * _NUMBER.itemsize:
            raise Unusable(f"{self._path} was cut off")
        keys = self._room[: len(offsets) * BLOCK]
        places = np.searchsorted(keys, wanted)
        return places - (np.cumsum(is_new) - 1) * BLOCK, keys[np.minimum(places, len(keys) - 1)]

    def _key_at(self, places: Numbers) -> Numbers:
        blocks = places // BLOCK
        self._check(blocks)
        self._used += len(blocks)
        keys: Numbers = self._flat[places + blocks * BLOCK]
        return keys

    def _lot_at(self, places: Numbers) -> Numbers:
        lots: Numbers = self._flat[places + (places // BLOCK + 1) * BLOCK]
        return lots

    def _check(self, blocks: Numbers) -> None:
        """Compare the blocks that were not used yet with their checksums."""
        fresh = blocks[~self._checked[blocks]]
        self._used += len(fresh)
        for block in np.unique(fresh).tolist() if len(fresh) else ():
            self._compare(block, self._flat[block * 2 * BLOCK : (block + 1) * 2 * BLOCK])

    def _compare(self, block: int, content: Numbers) -> None:
        if zlib.crc32(content.data) != self._checksums[block]:
            raise Unusable(f"block {block} of {self._path} is damaged")
        self._checked[block] = True

    def pieces(self, size: int) -> Iterator[Pairs]:
        """All pairs in order, `size` blocks at a time, read without the mapping. Raises Unusable."""
        for first in range(0, self.file.blocks, size):
            count = min(size, self.file.blocks - first)
            blocks = self._read(first, count)
            for number, block in enumerate(blocks, first):
                if not self._checked[number]:
                    self._compare(number, block)
            held = min(count * BLOCK, self.file.pairs - first * BLOCK)
            yield Pairs(blocks[:, 0].reshape(-1)[:held], blocks[:, 1].reshape(-1)[:held])

    def _read(self, first: int, count: int) -> Numbers:
        try:
            flat = np.fromfile(self._path, _NUMBER, count * BLOCK * 2, offset=first * _BLOCK_BYTES)
        except FileNotFoundError:
            raise Unusable(f"{self._path} is missing") from None
        if len(flat) < count * BLOCK * 2:
            raise Unusable(f"{self._path} was cut off")
        return flat.reshape(count, 2, BLOCK)


class RunWriter:
    """Writes a file from pairs that come in order. `discard` it if it is not finished."""

    def __init__(self, folder: Path, name: str) -> None:
        self._name = name
        self._path = folder / name
        self._file = open(self._path, "xb")  # noqa: SIM115 - closed by finish or discard
        self._rest = NONE
        self._pairs = 0
        self._largest: Numbers = np.empty(0, np.int64)
        self._first: list[Numbers] = []
        self._checksums: list[int] = []

    def add(self, pairs: Pairs) -> None:
        """Write pairs whose keys are not smaller than those before."""
        self._pairs += len(pairs)
        self._largest = pairs.keys[-1:] if len(pairs) else self._largest
        for start in range(0, len(pairs), PIECE * BLOCK):
            held = _concatenated([self._rest, pairs[start : start + PIECE * BLOCK]])
            whole = len(held) - len(held) % BLOCK
            self._write(held[:whole])
            self._rest = held[whole:]

    def finish(self) -> RunFile:
        """Write the rest and the directory; at least one pair was added."""
        if missing := -len(self._rest) % BLOCK:
            padding = np.full(missing, np.iinfo(np.int64).max)
            self._write(_concatenated([self._rest, Pairs(padding, np.zeros(missing, np.int64))]))
        directory = np.concatenate([*self._first, self._largest]).astype(_NUMBER).tobytes()
        directory += np.array(self._checksums, _CHECKSUM).tobytes()
        self._file.write(directory)
        self._file.close()
        return RunFile(self._name, self._pairs, zlib.crc32(directory))

    def _write(self, pairs: Pairs) -> None:
        """Write whole blocks."""
        if not len(pairs):
            return
        blocks = np.stack([pairs.keys.reshape(-1, BLOCK), pairs.lots.reshape(-1, BLOCK)], axis=1).astype(_NUMBER)
        self._file.write(blocks.data)
        self._first.append(blocks[:, 0, 0].copy())  # a view would keep all of the file in memory
        self._checksums += [zlib.crc32(block.data) for block in blocks]

    def discard(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


def merge(runs: Sequence[Run]) -> Iterator[Pairs]:
    """The pairs of all runs in order, in pieces of about PIECE blocks at most. Raises Unusable."""
    waiting = [run.pieces(max(1, PIECE // len(runs))) for run in runs]
    windows = [next(pieces, NONE) for pieces in waiting]
    while True:
        ready = [number for number, window in enumerate(windows) if len(window)]
        if not ready:
            return
        # what is not larger than the last key in memory of every run: the rest of no run comes before it
        limit = min(windows[number].keys[-1] for number in ready)
        parts = []
        for number in ready:
            window = windows[number]
            count = int(np.searchsorted(window.keys, limit, "right"))
            parts.append(window[:count])
            windows[number] = window[count:] if count < len(window) else next(waiting[number], NONE)
        yield merged(parts)
