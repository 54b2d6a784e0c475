"""The page of a stream: its figures, tabs, labels and words. Whatever is not declared is derived from the event.

The page groups and adds up with the measures of `measures`: Count, Sum, Mean, Min, Max, Share and Distinct. The name of
a measure is its label: "revenue" is "Revenue" above a column.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from string import Formatter
from typing import TYPE_CHECKING

from ventes.stream.declared import Declared
from ventes.stream.kinds import Decimals, Field, Integer, Money, Text
from ventes.stream.measures import Count, Distinct, Max, Mean, Measure, Min, OfField, Share, Sum

if TYPE_CHECKING:
    from ventes.stream.declaration import Event, Stream

ON_THE_PAGE = (Count, Sum, Mean, Min, Max, Share, Distinct)
"""The measures that the page can compute from any rows."""
EVENTS = Count("events")
ADDABLE = (Count, Sum, Mean, Min, Max, Share)
"""Those that need no field among the keys."""
SYSTEM_TABS = ("Rejected Messages", "Freshness", "SQL")
"""They follow the declared tabs on every page."""
LEAST_TABS = 2
"""With Rejected Messages and Freshness they are tab1 … tab4 of streamlit_dashboard.py."""
MOST_FIGURES = 8
"""They stand in one row."""


def in_words(name: str) -> str:
    """The name of a field or measure as a label: "ship_mode" is "Ship mode"."""
    return name.replace("_", " ").capitalize()


def plural_of(noun: str) -> str:
    """The regular plural of an English noun: sale → sales, country → countries, status → statuses."""
    if re.search("[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if re.search("(s|x|z|ch|sh)$", noun) else f"{noun}s"


@dataclass(frozen=True)
class Label(Declared):
    """What people call a field: `one` above a column and a filter ("Country"), `many` in sentences ("countries").

    `Label("customer_city", "City")`: its plural is "cities"; the filters stand in the order of the labels.
    """

    field: str
    one: str
    many: str = ""

    @property
    def plural(self) -> str:
        return self.many or plural_of(self.one.lower())

    @property
    def slug(self) -> str:
        """For the address of the page: "ship mode" is "ship_mode"."""
        return re.sub(r"\W+", "_", self.one.lower()).strip("_")


@dataclass(frozen=True)
class Figure(Declared):
    """A number at the top of the page, with its change against earlier days and a small line over time.

    `note`: the text below it. By default it is the value of the current business day.

    `Figure("Late", Share("late", where="delay >= 15"))`; `Figure("Customers", Distinct("n", "customer"), note="ever")`.
    """

    label: str
    measure: Measure
    note: str | None = None

    @property
    def by_day(self) -> bool:
        """Whether the value of the current business day stands below it."""
        return self.note is None

    def check(self) -> None:
        if not isinstance(self.measure, ON_THE_PAGE):
            raise self.refuse(f"figure {self.label!r}: {type(self.measure).__name__} is no figure; use {_listed()}")


@dataclass(frozen=True)
class Records(Figure):
    """The number of messages in Bronze, rejected ones included; with filters, the number of events that pass them.

    `Records("All messages")`.
    """

    measure: Measure = EVENTS


@dataclass(frozen=True)
class Tab(Declared):
    """A tab of the page; use one of its kinds."""

    label: str

    def check_event(self, fields: dict[str, Field]) -> None:
        """Raise DeclarationError for a mistake that shows only beside the fields of the event."""


@dataclass(frozen=True)
class Bars(Tab):
    """A bar for each value of the field `by`, the largest first, and all of them as a table.

    `measures`: the first is the length of a bar, all are columns of the table. `axis`: what the bars show, by default
    the first measure. `hover`: Plotly's HTML, in which {name} stands for the field or a measure, as text.

    `Bars("By city", by="city", measures=(Sum("revenue", "total"), Count("orders")), axis="Revenue")`.
    """

    by: str
    measures: tuple[Measure, ...] = (EVENTS,)
    axis: str = ""
    hover: str = ""

    def check(self) -> None:
        if not self.measures:
            raise self.refuse(f"{self.label!r}: no measure, so the bars have no length")
        _check_measures(self, self.label, (self.by,), self.measures, ON_THE_PAGE)
        _check_hover(self, self.hover, {self.by, *(measure.name for measure in self.measures)})

    def check_event(self, fields: dict[str, Field]) -> None:
        _check_fields(self, self.label, (self.by,), self.measures, fields)
        _check_lengths(self, self.label, self.measures[:1], fields)


@dataclass(frozen=True)
class Rank(Declared):
    """A measure to rank by; `heading` above the chart, `axis` beside it.

    `Rank("revenue", "Best cities", "Revenue")`.
    """

    measure: str
    heading: str = ""
    axis: str = ""


@dataclass(frozen=True)
class Ranking(Tab):
    """The `most` largest combinations of the fields `by`, ranked by one of `ranks`: the viewer chooses which.

    `name`: the field beside the bars, by default the first. `ranks`: names of measures, or Rank. `hover`: as of Bars.
    `alt`: the text alternative of the chart.

    `Ranking("Routes", by=("origin", "dest"), measures=(Count("flights"), Mean("delay", "late_by")), ranks=("delay",))`.
    """

    by: tuple[str, ...]
    measures: tuple[Measure, ...] = (EVENTS,)
    ranks: tuple[str | Rank, ...] = ()
    name: str = ""
    most: int = 10
    hover: str = ""
    alt: str = ""

    @cached_property
    def ranked(self) -> tuple[Rank, ...]:
        """By default one for each measure."""
        given = self.ranks or tuple(measure.name for measure in self.measures)
        return tuple(rank if isinstance(rank, Rank) else Rank(rank) for rank in given)

    @property
    def named(self) -> str:
        return self.name or self.by[0]

    def check(self) -> None:
        _check_measures(self, self.label, self.by, self.measures, ON_THE_PAGE)
        names = [measure.name for measure in self.measures]
        for rank in self.ranked:
            if rank.measure not in names:
                raise self.refuse(f"tab {self.label!r}: it has no measure {rank.measure!r} to rank by")
        if not self.by or self.named not in self.by:
            raise self.refuse(f"tab {self.label!r}: name = {self.named!r} is not one of by: {', '.join(self.by)}")
        if not 1 <= self.most <= 100:
            raise self.refuse(f"tab {self.label!r}: most must be 1 to 100")
        _check_hover(self, self.hover, {*self.by, *names})

    def check_event(self, fields: dict[str, Field]) -> None:
        _check_fields(self, self.label, self.by, self.measures, fields)
        ranked = {rank.measure for rank in self.ranked}
        _check_lengths(self, self.label, [measure for measure in self.measures if measure.name in ranked], fields)


@dataclass(frozen=True)
class Timeline(Tab):
    """The number of events over time, in all or in each span, and further `measures` of each span (no Distinct).

    `Timeline("Over time", measures=(Sum("revenue", "total"),))`. A span is as long as at most 400 points allow.
    """

    measures: tuple[Measure, ...] = ()

    def check(self) -> None:
        _check_measures(self, self.label, ("start", "events", "cumulative"), self.measures, ADDABLE)

    def check_event(self, fields: dict[str, Field]) -> None:
        _check_fields(self, self.label, (), self.measures, fields)
        _check_lengths(self, self.label, self.measures, fields)


@dataclass(frozen=True)
class Raw(Tab):
    """The newest messages of Bronze. `columns`: fields in order, by default all. `hint`: in the empty search box.

    `Raw("Raw Data", columns=("order_id", "total"), hint="an order …")`.
    """

    columns: tuple[str, ...] = ()
    hint: str = "a name, an id …"

    def check_event(self, fields: dict[str, Field]) -> None:
        _check_fields(self, self.label, self.columns, (), fields)


@dataclass(frozen=True)
class TabFile(Tab):
    """A tab written by hand: a file like those in dashboard_tabs/, its path beside the declaration.

    `TabFile("Weather", "tabs/weather.py")`.
    """

    file: str


@dataclass(frozen=True)
class Example(Declared):
    """A query to start from, on the SQL tab: one SELECT in Spark's dialect over bronze_data and the Silver tables.

    `Example("Orders of a day", "SELECT jour, COUNT(*) AS n FROM orders_clean GROUP BY jour ORDER BY jour")`.
    """

    label: str
    sql: str


@dataclass(frozen=True)
class Page(Declared):
    """What the page shows. An empty part is derived from the stream.

    `one`, `many`: what people call an event ("sale", "sales"); by default the stream's `noun`, and its plural. `title`:
    at the top; by default "Sales, live". `labels`: of fields; the filters stand in their order. `examples`: queries of
    the SQL tab. `french`: words of the other parts → what a French page shows instead: labels, headings, hover texts,
    and names of measures as they are shown ("Revenue").

    `Page(figures=(Records("All messages"),), labels=(Label("city", "City"),))`: the tabs are derived.
    """

    title: str = ""
    one: str = ""
    many: str = ""
    figures: tuple[Figure, ...] = ()
    tabs: tuple[Tab, ...] = ()
    labels: tuple[Label, ...] = ()
    examples: tuple[Example, ...] = ()
    french: Mapping[str, str] = field(default_factory=dict, compare=False)

    def check(self) -> None:
        if len(self.figures) > MOST_FIGURES:
            raise self.refuse(f"{len(self.figures)} figures; they stand in one row, at most {MOST_FIGURES}")
        if 0 < len(self.tabs) < LEAST_TABS:
            raise self.refuse("one tab; declare at least two: streamlit_dashboard.py names the first four of the page")
        _require_once(self, "tabs", [*(tab.label for tab in self.tabs), *SYSTEM_TABS])
        _require_once(self, "figures", [figure.label for figure in self.figures])
        _require_once(self, "examples", [example.label for example in self.examples])
        _require_once(self, "labels of one field", [label.field for label in self.labels])
        for tab in self.tabs:
            if isinstance(tab, Timeline):
                names = [measure.name for measure in tab.measures]
                _require_once(tab, f"choices of {tab.label!r}", ["cumulative", self.many, *names])

    def check_event(self, event: Event) -> None:
        """Raise DeclarationError for a field that the event does not have, or that a measure cannot take."""
        fields = {field.name: field for field in event.read}
        for label in self.labels:
            if label.field not in fields:
                raise label.refuse(f"label {label.one!r}: {_not_a_field(label.field, fields)}")
        for figure in self.figures:
            _check_fields(figure, figure.label, (), (figure.measure,), fields)
        for tab in self.tabs:
            tab.check_event(fields)
        _require_once(self, "dimensions", [label.plural for label in self.dimensions(event)])
        _require_once(self, "dimensions", [label.slug for label in self.dimensions(event)])

    def dimensions(self, event: Event) -> tuple[Label, ...]:
        """The fields to filter by: those with a label, in the order of the labels, then the others."""
        fields = [field.name for field in event.read if field.dimension]
        labelled = [label.field for label in self.labels if label.field in fields]
        return tuple(self.label(name) for name in dict.fromkeys((*labelled, *fields)))

    def refused_target(self, names: Iterable[str]) -> str:
        """Why one of these figures cannot have a target for a day; "" if all can."""
        possible = [figure.label for figure in self.figures if figure.by_day]
        listed = ", ".join(map(repr, possible)) or "none"
        for name in names:
            if name not in [figure.label for figure in self.figures]:
                return f"the page has no figure {name!r}; figures with a value of the day: {listed}"
            if name not in possible:
                return f"the figure {name!r} has no value of the day; those that have one: {listed}"
        return ""

    def number(self, tab: Tab) -> int:
        """Which of the tabs of its kind it is, from 0."""
        return [other for other in self.tabs if type(other) is type(tab)].index(tab)

    def label(self, field: str) -> Label:
        """What people call the field."""
        return self._labels.get(field) or Label(field, in_words(field))

    @cached_property
    def _labels(self) -> dict[str, Label]:
        return {label.field: label for label in self.labels}

    @property
    def a_one(self) -> str:
        """ "a sale", "an event"."""
        return f"{'an' if self.one[:1].lower() in 'aeiou' else 'a'} {self.one}"

    def counted(self, number: int) -> str:
        """ "1 sale", "1,234 sales"."""
        return f"{number:,} {self.one if number == 1 else self.many}"


def completed(stream: Stream) -> Page:
    """The page of the stream, each part that is not declared derived from the event."""
    page = stream.page or Page()
    one = page.one or stream.noun
    many = page.many or plural_of(one)
    page = replace(page, one=one, many=many, title=page.title or f"{many[:1].upper()}{many[1:]}, live")
    derived = _Derived(stream, page)
    return replace(
        page,
        figures=page.figures or derived.figures(),
        tabs=page.tabs or derived.tabs(),
        examples=page.examples or derived.examples(),
    )


_KEY_LIKE = re.compile(r"(?i)(^|_)(id|key|code|nr|no|number|numero)$")
MOST_KEYS = 2


@dataclass(frozen=True)
class _Derived:
    """The parts of a page that the event suggests."""

    stream: Stream
    page: Page

    def figures(self) -> tuple[Figure, ...]:
        found: list[Figure] = [Records("Total Records")]
        for number, key in enumerate(self._keys):
            found.append(Figure(f"Unique {self.page.label(key.name).plural}", Distinct(f"keys_{number}", key.name)))
        if (amount := self._amount) is not None:
            name = self.page.label(amount.name).one
            found.append(Figure(f"Total {name}", Sum("total", amount.name)))
            found.append(Figure(f"Mean {name}", Mean("average", amount.name)))
        return tuple(found)

    def tabs(self) -> tuple[Tab, ...]:
        many = f"{self.page.many[:1].upper()}{self.page.many[1:]}"
        bars = [
            Bars(f"By {self.page.label(field.name).one}", field.name, self._measures({field.name}), axis=many)
            for field in self.stream.event.read
            if field.dimension
        ]
        tops = [
            Ranking(f"Top 10 {self.page.label(field.name).plural}", (field.name,), self._measures({field.name}))
            for field in self._keys[:1]
            if not field.dimension
        ]
        return (*bars, *tops, Timeline("Timeline"), Raw("Raw Data"))

    def examples(self) -> tuple[Example, ...]:
        event, name = self.stream.event, self.stream.name
        at = event.field(event.at).clean_name
        return (
            Example(
                f"{self.page.many.capitalize()} per hour of the day",
                f"SELECT hour(`{at}`) AS hour, COUNT(*) AS events\nFROM {name}_clean\nGROUP BY hour(`{at}`)\n"
                "ORDER BY hour",
            ),
            Example(
                "Why messages were rejected",
                "SELECT reason, COUNT(*) AS messages\n"
                f"FROM (SELECT explode(motifs) AS reason FROM {name}_rejets)\nGROUP BY reason\nORDER BY messages DESC",
            ),
            Example(
                f"Late {self.page.many}",
                f"SELECT jour, COUNT(*) AS late\nFROM {name}_clean\nWHERE en_retard\nGROUP BY jour\nORDER BY jour",
            ),
        )

    @cached_property
    def _keys(self) -> Sequence[Field]:
        """Fields that identify something: by their names, else the first dimensions."""
        others = [f for f in self.stream.event.read if f.name != self.stream.event.id and isinstance(f, Integer | Text)]
        named = [field for field in others if _KEY_LIKE.search(field.name)]
        return (named or [field for field in others if field.dimension])[:MOST_KEYS]

    @cached_property
    def _amount(self) -> Field | None:
        """The first amount of money, else the first decimal number; one that all events have, if there is one."""
        numbers = [field for field in self.stream.event.read if isinstance(field, Decimals)]
        return min(numbers, key=lambda field: (field.optional, not isinstance(field, Money)), default=None)

    def _measures(self, taken: set[str]) -> tuple[Measure, ...]:
        """Of each group: the number of events, and the sum and mean of the amount."""
        amount = self._amount
        found: list[Measure] = [Count("events")]
        if amount is not None:
            found += [Sum("total", amount.name), Mean("average", amount.name)]
        return tuple(
            measure if measure.name not in taken else replace(measure, name=f"{measure.name}_") for measure in found
        )


def _listed() -> str:
    return ", ".join(kind.__name__ for kind in ON_THE_PAGE)


def _not_a_field(name: str, fields: dict[str, Field]) -> str:
    return f"{name!r} is not one of the fields: {', '.join(fields)}"


def _require_once(owner: Declared, what: str, names: Iterable[str]) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise owner.refuse(f"two {what} are called {name!r}")


def _check_measures(
    owner: Declared, label: str, keys: tuple[str, ...], measures: tuple[Measure, ...], kinds: tuple[type[Measure], ...]
) -> None:
    """Each measure of one of the `kinds`; no two columns of one name."""
    for measure in measures:
        if not isinstance(measure, kinds):
            usable = ", ".join(kind.__name__ for kind in kinds)
            raise owner.refuse(f"{label!r}: {type(measure).__name__} {measure.name} cannot be shown; use {usable}")
    names = Counter(name.lower() for name in (*keys, *(measure.name for measure in measures)))
    for name, times in names.items():
        if times > 1:
            raise owner.refuse(f"{label!r}: two columns are called {name!r}")


def _check_fields(
    owner: Declared, label: str, by: tuple[str, ...], measures: tuple[Measure, ...], fields: dict[str, Field]
) -> None:
    """Each field one of the event's; sums and means only of numbers."""
    for name in by:
        if name not in fields:
            raise owner.refuse(f"{label!r}: {_not_a_field(name, fields)}")
    for measure in measures:
        if not isinstance(measure, OfField):
            continue
        if measure.field not in fields:
            raise owner.refuse(f"{label!r}, {measure.name}: {_not_a_field(measure.field, fields)}")
        field = fields[measure.field]
        if isinstance(measure, Sum | Mean) and not field.is_number:
            raise owner.refuse(f"{label!r}, {measure.name}: {field.name} is {type(field).__name__}, not a number")


def _check_lengths(owner: Declared, label: str, measures: Iterable[Measure], fields: dict[str, Field]) -> None:
    """Each measure is a number, to be drawn. An earliest time is none."""
    for measure in measures:
        if isinstance(measure, Min | Max) and not fields[measure.field].is_number:
            kind = type(fields[measure.field]).__name__
            raise owner.refuse(f"{label!r}, {measure.name}: {measure.field} is {kind}; a bar shows numbers")


def _check_hover(owner: Declared, hover: str, names: set[str]) -> None:
    try:
        used = {name for _, name, _, _ in Formatter().parse(hover) if name is not None}
    except ValueError as error:
        raise owner.refuse(f"hover: {error}") from None
    if unknown := used - names:
        raise owner.refuse(f"hover names {min(unknown)!r}; it can name: {', '.join(sorted(names))}")
