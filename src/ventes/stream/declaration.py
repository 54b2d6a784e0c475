"""A stream: the events of one topic, the tables made of them, and the page. Declared once; all else is derived."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from keyword import iskeyword

from ventes.stream.declared import Declared, refuse_twice
from ventes.stream.grains import Grain
from ventes.stream.kinds import Field, Instant, Integer, Money, Quotient, Text
from ventes.stream.measures import Expression, Mean, Measure, OfField, Sum
from ventes.stream.page import Page, completed
from ventes.stream.reasons import OF_A_MESSAGE

BRONZE_VIEW = "bronze_data"
"""What typed queries call Bronze."""
MOST_COUNT = 4 * 10**18
"""Of a Quotient's divisor: twice the largest amount in cents (10^18) and the divisor together fit 64 bits."""


@dataclass(frozen=True)
class Event(Declared):
    """One message of the topic.

    `id`: the field whose value is never used twice (Integer or Text). `at`: the field with the time of the event.
    `fields`: in the order of the columns; a Quotient among them is a column of the clean events only.
    `frame`: "registry" if five bytes of a schema registry (a zero byte, the schema's number) precede the JSON.
    `envelope`: "debezium" if the event is `after` in a change event {"before", "after", "op", ...}, with or without
    {"schema", "payload"} around it. A delete, and a change without `after`, is a message without an event.

    `Event(id="ref", at="taken", fields=(Text("ref"), Instant("taken"), Money("price")))` reads
    {"ref": "A1", "taken": "2026-01-05T10:00:00Z", "price": 9.5}.
    """

    id: str
    at: str
    fields: tuple[Field | Quotient, ...]
    frame: str | None = None
    envelope: str | None = None

    def check(self) -> None:
        if self.frame not in (None, "registry"):
            raise self.refuse(f'frame {self.frame!r} is not "registry"')
        if self.envelope not in (None, "debezium"):
            raise self.refuse(f'envelope {self.envelope!r} is not "debezium"')
        named = {field.name: field for field in self.read}
        for what, name, kinds in (("id", self.id, (Integer, Text)), ("at", self.at, (Instant,))):
            if name not in named:
                raise self.refuse(f"{what} = {name!r} is not one of the fields: {', '.join(named)}")
            if not isinstance(named[name], kinds):
                allowed = " or ".join(kind.__name__ for kind in kinds)
                raise self.refuse(f"{what} = {name!r} is {_kind(named[name])}; it must be {allowed}")
            if named[name].optional:
                raise self.refuse(f"{what} = {name!r} is optional: an event without it could not be placed")
        refuse_twice("field", ((field.name, field) for field in self.fields))
        columns = ((field.clean_name if isinstance(field, Field) else field.name, field) for field in self.fields)
        refuse_twice("column of the clean events", columns)
        for one in self.read:
            for other in self.read:
                if one is not other and other.keys[: len(one.keys)] == one.keys:
                    paths = f"{'.'.join(one.keys)} and {'.'.join(other.keys)}"
                    raise other.refuse(f"field {other.name}: line {one.line} reads the same value: {paths}")
        for quotient in self.quotients:
            amount, count = named.get(quotient.amount), named.get(quotient.count)
            if not isinstance(amount, Money):
                raise quotient.refuse(f"{quotient.name}: amount = {quotient.amount!r} is no Money field")
            if not isinstance(count, Integer) or count.least < 1:
                raise quotient.refuse(f"{quotient.name}: count = {quotient.count!r} is no Integer field with least ≥ 1")
            if count.most > MOST_COUNT:
                raise quotient.refuse(f"{quotient.name}: {quotient.count} must have most = {MOST_COUNT} or less")
            if amount.optional or count.optional:
                raise quotient.refuse(f"{quotient.name}: its fields must not be optional")

    @cached_property
    def read(self) -> tuple[Field, ...]:
        """The fields that are read from a message."""
        return tuple(field for field in self.fields if isinstance(field, Field))

    @cached_property
    def quotients(self) -> tuple[Quotient, ...]:
        return tuple(field for field in self.fields if isinstance(field, Quotient))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the fields that are read, in order."""
        return tuple(field.name for field in self.read)

    def field(self, name: str) -> Field:
        """The field of that name. Raises KeyError."""
        return {field.name: field for field in self.read}[name]


@dataclass(frozen=True)
class Rule(Declared):
    """A condition that a valid event must meet, beyond the kinds of its fields.

    `condition`: an expression of DuckDB's SQL over the fields by their names, quoted ("at") where a name is a word of
    SQL. False breaks the rule; NULL and an error do not. `code`: the reason in `motifs`. `severity`: "reject" puts the
    message into the rejects; "flag" keeps it clean and lists the code in `signalements`. `en`, `fr`: a sentence for
    people.

    `Rule("refund_too_large", "refund <= total", en="More is given back than was paid.")`.
    """

    code: str
    condition: str
    en: str
    fr: str = ""
    severity: str = "reject"

    def check(self) -> None:
        self.require_name(self.code, "rule")
        if self.code in OF_A_MESSAGE:
            raise self.refuse(f"rule {self.code}: this is a reason of the pipeline's own; choose another code")
        if self.severity not in ("reject", "flag"):
            raise self.refuse(f'rule {self.code}: severity {self.severity!r} is not "reject" or "flag"')


@dataclass(frozen=True)
class Aggregate(Declared):
    """A table with one row for each combination of `by`, kept up to date with each lot.

    `by`: fields by their name, and at most one grain of time. `where`: an SQL condition over the columns of the clean
    events; only such events count.

    `Aggregate("orders_by_city", by=("city", ByDay()), measures=(Count("orders"), Sum("revenue", "total")))` has the
    columns city, jour, orders, revenue; a city that is NULL has rows of its own.
    """

    table: str
    by: tuple[str | Grain, ...]
    measures: tuple[Measure, ...]
    where: str | None = None

    def check(self) -> None:
        self.require_name(self.table, "table")
        if not self.by:
            raise self.refuse(f"{self.table}: by must name at least one field or grain")
        if sum(isinstance(part, Grain) for part in self.by) > 1:
            raise self.refuse(f"{self.table}: by has two grains of time; the finer one is enough")
        if not self.measures:
            raise self.refuse(f"{self.table}: no measure")
        keys = [(name, part if isinstance(part, Grain) else self) for name, part in zip(self.key, self.by, strict=True)]
        for place, (name, part) in enumerate(keys):
            if name.lower() in {other.lower() for other, _ in keys[:place]}:
                raise part.refuse(
                    f"{self.table}: by has {name!r} twice; a grain takes another name, as in ByDay('day')"
                )
        refuse_twice(f"{self.table}: column", [*keys, *((measure.name, measure) for measure in self.measures)])

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns of `by`."""
        return tuple(part.column if isinstance(part, Grain) else part for part in self.by)

    @cached_property
    def grain(self) -> Grain | None:
        return next((part for part in self.by if isinstance(part, Grain)), None)


