"""The files of the index of ids: what writing them holds in memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np

from ventes.engines.id_runs import BLOCK, PIECE, Pairs, RunWriter


def test_writing_a_file_holds_a_piece_of_it_and_its_directory(tmp_path: Path) -> None:
    pieces = 60
    writer = RunWriter(tmp_path, "one.run")
    tracemalloc.start()
    try:
        for piece in range(pieces):
            keys = np.arange(piece * PIECE * BLOCK, (piece + 1) * PIECE * BLOCK)
            writer.add(Pairs(keys, np.zeros(len(keys), np.int64)))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    file = writer.finish()
    assert file.pairs == pieces * PIECE * BLOCK
    assert most < file.bytes / 10
