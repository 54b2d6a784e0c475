"""Which members that no field reads the messages of a batch have, from a sample: what the fast path asks for by name.

A name that is not found here costs time only: Python writes the unknown members of the messages that have it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from ventes.judging.fast_extra import Names
from ventes.judging.fast_json import MOST_BYTES
from ventes.judging.verdict import Judge

SAMPLE = 32
"""Messages of a batch that are looked at, 5 µs each."""
_ONE_IN = 8
"""A name counts if so many messages of the sample have it: a query with other names is planned anew, which takes as
long as Python needs for the unknown members of 4,000 messages."""
MOST = 24
"""Names of one query; planning takes twice as long with them as without."""
_IN_VAIN = 4
"""Names of earlier batches that are still asked for, 0.02 µs a message each."""
_DEEPEST = 3
_NAME = re.compile(r"\w[\w .@/$#+-]{0,63}")
"""A key that JSON writes as it is; and that cannot come after the quote that ends a string."""


def sampled(messages: pa.ChunkedArray | pa.Array, judge: Judge) -> Names:
    """The names in `messages` (text, NULL where it is none). What is no JSON has none, nor what Python judges anyway as
    it is large."""
    rows = len(messages)
    places = range(0, rows, max(1, rows // SAMPLE))
    times: Counter[tuple[str, ...]] = Counter()
    for place in places:
        text = messages[place]
        if text.is_valid and text.as_buffer().size <= MOST_BYTES:
            times.update(_paths(_members(text.as_py(), judge)))
    least = max(1, len(places) // _ONE_IN)
    found = [path for path, count in times.items() if count >= least]
    return tuple(sorted(sorted(found, key=lambda path: (-times[path], path))[:MOST]))


def with_earlier(names: Names, earlier: Names) -> Names:
    """Both, if few are asked for in vain: so a name that is at times in the sample does not change the query."""
    both = tuple(sorted({*names, *earlier}))
    return both if len(both) <= len(names) + _IN_VAIN else names


def _members(text: str, judge: Judge) -> dict[str, Any]:
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return judge.unread(members) if isinstance(members, dict) else {}


def _paths(members: dict[str, Any], way: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, item in members.items():
        if not _NAME.fullmatch(key):
            continue
        yield (*way, key)
        if isinstance(item, dict) and len(way) + 1 < _DEEPEST:
            yield from _paths(item, (*way, key))
