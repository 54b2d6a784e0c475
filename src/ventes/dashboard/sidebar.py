"""The sidebar: refresh, filters, an earlier time or version; downloads, diagram, commands and help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

import streamlit as st

from ventes.config import Settings
from ventes.dashboard import address, commands, diagram, downloads, text
from ventes.dashboard.as_of import AsOf, Version, committed_at, from_address, kept_versions, to_address
from ventes.dashboard.filters import PERIODS, Chosen, Filters, period
from ventes.dashboard.query_sources import relation, tables_for
from ventes.dashboard.questions import Question
from ventes.dashboard.source import LiveTables, NotReadable
from ventes.stream.page import Label
from ventes.stream.sql_text import quoted


@dataclass(frozen=True)
class Choices:
    """The viewer's choices."""

    refresh_seconds: int
    paused: bool
    as_of: AsOf | None
    """None is now. Where the page is paused: since when."""
    filters: Filters
    refused: tuple[str, ...] = ()
    """What the address asks for and is not here, as Markdown sentences."""


def show(settings: Settings, tables: LiveTables) -> Choices:
    with st.sidebar:
        refresh = int(
            st.slider(
                "Refresh Rate (seconds)", 5, 30, settings.page.refresh_seconds, key="refresh", bind="query-params"
            )
        )
        paused_at = _pause()
        filters, refused = _filters(settings, tables)
        as_of, no_time = _as_of(settings, tables)
        st.divider()
        st.fragment(_boxes)(settings, tables, as_of or paused_at)
    said = tuple(sentence for sentence in (*refused, no_time) if sentence)
    return Choices(refresh, paused_at is not None, as_of or paused_at, filters, said)


