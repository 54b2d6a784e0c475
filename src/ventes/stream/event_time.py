"""When an event happened: ISO 8601 text → an instant. Pure.

Parsed with our own pattern and arithmetic: `datetime.fromisoformat` accepts different texts in different Python
versions, and the fast path must accept only what is accepted here.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

EARLIEST = datetime(2000, 1, 1, tzinfo=timezone.utc)
"""No event is older; an earlier time is a typing error or a clock that was not set."""

LATEST_AHEAD = timedelta(hours=24)
"""How far after its arrival the time of an event may be: tolerance for a wrong clock or zone."""

_ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
    r"(?:([Zz])|([+-])([0-9]{2})(?::?([0-9]{2}))?)?"
)


def read(text: str, source_zone: ZoneInfo) -> datetime:
    """The instant that `text` names, in UTC, cut to microseconds.

    Without an offset it is a wall-clock time of `source_zone`; one that occurs twice is the first of
    the two, one that is skipped is read with the offset in force before the gap.
    Raises ValueError if it names none, OverflowError if the instant lies outside the years 1–9999.
    """
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError(f"not an ISO 8601 date and time: {text[:40]!r}")
    year, month, day, hour, minute, second, fraction, zulu, sign, off_hours, off_minutes = match.groups()
    micros = int((fraction or "")[:6].ljust(6, "0"))
    local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micros)  # noqa: DTZ001
    if zulu or sign:
        minutes = int(off_minutes or 0)
        if int(off_hours or 0) > 23 or minutes > 59:
            raise ValueError(f"not an offset from UTC: {text[:40]!r}")
        offset = timedelta(hours=int(off_hours or 0), minutes=minutes)
        return (local + offset if sign == "-" else local - offset).replace(tzinfo=timezone.utc)
    return local.replace(tzinfo=source_zone, fold=0).astimezone(timezone.utc)


def in_range(moment: datetime, kafka_ts: datetime) -> bool:
    """Whether `moment` is an allowed time for an event that arrived at `kafka_ts`."""
    return EARLIEST <= moment <= kafka_ts + LATEST_AHEAD


def day_of(moment: datetime | None, kafka_ts: datetime, business_zone: ZoneInfo) -> date:
    """`jour`: the moment's day in the business zone, or the arrival's where that is no usable day.

    Usable is 2000-01-01 … the day after the arrival's, so that a typing error makes no partition.
    """
    arrival = kafka_ts.astimezone(business_zone).date()
    if moment is None:
        return arrival
    try:
        day = moment.astimezone(business_zone).date()
    except OverflowError:
        return arrival
    return day if EARLIEST.date() <= day <= arrival + timedelta(days=1) else arrival