@dataclass(frozen=True)
class Stream(Declared):
    """Everything the pipeline knows about the events of one topic.

    `name`: of the tables <name>_clean and <name>_rejets, and of the jobs' transactions. `noun`: what one event is
    called in sentences for people. `page`: what the page shows; by default derived from the event. `summary`: figures
    of all clean events together, which `ventes verify` prints.

    A file makes one: `STREAM = Stream("orders", topic="shop.orders.v1", noun="order", event=Event(…), tables=(…))`.
    Raises DeclarationError for parts that do not fit each other, with the line of the part.
    """

    name: str
    topic: str
    event: Event
    tables: tuple[Aggregate, ...] = ()
    rules: tuple[Rule, ...] = ()
    noun: str = "event"
    page: Page | None = None
    summary: tuple[Measure, ...] = ()

    def check(self) -> None:
        self.require_name(self.name, "stream")
        if self.name != self.name.lower():
            raise self.refuse(f"stream {self.name!r}: use lower case; folders and tables are called like it")
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", self.topic):
            raise self.refuse(f"topic {self.topic!r} is no name of a Kafka topic")
        own = ("bronze", BRONZE_VIEW, f"{self.name}_clean", f"{self.name}_rejets")
        for table in self.tables:
            if table.table.lower() in own:
                raise table.refuse(f"table {table.table!r}: every stream has a table of this name; choose another one")
        refuse_twice("table", ((table.table, table) for table in self.tables))
        refuse_twice("rule", ((rule.code, rule) for rule in self.rules))
        refuse_twice("summary: figure", ((measure.name, measure) for measure in self.summary))
        for table in self.tables:
            self._check_table(table)
        self._check_measures(f"{self.name}: summary", self.summary)
        for measure in self.summary:
            if isinstance(measure, Expression) or measure.name == "records" or iskeyword(measure.name):
                raise measure.refuse(f"summary: {measure.name} cannot be one of its figures")
        completed(self).check_event(self.event)

    def __hash__(self) -> int:
        return hash((self.name, self.topic))  # all of it takes 12 µs, and every batch asks caches for its stream

    def _check_table(self, table: Aggregate) -> None:
        fields = {field.name: field for field in self.event.read}
        for part in table.by:
            if isinstance(part, Grain):
                continue
            if part not in fields:
                raise table.refuse(
                    f"{table.table}: by names {part!r}, which is not one of the fields: {', '.join(fields)}"
                )
        self._check_measures(table.table, table.measures)

    def _check_measures(self, where: str, measures: tuple[Measure, ...]) -> None:
        fields = {field.name: field for field in self.event.read}
        for measure in measures:
            if not isinstance(measure, OfField):
                continue
            if measure.field not in fields:
                raise measure.refuse(
                    f"{where}.{measure.name}: {measure.field!r} is not one of the fields: {', '.join(fields)}"
                )
            if isinstance(measure, Sum | Mean) and not fields[measure.field].is_number:
                raise measure.refuse(
                    f"{where}.{measure.name}: {measure.field} is {_kind(fields[measure.field])}, not a number"
                )

    @cached_property
    def flagged(self) -> bool:
        """Whether it has rules that flag: then Bronze and the clean events have `signalements`."""
        return any(rule.severity == "flag" for rule in self.rules)

    @cached_property
    def shown(self) -> Page:
        """The page, its undeclared parts derived from the event."""
        return completed(self)

    @cached_property
    def silver_app(self) -> str:
        """The application id of every commit to a Silver table; its version is the lot."""
        return f"{self.name}-silver"

    @cached_property
    def rejected_app(self) -> str:
        """The application id of a commit of clean events; its version is the rows of the rejects with the same lot."""
        return f"{self.name}-rejets"

    @cached_property
    def accepted_app(self) -> str:
        """The application id of a commit that accepts what another program made of a table of clean events or rejects;
        its version is the table's version before it."""
        return f"{self.name}-accepted"

    @cached_property
    def bronze_app(self) -> str:
        """What the application ids of commits to Bronze begin with."""
        return f"{self.name}-bronze"


def _kind(field: Field) -> str:
    return type(field).__name__
