"""The recent activity behind the small lines: each figure per unit of time. Pure; in floats: only heights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ventes.stream.measures import Distinct, Mean, Measure, OfField, Share, Sum
from ventes.stream.page import Figure

SLICES = 30
"""Slices at most: a card is some 200 pixels wide."""
UNITS = {
    1: "second", 5: "5 s", 15: "15 s", 60: "minute", 300: "5 min", 900: "15 min", 1_800: "30 min", 3_600: "hour",
    7_200: "2 h", 21_600: "6 h",
    86_400: "day", 604_800: "week",
}  # fmt: skip
"""Seconds of a slice → what it is called."""

Line = list[float | None]
"""A value for each slice; None where there is none: a mean of no event. Empty for a figure without a line."""


@dataclass(frozen=True)
class Trend:
    """`starts`: Unix seconds at which the slices begin, multiples of `unit`, oldest first; `lines`: one per figure.

    Without two complete slices there is nothing to show: no starts.
    """

    unit: int
    starts: tuple[int, ...]
    lines: tuple[Line, ...]


def trend(recent: pa.Table, figures: Sequence[Figure], complete: bool) -> Trend:
    """Each figure per slice of the time of `recent` (query_sources.recent_events).

    Only whole slices: the one that the newest event is in is not over. The one of the oldest event is left out too,
    unless `complete`: `recent` holds all events that there are.
    """
    seconds = recent["kafka_ts"].cast(pa.int64()).to_numpy() // 1_000_000
    if not len(seconds):
        return Trend(1, (), tuple([] for _ in figures))
    oldest, newest = int(seconds.min()), int(seconds.max())
    unit = next((unit for unit in UNITS if newest // unit - oldest // unit <= SLICES), max(UNITS))
    first, end = oldest // unit + (0 if complete else 1), newest // unit
    if end - first < 2:
        return Trend(unit, (), tuple([] for _ in figures))
    slices = seconds // unit
    whole = (slices >= first) & (slices < end)
    kept, place = recent.filter(pa.array(whole)), (slices[whole] - first).astype(np.int64)
    lines = tuple(_line(kept, place, figure.measure, end - first) for figure in figures)
    return Trend(unit, tuple(number * unit for number in range(first, end)), lines)


def _line(recent: pa.Table, place: npt.NDArray[np.int64], measure: Measure, slices: int) -> Line:
    if isinstance(measure, Share):
        return []  # `recent` has the fields, not its condition
    if not isinstance(measure, OfField):
        return list(np.bincount(place, minlength=slices).tolist())
    if not isinstance(measure, Distinct | Sum | Mean):
        return []  # a smallest or largest value has no line
    values = recent[measure.field]
    if values.null_count:
        place, values = place[pc.is_valid(values).to_numpy()], values.drop_null()
    if isinstance(measure, Distinct):
        codes = values.combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
        return list(np.bincount(np.unique(np.stack([place, codes]), axis=1)[0], minlength=slices).tolist())
    sums = np.bincount(place, values.cast(pa.float64()).to_numpy(), slices).tolist()
    if isinstance(measure, Sum):
        return list(sums)
    counts = np.bincount(place, minlength=slices).tolist()
    return [total / count if count else None for total, count in zip(sums, counts, strict=True)]
