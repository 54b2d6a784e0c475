"""The sidebar: refresh, filters, an earlier time or version; downloads, diagram, commands and help."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

import streamlit as st

from ventes.config import Settings
from ventes.dashboard import (
    address,
    chips,
    choices,
    commands,
    diagram,
    downloads,
    earlier,
    language,
    page_state,
    picked,
    set_up,
    text,
    translated,
    troubles,
)
from ventes.dashboard.as_of import AsOf
from ventes.dashboard.chips import Chip
from ventes.dashboard.choices import Offered, Wanted
from ventes.dashboard.filters import Chosen, Filters
from ventes.dashboard.language import tr
from ventes.dashboard.login import gate
from ventes.dashboard.page_state import PageState
from ventes.dashboard.period import ALL, CUSTOM, PERIODS, RANGE, Period
from ventes.dashboard.source import LiveTables
from ventes.stream.page import Label

_PAUSED_AT = f"{__name__}.paused_at"
_CLOSED = f"{__name__}.closed"
"""Keys of the session's state."""


@dataclass(frozen=True)
class Choices:
    """The viewer's choices."""

    refresh_seconds: int
    paused: bool
    as_of: AsOf | None
    """None is now. Where the page is paused: since when."""
    filters: Filters
    """Without the period, which moves with the time."""
    period: Period
    refused: tuple[str, ...] = ()
    """What the address asks for and is not here, as Markdown sentences."""
    chips: tuple[Chip, ...] = ()
    """What narrows or holds the page."""

    @property
    def words(self) -> tuple[str, ...]:
        """What narrows or holds the page, as text."""
        return tuple(chip.words for chip in self.chips)


def show(settings: Settings, state: PageState) -> Choices:
    tables = state.tables
    with st.sidebar:
        period, refused = _period(settings)
        filters, missing = _filters(tables)
        st.divider()
        paused_at = _pause()
        as_of, no_time = earlier.choose(settings, tables)
        st.divider()
        refresh = _display(settings)
        with st.expander(tr("Operator"), icon=":material/build:", key="_operator"):
            gate.fragment(_dialogs)(settings, state, as_of or paused_at)
    said = tuple(sentence for sentence in (*refused, *missing, no_time) if sentence)
    held = []
    if paused_at is not None:
        held.append(Chip("pause", tr("Paused"), chips.clear, ("pause", False)))
    if as_of is not None:
        held.append(Chip("at", earlier.described(settings, tables, as_of), earlier.go_to, (None,)))
    in_force = (*held, *_narrowed(settings, period, filters))
    return Choices(refresh, paused_at is not None, as_of or paused_at, filters, period, said, in_force)


def _narrowed(settings: Settings, period: Period, filters: Filters) -> list[Chip]:
    """The period and the filters in force."""
    found = []
    if period.choice != ALL:
        words = tr("Period: {period}", period=_period_in_words(settings, period))
        found.append(Chip("period", words, chips.clear, ("period", ALL)))
    declared, shown = settings.stream.shown, translated.page_of(settings.stream)
    dimensions = {label.field for label in declared.dimensions(settings.stream.event)}
    for chosen in filters.chosen:
        if not chosen.values:
            continue
        words = f"{shown.label(chosen.field).one}: {', '.join(chosen.values)}"
        key = address.key_of(declared.label(chosen.field))
        if chosen.field in dimensions:
            found.append(Chip(key, words, chips.clear, (key, [])))
        else:
            pair = f"{chosen.field}={chosen.values[0]}"  # a field may be picked several times
            found.append(Chip(pair, words, picked.take_back, (pair,)))
    return found


def _period_in_words(settings: Settings, period: Period) -> str:
    zone = settings.business_zone
    if period.choice == CUSTOM and period.days:
        return " – ".join(language.moment(day, "day") for day in (period.days[0], period.days[-1]))
    if period.choice == RANGE:
        ends = (period.start, period.end)
        return " – ".join("…" if end is None else language.moment(end.astimezone(zone)) for end in ends)
    return language.word(period.choice)


def _display(settings: Settings) -> int:
    """Seconds between two refreshes."""
    with st.expander(tr("Display"), icon=":material/tune:", key="_display"):
        label = tr("Refresh Rate (seconds)")
        return int(st.slider(label, 5, 30, settings.page.refresh_seconds, key="refresh", bind="query-params"))


