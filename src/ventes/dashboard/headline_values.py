"""The values of the figures at the top. No Streamlit.

Different values of a large table are counted apart (distinct_counts.py); the other figures then need no key but days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property

from ventes.dashboard.figures import Headline, HeadlineQuery, headline_query
from ventes.dashboard.filters import Filters
from ventes.dashboard.query_sources import distinct_values, is_large, tables_for, views_of
from ventes.dashboard.source import TableSnapshots
from ventes.stream.declaration import Event
from ventes.stream.measures import Distinct
from ventes.stream.page import Figure


@dataclass(frozen=True)
class HeadlineValues:
    """What is asked for the figures with these filters, and the tables that answer."""

    figures: tuple[Figure, ...]
    event: Event
    snapshots: TableSnapshots
    filters: Filters

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """The tables on which the values depend."""
        asked = [*self._query.questions, *(self._others.questions if self._others else ())]
        return tables_for(self.snapshots, self.filters, *asked)

    def of(self, day: date) -> Headline:
        """The values, and those of a business day. Raises NotReadable."""
        total: dict[int, object] = {}
        of_day: dict[int, object] = {}
        within = self.filters.within_day(day)
        for number, field in self._apart.items():
            total[number] = distinct_values(self.snapshots, self.filters, field)
            if self.figures[number].by_day:
                of_day[number] = 0 if within is None else distinct_values(self.snapshots, within, field)
        if self._others is not None:
            with self.snapshots.tables.connection() as con:
                views = views_of(con, self.snapshots, self.filters, *self._others.questions)
                found = self._others.of(con, day, views)
            others = [number for number in range(len(self.figures)) if number not in self._apart]
            total |= dict(zip(others, found.total, strict=True))
            of_day |= dict(zip(others, found.day, strict=True))
        numbers = range(len(self.figures))
        return Headline(tuple(total[number] for number in numbers), tuple(of_day.get(number) for number in numbers))

    @cached_property
    def _query(self) -> HeadlineQuery:
        return headline_query(self.figures, self.event)

    @cached_property
    def _apart(self) -> dict[int, str]:
        """Figures, by number, that count the different values of a field in a large table → the field.

        None for an earlier time: the values that are kept are those of now.
        """
        if self.snapshots.as_of is not None:
            return {}
        return {
            number: figure.measure.field
            for number, figure in enumerate(self.figures)
            if isinstance(figure.measure, Distinct)
            and is_large(self.snapshots, self.filters, self._query.question_of(number))
        }

    @cached_property
    def _others(self) -> HeadlineQuery | None:
        """The query of the figures that are not counted apart; None if there are none."""
        left = tuple(figure for number, figure in enumerate(self.figures) if number not in self._apart)
        return headline_query(left, self.event) if left else None
