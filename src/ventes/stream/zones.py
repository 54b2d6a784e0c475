"""Time zones as arithmetic: the offsets of a zone over some years, found with Python's zone data. Pure.

The SQL never uses an engine's own zone data, which may be another version, or treat wall-clock times that occur twice
or never differently. It gets these steps as a CASE; outside them the offset is NULL.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

_STRIDE = timedelta(hours=3)
"""No zone changes its offset twice within this."""

Steps = tuple[tuple[datetime, int], ...]
"""(from when on, seconds east of UTC), ascending. The instants are naive; the last entry's seconds are
those in force up to the end that was asked for."""


@lru_cache(maxsize=8)
def local_steps(zone: ZoneInfo, first_year: int, last_year: int) -> Steps:
    """Offsets by wall-clock time of `zone`; a time that occurs twice or never as `moment.read` takes it (fold 0)."""
    return _steps(lambda wall: wall.replace(tzinfo=zone, fold=0).utcoffset(), first_year, last_year)


@lru_cache(maxsize=8)
def utc_steps(zone: ZoneInfo, first_year: int, last_year: int) -> Steps:
    """Offsets of `zone` by naive UTC instant."""
    return _steps(lambda utc: utc.replace(tzinfo=timezone.utc).astimezone(zone).utcoffset(), first_year, last_year)


def offset_case(column: str, steps: Steps, last_year: int) -> str:
    """SQL for the offset in seconds at the naive timestamp `column`; NULL before the steps and after `last_year`."""
    end = datetime(last_year + 1, 1, 1)  # noqa: DTZ001
    whens = [f"WHEN {column} >= {_literal(end)} THEN NULL"]
    whens += [f"WHEN {column} >= {_literal(since)} THEN {seconds}" for since, seconds in reversed(steps)]
    return f"CASE {' '.join(whens)} END"


def _steps(offset_at: Callable[[datetime], timedelta | None], first_year: int, last_year: int) -> Steps:
    def seconds(when: datetime) -> int:
        offset = offset_at(when)
        assert offset is not None  # ZoneInfo always returns an offset
        return int(offset.total_seconds())

    when, end = datetime(first_year, 1, 1), datetime(last_year + 1, 1, 1)  # noqa: DTZ001
    steps = [(when, seconds(when))]
    while when < end:
        later = when + _STRIDE
        if seconds(later) != steps[-1][1]:
            changed = _change(seconds, when, later)
            steps.append((changed, seconds(changed)))
        when = later
    return tuple(steps)


def _change(seconds: Callable[[datetime], int], before: datetime, after: datetime) -> datetime:
    """The first whole second in (before, after] with the offset of `after`."""
    old = seconds(before)
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if seconds(middle) == old:
            before = middle
        else:
            after = middle
    return after


def _literal(when: datetime) -> str:
    return f"TIMESTAMP '{when:%Y-%m-%d %H:%M:%S}'"
