"""The argument of a tab: the tables of this refresh, the viewer's choices, and methods to show data.

These methods set keys, colours and formats: so zoom, sort and selection stay while data changes, and data is shown as
text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import streamlit as st

from ventes.config import Settings
from ventes.contract.tables import Tables
from ventes.dashboard import address, grid, language, picked, plot, query_sources, states, text, translated
from ventes.dashboard.filters import Filters
from ventes.dashboard.language import tr
from ventes.dashboard.questions import Grouped, Question
from ventes.dashboard.source import TableSnapshots
from ventes.stream.declaration import Stream
from ventes.stream.kinds import Money
from ventes.stream.measures import Distinct, Measure, OfField, Share
from ventes.stream.page import Bars, Page, Ranking

if TYPE_CHECKING:
    from ventes.dashboard.spark import Spark

T = TypeVar("T")

TABLE_HEIGHT = 380
"""Pixels of the table of a chart."""


@dataclass(frozen=True)
class View:
    """One refresh of one session."""

    settings: Settings
    snapshots: TableSnapshots
    filters: Filters
    spark: Spark
    """`spark.sql("SELECT … FROM bronze_data …")`, for tabs of your own."""

    @property
    def moment(self) -> TableSnapshots:
        """The same as `snapshots`, under the name that tabs of earlier releases use."""
        return self.snapshots

    @property
    def now(self) -> datetime:
        """The moment that is shown: now, or the one that the page goes back to."""
        return self.snapshots.as_of or datetime.now(timezone.utc)

    @property
    def zone(self) -> ZoneInfo:
        """The business zone."""
        return self.settings.business_zone

    @property
    def contract(self) -> Tables:
        """The tables as the stream declares them."""
        return self.snapshots.tables.contract

    @property
    def stream(self) -> Stream:
        return self.contract.stream

    @property
    def page(self) -> Page:
        """What the page of this stream shows, in the viewer's language."""
        return translated.page_of(self.stream)

    @property
    def identifiers(self) -> frozenset[str]:
        """The fields that name something: the event's id, dimensions, keys of tables and tabs, what is counted once.

        Their numbers are written without separators.
        """
        event, page = self.stream.event, self.page
        measures = [*(figure.measure for figure in page.figures)]
        measures += [measure for tab in page.tabs if isinstance(tab, Bars | Ranking) for measure in tab.measures]
        return frozenset(
            {event.id, *(field.name for field in event.read if field.dimension)}
            | {name for table in self.stream.tables for name in table.by if isinstance(name, str)}
            | {tab.by for tab in page.tabs if isinstance(tab, Bars)}
            | {name for tab in page.tabs if isinstance(tab, Ranking) for name in tab.by}
            | {measure.field for measure in measures if isinstance(measure, Distinct)}
        )

    @contextmanager
    def sums(self, *questions: Question) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection with the view of each question (`ventes.dashboard.questions.question`): sums of the events that
        pass the filters. A key may have several rows. Raises NotReadable."""
        with self.sums_of(self.filters, *questions) as con:
            yield con

    @contextmanager
    def sums_of(self, filters: Filters, *questions: Question) -> Iterator[duckdb.DuckDBPyConnection]:
        """The same with other filters. Raises NotReadable."""
        with query_sources.narrowed(self.snapshots, filters, *questions) as con:
            yield con

    def grouped(self, asked: Grouped) -> tuple[Question, bool]:
        """The question for `asked` that reads the fewest rows, and whether it is its `stored_question`."""
        stored = asked.stored_question(self.stream.event)
        if query_sources.is_stored(self.snapshots, self.filters, stored):
            return stored, True
        return asked.question(self.stream.event), False

    def answered_by(self, *questions: Question) -> tuple[str, ...]:
        """The tables that `sums` reads, for `shared`."""
        return query_sources.tables_for(self.snapshots, self.filters, *questions)

    def shared(self, what: Hashable, tables: tuple[str, ...], make: Callable[[], T]) -> T:
        """`make()`, computed once for these filters and this state of `tables`. Raises NotReadable."""
        return self.snapshots.shared((what, self.filters), tables, make)

    def shared_between(
        self, what: Hashable, tables: tuple[str, ...], start: datetime, end: datetime, make: Callable[[], T]
    ) -> T:
        """The same for what `tables` say about the time from `start` to before `end`: commits with later events alone
        leave it as it is. Raises NotReadable."""
        key = (what, self.filters, query_sources.settled(self.snapshots, tables, start, end))
        return self.snapshots.tables.results.get(key, make)

    def money(self, amount: Decimal | int | float | None) -> str:
        """An amount in the currency of ventes.toml, with cents."""
        return "–" if amount is None else text.money(Decimal(amount), self.settings.page.currency)

    def currency(self, measure: Measure) -> str | None:
        """The currency of a measure's values; None if they are no money."""
        if isinstance(measure, OfField) and not isinstance(measure, Distinct):
            return self.currency_of(measure.field)
        return None

    def currency_of(self, field: str) -> str | None:
        """The currency of a field; None if it is no money."""
        kind = self.stream.event.field(field)
        return (kind.currency or self.settings.page.currency) if isinstance(kind, Money) else None

    def written(self, measure: Measure, value: Any) -> str:
        """A value of a measure as people read it: money with its currency, every digit of other numbers."""
        if value is None:
            return "–"
        if (currency := self.currency(measure)) is not None:
            return text.money(Decimal(value), currency)
        if isinstance(measure, Share):
            return text.percent(value)
        if isinstance(value, datetime):
            local = self.local(value)
            return "–" if local is None else language.moment(local)
        if isinstance(value, Decimal):
            return language.decimal(value)
        if isinstance(value, date):
            return language.moment(value, "day")
        return str(value) if isinstance(value, str | bool) else language.decimal(Decimal(str(value)))

    def local(self, moment: datetime | None) -> datetime | None:
        """A time of the tables (UTC) in the business zone, naive, for tables and axes that name the zone."""
        if moment is None:
            return None
        return moment.astimezone(self.settings.business_zone).replace(tzinfo=None)

    def span(self, start: datetime, end: datetime) -> str:
        """From when to when, in the business zone."""
        first, last = self.local(start), self.local(end)
        assert first is not None
        assert last is not None
        return tr("{start} to {end}", start=language.moment(first, "minute"), end=language.moment(last, "minute"))

    # -- ways to show ---------------------------------------------------------------------------

    def nothing(self) -> None:
        """Say that there is nothing to show, and why."""
        page = self.page
        if self.filters.used:
            states.empty(tr("No {one} matches these filters.", one=page.one, many=page.many))
        else:
            states.waiting(
                tr("No {many} yet. They appear here by themselves as soon as the first ones arrive.", many=page.many)
            )

    def say_unfiltered(self, what: str) -> None:
        """Say, above what is not narrowed by the filters, that it is not, if there are any. `what`: what it shows."""
        if self.filters.used:
            states.note(tr("The filters do not apply here: {what}.", what=what))

    def chart(
        self,
        figure: Any,
        key: str,
        alt: str,
        zoom: bool = False,
        picks: Sequence[Mapping[str, str]] = (),
        spans: Sequence[int] = (),
        fill: bool = False,
    ) -> None:
        """A Plotly figure, or the dictionary of one, that keeps its place while its data changes.

        `picks`: for each bar the values of fields by which a click on it filters; `spans`: the seconds of each point
        over time, which a click shows alone; `fill`: in a high window it is higher than the figure says, down to its
        end.
        """
        config = {
            "displaylogo": False,
            "displayModeBar": "hover" if zoom else False,
            "scrollZoom": False,
            "modeBarButtonsToRemove": ["select2d", "lasso2d", "toImage"],
            "locale": language.current(),
        }
        if isinstance(figure, dict):
            figure = {**figure, "layout": {**figure["layout"], **language.plotly_layout()}}
        if zoom and isinstance(figure, dict):
            layout = figure["layout"]  # a zoom is one of time: the script fits the other axis to what is visible
            yaxis = {**layout["yaxis"], "fixedrange": True}
            figure = {**figure, "layout": {**layout, "dragmode": "zoom", "yaxis": yaxis}}
        dimensions = frozenset(label.field for label in self.page.dimensions(self.stream.event))

        def pick(click: plot.Click) -> None:
            if click.span:
                picked.toggle_span(*picked.span(click.x.replace(" ", "T"), click.span, self.zone))
            elif click.pick:
                picked.toggle(self.page, dimensions, json.loads(click.pick))

        listed = [json.dumps(each) if each else "" for each in picks]
        if plot.show(figure, key, config, alt, listed, spans, pick if picks or spans else None, fill):
            st.rerun()  # the filters are outside of this fragment

    def table(
        self,
        rows: Sequence[Mapping[str, Any]] | pa.Table,
        key: str,
        money: Sequence[str] | Mapping[str, str] = (),
        height: int | Literal["auto"] = "auto",
        formats: Mapping[str, str] | None = None,
    ) -> None:
        """Rows as a sortable, searchable table, every number exact. Text must have gone through text.cell.

        `money` columns are in the currency, or each in the one given; `formats` are Streamlit's, by column, where the
        usual one is not meant.
        """
        arrow = rows if isinstance(rows, pa.Table) else grid.arrow_of(rows)
        table, columns = grid.shown(arrow, self.settings.page.currency, money, formats or {})
        st.dataframe(table, key=f"table-{key}", hide_index=True, column_config=columns, height=height)

    def as_table(
        self,
        rows: Callable[[], Sequence[Mapping[str, Any]]],
        key: str,
        money: Mapping[str, str] | None = None,
        formats: Mapping[str, str] | None = None,
    ) -> None:
        """The values of a chart as a table that unfolds under it. `rows()` is called only while it is open."""
        box = st.expander(tr("As a table"), key=f"_table-{key}", on_change="rerun")
        if box.open:
            with box:
                self.table(rows(), f"{key}-table", money=money or {}, height=TABLE_HEIGHT, formats=formats)

    def choice(self, label: str, options: Sequence[str], key: str) -> str:
        """One of a few options, the first by default; kept in the URL."""
        address.adopt(key, {option: option for option in options}, language.choice)
        missing = address.refused(key, frozenset(map(language.choice, options)).__contains__)  # as they are shown
        chosen = st.segmented_control(
            label,
            options,
            default=options[0],
            key=key,
            format_func=language.choice,
            required=True,
            bind="query-params",
            on_change=address.forget,
            args=(key,),
        )
        if missing:
            first = language.choice(options[0]).lower()
            states.refused(address.sentence(label, missing, tr("{tab} is shown", tab=first)))
        return str(chosen or options[0])

    def text(self, label: str, key: str, placeholder: str = "") -> str:
        """A line of text, as it is typed; kept in the URL."""
        return str(st.text_input(label, key=key, placeholder=placeholder, bind="query-params", live=True) or "")
