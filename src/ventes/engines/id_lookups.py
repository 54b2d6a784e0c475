"""Looking keys up in the files of an index of ids, by a process that does not write it: a worker of Spark."""

from __future__ import annotations

from ventes.engines.id_runs import Numbers, Pairs, Run, RunFiles, in_order

_open: dict[str, Run] = {}
"""The files that this process has open: what it has compared with the checksums of one, it need not compare again."""


def find_in_files(index: RunFiles, keys: Numbers) -> Pairs:
    """The pairs that have one of `keys` (ascending, each once), in the order of their keys.

    Raises Unusable for a file that is missing or damaged.
    """
    for name in _open.keys() - {file.name for file in index.files}:
        del _open[name]
    for file in index.files:
        if file.name not in _open:
            _open[file.name] = Run(index.folder, file)
    return in_order([_open[file.name].find(keys) for file in index.files])
