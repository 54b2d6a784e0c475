"""What the viewer picks by a click on a chart: a value to filter by, or a span of time. All of it is in the address.

A value of a dimension is chosen in the filter of that dimension; other values stand as `only=field=value`; a span of
time is the period RANGE with `from` and `to`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import streamlit as st

from ventes.dashboard import address, language, period
from ventes.dashboard.filters import Chosen
from ventes.dashboard.language import tr
from ventes.stream.declaration import Stream
from ventes.stream.page import Page

_BEFORE = f"{__name__}.before"
"""Key of the session's state: (the range that was picked by a click, what the period was before)."""
_DAY = timedelta(days=1)

MOST = 10
"""Values of `only` in an address; further ones are left out."""

# -- values ------------------------------------------------------------------------------------


def show(stream: Stream) -> tuple[tuple[Chosen, ...], list[str]]:
    """The picked values that are no dimension's, and what is not here. Chips take them back (sidebar.py)."""
    chosen, unknown = [], []
    for pair in st.query_params.get_all("only")[:MOST]:
        field, equals, value = pair.partition("=")
        if not equals or field not in stream.event.names:
            unknown.append(pair)
            continue
        label = stream.shown.label(field)
        chosen.append(Chosen(field, label.plural, (value,)))
    return tuple(chosen), [address.sentence(tr("Value"), unknown, tr("it is left out"))]


def toggle(page: Page, dimensions: frozenset[str], values: Mapping[str, str]) -> None:
    """Filter by these values of fields, or take it back where all are in force."""
    keys = {name: address.key_of(page.label(name)) for name in values if name in dimensions}
    pairs = [f"{name}={value}" for name, value in values.items() if name not in dimensions]
    only = st.query_params.get_all("only")
    there = all(values[name] in st.session_state.get(key, []) for name, key in keys.items())
    there = there and all(pair in only for pair in pairs)
    for name, key in keys.items():
        kept = [value for value in st.session_state.get(key, []) if value != values[name]]
        st.session_state[key] = kept if there else [*kept, values[name]]
    fields = {pair.partition("=")[0] for pair in pairs}
    kept = [pair for pair in only if pair.partition("=")[0] not in fields]
    _set_only(kept if there else [*kept, *pairs])


def take_back(pair: str) -> None:
    """The callback of a button: no longer filter by `field=value`."""
    _set_only([other for other in st.query_params.get_all("only") if other != pair])


def _set_only(pairs: list[str]) -> None:
    if pairs:
        st.query_params["only"] = pairs
    else:
        st.query_params.pop("only", None)


# -- a span of time ----------------------------------------------------------------------------


def span(start: str, seconds: int, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The instants of a point of a chart: `start` is a time of the business zone without offset, as its axis has it."""
    local = datetime.fromisoformat(start).replace(tzinfo=zone)
    length = timedelta(seconds=seconds)
    begins = local.astimezone(timezone.utc)
    if length >= _DAY:  # of days, which may have 23 or 25 hours
        return begins, (local + length).astimezone(timezone.utc)
    return begins, begins + length


def toggle_span(start: datetime, end: datetime) -> None:
    """Show this span of time alone. Where a span was picked before, or this one is shown, take that back."""
    now = _current()
    chosen = (period.RANGE, period.to_address(start), period.to_address(end))
    picked, before = st.session_state.pop(_BEFORE, ((), (period.ALL, "", "")))
    if now in (picked, chosen):
        _go_to(before)
    else:
        st.session_state[_BEFORE] = (chosen, now)
        _go_to(chosen)


def _current() -> tuple[str, str, str]:
    given = st.query_params
    choice = str(st.session_state.get("period", period.ALL))
    return (choice, given.get("from", ""), given.get("to", "")) if choice == period.RANGE else (choice, "", "")


def _go_to(target: tuple[str, str, str]) -> None:
    st.session_state["period"], *times = target
    for name, value in zip(("from", "to"), times, strict=True):
        if value:
            st.query_params[name] = value
        else:
            st.query_params.pop(name, None)


def range_inputs(zone: ZoneInfo, zone_name: str) -> tuple[datetime | None, datetime | None, list[str]]:
    """The inputs of RANGE; start and end, as the address has them, and what of it is no time."""
    found: dict[str, datetime | None] = {}
    said = []
    for name, label in (("from", tr("From")), ("to", tr("To"))):
        asked = st.query_params.get(name)
        moment = found[name] = period.from_address(asked)
        if asked and moment is None:
            said.append(address.sentence(tr("Time"), [asked], tr("it is left out")))
        key = f"_{name}"
        st.session_state[key] = _shown(moment, zone)
        st.datetime_input(f"{label} ({zone_name})", None, key=key, step=60, format=language.day_format(),
                          on_change=_typed, args=(name, zone))  # fmt: skip
    start, end = found["from"], found["to"]
    if any(moment is not None and moment.second for moment in (start, end)):
        clock = [f"{moment.astimezone(zone):%H:%M:%S}" if moment else "…" for moment in (start, end)]
        st.caption(tr("Exactly {start} to {end}", start=clock[0], end=clock[1]))
    if start is not None and end is not None and end <= start:
        said.append(tr("The period ends before it begins: nothing is shown."))
    if _BEFORE in st.session_state:
        st.button(tr("Back to the period before"), icon=":material/undo:", width="stretch", on_click=_back)
    return start, end, said


def _back() -> None:
    _go_to(st.session_state.pop(_BEFORE)[1])


def _shown(moment: datetime | None, zone: ZoneInfo) -> datetime | None:
    """As the input has it: it knows no seconds."""
    return None if moment is None else moment.astimezone(zone).replace(tzinfo=None, second=0, microsecond=0)


def _typed(name: str, zone: ZoneInfo) -> None:
    moment = st.session_state[f"_{name}"]
    if moment == _shown(period.from_address(st.query_params.get(name)), zone):
        return  # nothing was typed: the address may have seconds, which stay
    if moment is None:
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = period.to_address(moment.replace(tzinfo=zone))
