"""The inputs for an earlier time or version, in the sidebar."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import streamlit as st

from ventes.config import Settings
from ventes.dashboard import address, language, text
from ventes.dashboard.as_of import AsOf, Version, committed_at, from_address, kept_versions, to_address
from ventes.dashboard.language import tr
from ventes.dashboard.source import LiveTables


def choose(settings: Settings, tables: LiveTables) -> tuple[AsOf | None, str]:
    """An earlier time, absolute, so that a link to it stays the same; or a version. And a sentence, if the address has
    neither."""
    hours = settings.maintenance.history_hours
    asked = st.query_params.get("at")
    chosen = from_address(asked, tables.contract.by_name)
    no_time = [asked] if asked and chosen is None else []

    def move() -> None:
        minutes = int(st.session_state["_back"])
        go_to(datetime.now(timezone.utc) - timedelta(minutes=minutes) if minutes else None, "_back")

    most = _minutes_back(tables, hours, frozen=chosen is not None)
    if most:
        st.slider(
            tr("As of: minutes back"),
            0,
            most,
            key="_back",
            on_change=move,
            help=tr(
                "The page as it was, as far as there is history. Kept for {hours} hours. 0 is now.", hours=f"{hours:g}"
            ),
        )
    else:
        st.caption(tr("As of an earlier time: in a minute, when there is history."))
    box = st.expander(tr("Exact time or version"), icon=":material/history:", key="_exact", on_change="rerun")
    if box.open:
        with box:
            _exact(settings, tables, chosen)
    if chosen is not None:
        st.caption(described(settings, tables, chosen))
        st.button(tr("Back to now"), on_click=go_to, args=(None,), width="stretch", icon=":material/update:")
    return chosen, address.sentence(tr("Time or version"), no_time, tr("now is shown"))


def _minutes_back(tables: LiveTables, hours: float, frozen: bool) -> int:
    """How far back the slider goes: the history that there is, at most `hours`; 0 for less than a minute.

    `frozen`: as at the last run, because Streamlit resets a slider whose end moves.
    """
    if frozen and _MOST in st.session_state:
        return int(st.session_state[_MOST])
    begins = tables.history_begins()
    there = 0 if begins is None else int((datetime.now(timezone.utc) - begins).total_seconds() // 60)
    there = there - 1 if there > 10 else there  # of older versions only those at full minutes are kept
    most = min(there, max(1, round(hours * 60)))
    for step in (30, 5):  # an end that moves less often
        if most >= 2 * step:
            most -= most % step
            break
    st.session_state[_MOST] = most
    return most


_MOST = f"{__name__}.most"
"""Key of the session's state: where the slider ended at the last run."""


def _exact(settings: Settings, tables: LiveTables, chosen: AsOf | None) -> None:
    """A time to the minute, or a version of a table."""
    zone = settings.business_zone

    def to_time() -> None:
        picked = st.session_state["_at_time"]
        go_to(picked.replace(tzinfo=zone) if picked is not None else None, "_at_time")

    def to_version() -> None:
        number = st.session_state["_at_version"]
        go_to(Version(str(st.session_state["_at_table"]), int(number)) if number is not None else None, "_at_version")

    kept = st.session_state  # a default given to the widget itself would conflict with the values that go_to sets
    kept.setdefault("_at_time", chosen.astimezone(zone).replace(tzinfo=None) if isinstance(chosen, datetime) else None)
    zone_name = settings.rules.time_zone
    label, form = tr("Time ({zone})", zone=zone_name), language.day_format()
    st.datetime_input(label, None, key="_at_time", step=60, on_change=to_time, format=form)
    names = [table.name for table in tables.contract.all if tables.read_shared().has(table.name)]
    if not names:
        return
    at = chosen if isinstance(chosen, Version) else None
    clean = tables.contract.clean.name
    kept.setdefault("_at_table", at.table if at and at.table in names else clean if clean in names else names[0])
    kept.setdefault("_at_version", at.number if at else None)
    table = str(st.selectbox(tr("Versions of"), names, key="_at_table"))
    st.number_input(tr("Version"), min_value=0, value=None, step=1, key="_at_version", on_change=to_version)
    first, last = kept_versions(tables.path(table)) or (0, 0)
    st.caption(
        tr(
            "The log of {table} has {first} to {last}. Each version of the last minutes can be read; before that, the "
            "last one of each minute.",
            table=text.markdown(table),
            first=text.count(first),
            last=text.count(last),
        )
    )


def described(settings: Settings, tables: LiveTables, chosen: AsOf) -> str:
    zone, name = settings.business_zone, settings.rules.time_zone
    if isinstance(chosen, datetime):
        return tr("As of {time} ({zone})", time=language.moment(chosen.astimezone(zone)), zone=name)
    table, number = text.markdown(chosen.table), text.count(chosen.number)
    committed = committed_at(tables.path(chosen.table), chosen.number)
    if committed is None:
        return tr("Version {n} of {table}; the other tables as they were with it", n=number, table=table)
    return tr(
        "Version {n} of {table}, committed {time} ({zone}); the other tables as they were with it",
        n=number,
        table=table,
        time=language.moment(committed.astimezone(zone)),
        zone=name,
    )


def go_to(target: AsOf | None, asked_by: str = "") -> None:
    """Put it into the address; clear the other inputs."""
    if target is None:
        st.query_params.pop("at", None)
    else:
        st.query_params["at"] = to_address(target)
    for key, empty in (("_back", 0), ("_at_time", None), ("_at_version", None)):
        if key != asked_by and key in st.session_state:
            st.session_state[key] = empty