def _boxes(settings: Settings, tables: LiveTables, as_of: AsOf | None) -> None:
    """The content of a box is computed only while it is open."""
    boxes: dict[str, tuple[str, Callable[[], None]]] = {
        "Downloads": ("download", lambda: downloads.show(tables.read(as_of))),
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
    """Since when the page is paused, or None. Kept for the session; the link says only that it is paused."""
    paused = st.toggle("Pause", key="pause", bind="query-params", help="Keep the page as it is until switched off.")
    if not paused:
        st.session_state.pop("_paused_at", None)
        return None
    stopped: datetime = st.session_state.setdefault("_paused_at", datetime.now(timezone.utc))
    return stopped


def _filters(settings: Settings, tables: LiveTables) -> tuple[Filters, list[str]]:
    """The filters, and what the address asks for and is not here."""
    st.divider()
    today = datetime.now(settings.business_zone).date()
    said = [address.sentence("Period", address.refused("period", PERIODS.__contains__), "all time is shown")]
    choice = st.selectbox(
        "Period", list(PERIODS), key="period", bind="query-params", on_change=address.forget, args=("period",)
    )
    custom: tuple[date, ...] = ()
    if choice == "Custom":
        said.append(address.sentence("Day", address.refused("days", _is_day), "the last 7 days are shown"))
        picked = st.date_input(
            "Days", (today - timedelta(days=6), today), key="days", bind="query-params", format="YYYY-MM-DD"
        )
        custom = picked if isinstance(picked, tuple) else (picked,)
    since, until = period(str(choice), today, custom)
    dimensions = tables.contract.stream.shown.dimensions(tables.contract.stream.event)
    values = _choices_of_filters(tables, tuple(label.field for label in dimensions))
    chosen = []
    for label in dimensions:
        offered = values[label.field]
        missing = address.refused(_key(label), frozenset(offered).__contains__)
        chosen.append(_dimension(label, offered))
        instead = "it is left out" if chosen[-1].values else f"all {label.plural} are shown"
        said.append(address.sentence(label.one, missing, instead))
    return Filters(since, until, tuple(chosen)), said


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


KEYS = frozenset({"refresh", "pause", "period", "days", "tab", "at", "rank", "show", "search", "reason", "q", "chart"})
"""Names that the page itself uses in the address."""


def _key(label: Label) -> str:
    """The name of a filter in the address."""
    return f"by_{label.slug}" if label.slug in KEYS else label.slug


def _dimension(label: Label, values: list[str]) -> Chosen:
    key, placeholder = _key(label), f"All {label.plural}"
    chosen = st.multiselect(
        label.one,
        values,
        key=key,
        bind="query-params",
        placeholder=placeholder,
        on_change=address.forget,
        args=(key,),
    )
    return Chosen(label.field, label.plural, tuple(chosen))


def _choices_of_filters(tables: LiveTables, fields: tuple[str, ...]) -> dict[str, list[str]]:
    """Field → the values there are, as texts; none before there is data."""
    snapshots = tables.read_shared()
    questions = [Question(f"values {number}", (field,)) for number, field in enumerate(fields)]

    def ask() -> dict[str, list[str]]:
        with tables.connection() as con:
            lists = [
                f"(SELECT list(DISTINCT {_text(asked)}) FROM ({relation(con, snapshots, Filters(), asked)}))"
                for asked in questions
            ]
            found = con.execute(f"SELECT {', '.join(lists)}").fetchone() if questions else ()
        assert found is not None  # a SELECT without FROM has one row
        return {
            field: sorted(value for value in values or [] if value is not None)
            for field, values in zip(fields, found, strict=True)
        }

    try:
        return snapshots.shared("choices of the filters", tables_for(snapshots, Filters(), *questions), ask)
    except NotReadable:
        return {field: [] for field in fields}


def _text(asked: Question) -> str:
    (field,) = asked.fields
    return f"CAST({quoted(field)} AS VARCHAR)"


def _as_of(settings: Settings, tables: LiveTables) -> tuple[AsOf | None, str]:
    """An earlier time, absolute, so that a link to it stays the same; or a version. And a sentence, if the address has
    neither."""
    hours = settings.maintenance.history_hours
    asked = st.query_params.get("at")
    chosen = from_address(asked, tables.contract.by_name)
    no_time = [asked] if asked and chosen is None else []

    def move() -> None:
        minutes = int(st.session_state["_back"])
        _go_to(datetime.now(timezone.utc) - timedelta(minutes=minutes) if minutes else None, "_back")

    st.divider()
    most = _minutes_back(tables, hours, frozen=chosen is not None)
    if most:
        st.slider(
            "As of: minutes back",
            0,
            most,
            key="_back",
            on_change=move,
            help=f"The page as it was, as far as there is history. Kept for {hours:g} hours. 0 is now.",
        )
    else:
        st.caption("As of an earlier time: in a minute, when there is history.")
    box = st.expander("Exact time or version", icon=":material/history:", key="_exact", on_change="rerun")
    if box.open:
        with box:
            _exact(settings, tables, chosen)
    if chosen is not None:
        st.caption(_described(settings, tables, chosen))
        st.button("Back to now", on_click=_go_to, args=(None,), width="stretch", icon=":material/update:")
    return chosen, address.sentence("Time or version", no_time, "now is shown")


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


_MOST = "_back_most"
"""Key of the session's state: where the slider ended at the last run."""


def _exact(settings: Settings, tables: LiveTables, chosen: AsOf | None) -> None:
    """A time to the minute, or a version of a table."""
    zone = settings.business_zone

    def to_time() -> None:
        picked = st.session_state["_at_time"]
        _go_to(picked.replace(tzinfo=zone) if picked is not None else None, "_at_time")

    def to_version() -> None:
        number = st.session_state["_at_version"]
        _go_to(Version(str(st.session_state["_at_table"]), int(number)) if number is not None else None, "_at_version")

    kept = st.session_state  # a default given to the widget itself would conflict with the values that _go_to sets
    kept.setdefault("_at_time", chosen.astimezone(zone).replace(tzinfo=None) if isinstance(chosen, datetime) else None)
    zone_name = settings.rules.time_zone
    st.datetime_input(f"Time ({zone_name})", None, key="_at_time", step=60, on_change=to_time, format="YYYY-MM-DD")
    names = [table.name for table in tables.contract.all if tables.read_shared().has(table.name)]
    if not names:
        return
    at = chosen if isinstance(chosen, Version) else None
    clean = tables.contract.clean.name
    kept.setdefault("_at_table", at.table if at and at.table in names else clean if clean in names else names[0])
    kept.setdefault("_at_version", at.number if at else None)
    table = str(st.selectbox("Versions of", names, key="_at_table"))
    st.number_input("Version", min_value=0, value=None, step=1, key="_at_version", on_change=to_version)
    first, last = kept_versions(tables.path(table)) or (0, 0)
    st.caption(
        f"The log of {text.markdown(table)} has {first:,} to {last:,}. Each version of the last minutes can be "
        "read; before that, the last one of each minute."
    )


def _described(settings: Settings, tables: LiveTables, chosen: AsOf) -> str:
    zone = settings.business_zone
    if isinstance(chosen, datetime):
        return f"As of {chosen.astimezone(zone):%Y-%m-%d %H:%M:%S} ({settings.rules.time_zone})"
    committed = committed_at(tables.path(chosen.table), chosen.number)
    when = (
        f", committed {committed.astimezone(zone):%Y-%m-%d %H:%M:%S} ({settings.rules.time_zone})" if committed else ""
    )
    return f"Version {chosen.number:,} of {text.markdown(chosen.table)}{when}; the other tables as they were with it"


def _go_to(target: AsOf | None, asked_by: str = "") -> None:
    """Put it into the address; clear the other inputs."""
    if target is None:
        st.query_params.pop("at", None)
    else:
        st.query_params["at"] = to_address(target)
    for key, empty in (("_back", 0), ("_at_time", None), ("_at_version", None)):
        if key != asked_by and key in st.session_state:
            st.session_state[key] = empty