def _dialogs(settings: Settings, state: PageState, as_of: AsOf | None) -> None:
    """A button for each; its content is computed only while it is open."""

    def trouble() -> None:
        troubles.show(settings, state.status.latest, page_state.composed_explain(), as_of)

    dialogs: tuple[tuple[str, str, Callable[[], None]], ...] = (
        (tr("Downloads"), "download", lambda: downloads.show(state.tables.read(as_of))),
        (tr("System Architecture"), "account_tree", lambda: diagram.show(settings)),
        (tr("Monitoring Commands"), "terminal", lambda: _commands(settings)),
        (tr("Help & Troubleshooting"), "help", trouble),
        (tr("Set Up: Login and Alerts"), "settings", lambda: set_up.show(settings)),
    )
    if st.session_state.pop(_CLOSED, False):
        st.rerun()  # what refreshes itself in a closed dialog would do so in the next one: only a whole run ends it
    for number, (label, icon, fill) in enumerate(dialogs):
        if st.button(label, icon=f":material/{icon}:", key=f"_open{number}", width="stretch"):
            st.dialog(label, width="medium", on_dismiss=_close)(fill)()


def _close() -> None:
    st.session_state[_CLOSED] = True


def _commands(settings: Settings) -> None:
    for what, command in commands.monitoring(settings):
        st.caption(what)
        st.code(command, language="bash", wrap_lines=True)


def _pause() -> datetime | None:
    """Since when the page is paused, or None. Kept for the session; the link says only that it is paused."""
    about = tr("Keep the page as it is until switched off.")
    paused = st.toggle(tr("Pause"), key="pause", bind="query-params", help=about)
    if not paused:
        st.session_state.pop(_PAUSED_AT, None)
        return None
    stopped: datetime = st.session_state.setdefault(_PAUSED_AT, datetime.now(timezone.utc))
    return stopped


def _period(settings: Settings) -> tuple[Period, list[str]]:
    """The period, and what the address asks for and is not here."""
    zone = settings.business_zone
    today = datetime.now(zone).date()
    address.adopt("period", {choice: choice for choice in PERIODS}, language.word)
    missing = address.refused("period", frozenset(map(language.word, PERIODS)).__contains__)
    said = [address.sentence(tr("Period"), missing, tr("all time is shown"))]
    choice = str(
        st.selectbox(
            tr("Period"),
            PERIODS,
            key="period",
            bind="query-params",
            format_func=language.word,
            on_change=address.forget,
            args=("period",),
        )
    )
    custom: tuple[date, ...] = ()
    if choice == CUSTOM:
        said.append(address.sentence(tr("Day"), address.refused("days", _is_day), tr("the last 7 days are shown")))
        chosen = st.date_input(
            tr("Days"),
            (today - timedelta(days=6), today),
            key="days",
            bind="query-params",
            format=language.day_format(),
        )
        custom = chosen if isinstance(chosen, tuple) else (chosen,)
    if choice != RANGE:
        return Period(choice, custom), said
    start, end, refused = picked.range_inputs(zone, settings.rules.time_zone)
    return Period(choice, (), start, end), [*said, *refused]


def _filters(tables: LiveTables) -> tuple[Filters, list[str]]:
    """The filters by fields, and what the address asks for and is not here."""
    said = []
    dimensions = tables.contract.stream.shown.dimensions(tables.contract.stream.event)
    values = choices.offered(tables, {label.field: _wanted(label) for label in dimensions}, time.monotonic())
    chosen = []
    page = translated.page_of(tables.contract.stream)
    for label in dimensions:
        offered, shown = values[label.field], page.label(label.field)
        missing = address.refused(address.key_of(label), frozenset(offered.values).__contains__)
        chosen.append(_dimension(label, shown, offered))
        instead = tr("it is left out") if chosen[-1].values else tr("all {many} are shown", many=shown.plural)
        said.append(address.sentence(shown.one, missing, instead))
    more, unknown = picked.show(tables.contract.stream)
    return Filters(chosen=(*chosen, *more)), [*said, *unknown]


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _wanted(label: Label) -> Wanted:
    """What the viewer looks for among the values of a field, and what is in force: by the widget, or the address."""
    key = address.key_of(label)
    chosen = st.session_state[key] if key in st.session_state else st.query_params.get_all(key)
    return Wanted(str(st.session_state.get(_search_of(key), "")).strip(), tuple(sorted(chosen)))


def _search_of(key: str) -> str:
    """The key of the search of a filter."""
    return f"_search_{key}"


def _dimension(label: Label, shown: Label, offered: Offered) -> Chosen:
    """`shown`: the label in the viewer's language."""
    key, placeholder = address.key_of(label), tr("All {many}", many=shown.plural)
    if offered.is_searched:
        what = tr("Search in {n} {many}", n=text.count(offered.total), many=shown.plural)
        search = st.text_input(what, key=_search_of(key), max_chars=100)
        if search.strip():
            found, first = text.count(offered.found), text.count(min(offered.found, choices.MOST))
            st.caption(
                tr("{n} found", n=found)
                if offered.found <= choices.MOST
                else tr("{n} found, the first {m} are offered", n=found, m=first)
            )
    chosen = st.multiselect(
        shown.one,
        offered.values,
        key=key,
        bind="query-params",
        placeholder=placeholder,
        on_change=address.forget,
        args=(key,),
    )
    return Chosen(label.field, label.plural, tuple(chosen))
