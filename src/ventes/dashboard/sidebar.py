"""The sidebar: refresh, filters, going back in time; diagram, commands and help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

import streamlit as st

from ventes.config import Settings
from ventes.contract.tables import PAR_PAYS, PAR_PRODUIT, PAR_SEGMENT
from ventes.dashboard import commands, diagram, downloads
from ventes.dashboard.filters import PERIODS, Filters, period
from ventes.dashboard.source import Lake, NotReadable


@dataclass(frozen=True)
class Choices:
    """What the sidebar says."""

    refresh_seconds: int
    paused: bool
    as_of: datetime | None
    """UTC; None is now."""
    filters: Filters


def show(settings: Settings, lake: Lake) -> Choices:
    with st.sidebar:
        refresh = int(
            st.slider(
                "Refresh Rate (seconds)", 5, 30, settings.page.refresh_seconds, key="refresh", bind="query-params"
            )
        )
        paused_at = _pause()
        filters = _filters(settings, lake)
        as_of = _as_of(settings)
        st.divider()
        st.fragment(_boxes)(settings, lake, as_of or paused_at)
    return Choices(refresh, paused_at is not None, as_of or paused_at, filters)


def _boxes(settings: Settings, lake: Lake, as_of: datetime | None) -> None:
    """What is read now and then. A box is filled when it is opened: closed ones cost nothing."""
    boxes: dict[str, tuple[str, Callable[[], None]]] = {
        "Downloads": ("download", lambda: downloads.show(lake.moment(as_of))),
        "System Architecture": ("account_tree", lambda: diagram.show(settings)),
        "Monitoring Commands": ("terminal", lambda: _commands(settings)),
        "Help & Troubleshooting": ("help", lambda: _help(settings)),
    }
    for number, (label, (icon, fill)) in enumerate(boxes.items()):
        box = st.expander(label, icon=f":material/{icon}:", key=f"_box{number}", on_change="rerun")
        if box.open:
            with box:
                fill()


def _commands(settings: Settings) -> None:
    for what, command in commands.monitoring(settings):
        st.caption(what)
        st.code(command, language="bash", wrap_lines=True)


def _help(settings: Settings) -> None:
    for question, answer, command in commands.troubles(settings):
        st.markdown(f"**{question}** {answer}")
        st.code(command, language="bash", wrap_lines=True)


def _pause() -> datetime | None:
    """When the viewer stopped the clock, or None. Kept for the session; the link says only that it is paused."""
    paused = st.toggle("Pause", key="pause", bind="query-params", help="Keep the page as it is until switched off.")
    if not paused:
        st.session_state.pop("_paused_at", None)
        return None
    stopped: datetime = st.session_state.setdefault("_paused_at", datetime.now(timezone.utc))
    return stopped


def _filters(settings: Settings, lake: Lake) -> Filters:
    st.divider()
    today = datetime.now(settings.business_zone).date()
    choice = st.selectbox("Period", list(PERIODS), key="period", bind="query-params")
    custom: tuple[date, ...] = ()
    if choice == "Custom":
        picked = st.date_input(
            "Days", (today - timedelta(days=6), today), key="days", bind="query-params", format="YYYY-MM-DD"
        )
        custom = picked if isinstance(picked, tuple) else (picked,)
    countries, segments, categories = _known(lake)
    since, until = period(str(choice), today, custom)
    return Filters(
        since,
        until,
        tuple(st.multiselect("Country", countries, key="country", bind="query-params", placeholder="All countries")),
        tuple(st.multiselect("Segment", segments, key="segment", bind="query-params", placeholder="All segments")),
        tuple(
            st.multiselect("Category", categories, key="category", bind="query-params", placeholder="All categories")
        ),
    )


def _known(lake: Lake) -> tuple[list[str], list[str], list[str]]:
    """The countries, segments and categories there are; empty lists before there is data."""
    moment = lake.moment()

    def distinct(column: str, table: str) -> list[str]:
        with moment.open(table) as con:
            return [row[0] for row in con.execute(f"SELECT DISTINCT {column} FROM {table} ORDER BY 1").fetchall()]

    def known(column: str, table: str) -> list[str]:
        return moment.shared(("known", column), (table,), lambda: distinct(column, table))

    try:
        return known("pays", PAR_PAYS.name), known("segment", PAR_SEGMENT.name), known("categorie", PAR_PRODUIT.name)
    except NotReadable:
        return [], [], []


def _as_of(settings: Settings) -> datetime | None:
    """An earlier moment, absolute, so that a link to it stays the same."""
    hours = settings.maintenance.history_hours
    stamp = st.query_params.get("at")
    chosen = _parsed(stamp)

    def move() -> None:
        minutes = int(st.session_state["_back"])
        if minutes:
            then = datetime.now(timezone.utc) - timedelta(minutes=minutes)
            st.query_params["at"] = f"{then:%Y-%m-%dT%H:%M:%SZ}"
        else:
            st.query_params.pop("at", None)

    st.divider()
    st.slider(
        "As of: minutes back",
        0,
        max(1, round(hours * 60)),
        key="_back",
        on_change=move,
        help=f"The page as it was. Kept for {hours:g} hours. 0 is now.",
    )
    if chosen is not None:
        st.caption(f"As of {chosen.astimezone(settings.business_zone):%Y-%m-%d %H:%M:%S} ({settings.rules.time_zone})")
        st.button("Back to now", on_click=_back_to_now, width="stretch", icon=":material/update:")
    return chosen


def _back_to_now() -> None:
    st.query_params.pop("at", None)
    st.session_state["_back"] = 0


def _parsed(stamp: str | None) -> datetime | None:
    try:
        return datetime.strptime(stamp or "", "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
