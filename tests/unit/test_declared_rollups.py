"""Any declared aggregates over any events in any lots: merged lot by lot = recomputed at once = plain Python.

Also where the writer dies between two commits, and where the declaration changes on the way. More examples:
ROLLUP_EXAMPLES=500.
"""

from __future__ import annotations

import math
import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.silver_run import publisher_of, settings_of
from ventes.check import recompute
from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.deltalog import commit
from ventes.deltalog.database import connect
from ventes.deltalog.log import Log
from ventes.errors import LakeDamaged
from ventes.lake import clean_lots, rollup_files, rollup_partials, tables
from ventes.lake.rollup_partials import partials_of_lot, partials_of_rows
from ventes.lake.unpublished import Unpublished
from ventes.stream import (
    BOOLEAN,
    Aggregate,
    ByDay,
    ByHour,
    ByMinute,
    ByMonth,
    ByWeek,
    Count,
    Distinct,
    Expression,
    First,
    Last,
    Max,
    Mean,
    Min,
    Share,
    Sum,
    Top,
    Values,
)
from ventes.stream.declaration import Event, Stream
from ventes.stream.grains import Grain
from ventes.stream.kinds import Boolean, Day, Decimals, Instant, Integer, Text
from ventes.stream.measures import Measure

EXAMPLES = int(os.environ.get("ROLLUP_EXAMPLES", "8"))
Row = dict[str, Any]

EVENT = Event(
    id="number",
    at="time",
    fields=(
        Integer("number", least=1, most=2**53),
        Instant("time", column="moment"),
        Text("shop"),
        Text("order", optional=True, column="table"),  # names that SQL knows otherwise
        Integer("points", optional=True, column="score"),
        Integer("small", least=-100, most=100),
        Decimals("delay", optional=True, scale=3),
        Decimals("fee", scale=9, least=Decimal(-(10**15)), most=Decimal(10**15)),
        Boolean("paid", optional=True),
        Day("due", optional=True),
    ),
)
CONDITIONS: dict[str | None, Callable[[Row], bool]] = {
    None: lambda _: True,
    "delay > 0": lambda row: row["delay"] is not None and row["delay"] > 0,
    "paid OR \"table\" = 'x'": lambda row: bool(row["paid"]) or row["order"] == "x",
    "small < -1000": lambda _: False,
}
ANY_FIELD = ("shop", "order", "points", "small", "delay", "fee", "paid", "due", "time")
NUMBERS = ("points", "small", "delay", "fee")

START = datetime(2026, 3, 29, 0, 50, tzinfo=timezone.utc)
"""Ten minutes before the clocks of Europe go forward."""
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "time": st.sampled_from(
                [timedelta(0), timedelta(hours=1), timedelta(days=31), timedelta(days=217)]
            ).flatmap(
                lambda far: st.timedeltas(timedelta(0), timedelta(minutes=50)).map(lambda near: START + far + near)
            ),
            "shop": st.sampled_from(["A", "B", "É"]),
            "order": st.sampled_from([None, "x", "y"]),
            "points": st.one_of(st.none(), st.sampled_from([-3, 0, 7, 2**62, -(2**63)])),
            "small": st.integers(-3, 3),
            "delay": st.one_of(st.none(), st.integers(-5, 5).map(lambda n: Decimal(n) / 1000)),
            "fee": st.sampled_from(["-0.000000005", "0", "999999999999999.999999999", "1.5", "-2"]).map(Decimal),
            "paid": st.sampled_from([None, True, False]),
            "due": st.one_of(st.none(), st.dates(date(2026, 1, 1), date(2026, 1, 3))),
        }
    ),
    max_size=8,
)


def measures() -> st.SearchStrategy[Measure]:
    """A measure without a name."""
    of_any, of_number = st.sampled_from(ANY_FIELD), st.sampled_from(NUMBERS)
    condition = st.sampled_from([text for text in CONDITIONS if text])
    return st.one_of(
        st.just(Count("m")),
        st.builds(lambda field: Sum("m", field), of_number),
        st.builds(lambda field, scale: Mean("m", field, scale), of_number, st.integers(0, 6)),
        st.builds(
            lambda kind, field: kind("m", field),
            st.sampled_from([Min, Max, Distinct, Values, First, Last]),
            of_any,
        ),
        st.builds(lambda field, most: Top("m", field, most), of_any, st.integers(1, 3)),
        st.builds(lambda where: Share("m", where), condition),
    )


def named(measure: Measure, name: str) -> Measure:
    values = {key: value for key, value in vars(measure).items() if key != "line"}
    return type(measure)(**(values | {"name": name}))


@st.composite
def aggregates(draw: st.DrawFn, name: str) -> Aggregate:
    fields = draw(st.lists(st.sampled_from(ANY_FIELD[:-1]), unique=True, max_size=2))
    grain = draw(st.sampled_from([None, ByMinute(), ByHour(), ByDay(), ByDay("day"), ByWeek(), ByMonth()]))
    by = [*fields, *([grain] if grain else [])] or ["shop"]
    found = [
        named(one, f"{type(one).__name__}_{place}")
        for place, one in enumerate(draw(st.lists(measures(), min_size=1, max_size=8)))
    ]
    if draw(st.booleans()):
        loyal = Expression("often", BOOLEAN, "total >= :rules.loyal_from", "NOT total < :rules.loyal_from")
        found += [loyal, Count("total")]
    return Aggregate(name, tuple(by), tuple(found), draw(st.sampled_from(list(CONDITIONS))))


@st.composite
def runs(draw: st.DrawFn) -> dict[str, Any]:
    first = [draw(aggregates(f"table_{number}")) for number in range(draw(st.integers(1, 3)))]
    later = [draw(st.one_of(st.just(one), aggregates(one.table))) for one in first]
    lots = draw(st.lists(EVENTS, min_size=1, max_size=5))
    return {
        "zone": draw(st.sampled_from(["UTC", "Europe/Paris", "Asia/Kathmandu", "America/St_Johns"])),
        "first": first,
        "later": [*later, draw(aggregates("table_added"))],
        "changes_after": draw(st.integers(1, len(lots))),
        "lots": lots,
        "sizes": draw(st.sampled_from([{}, {"CHUNK": 2, "AT_ONCE": 3, "FEW_EVENTS": 3}])),
        "dies_at": draw(st.dictionaries(st.integers(1, len(lots)), st.integers(0, 12), max_size=2)),
        "published": draw(st.lists(st.booleans(), min_size=len(lots), max_size=len(lots))),
        "parts_filled": draw(st.integers(0, 2)),
    }


def declared_in(
    folder: Path, name: str, aggregates: Sequence[Aggregate], zone: str = "UTC", event: Event = EVENT
) -> Settings:
    """Settings of the lake in `folder` with a declaration of these aggregates, read from a file as a user's is."""
    stream = Stream("test", "test", event, tuple(aggregates))
    text = repr(stream).replace("DataType(bool)", "BOOLEAN")
    file = folder / f"{name}.py"
    file.write_text(f"from decimal import Decimal\nfrom ventes.stream import *\nSTREAM = {text}\n", encoding="utf-8")
    return settings_of(folder, stream=str(file), rules={"time_zone": zone})


def clean_rows(config: Settings, events: Sequence[Row], lot: int) -> pa.Table:
    schema = contract.of(config).clean.schema
    zone = ZoneInfo(config.rules.time_zone)
    rows = []
    for place, event in enumerate(events):
        row: Row = dict.fromkeys(schema.names)
        row |= {EVENT.field(name).clean_name: value for name, value in event.items()}
        row |= {"number": lot * 1000 + place, "lot": lot, "jour": event["time"].astimezone(zone).date()}
        # later messages at earlier offsets, so that the order of lots is not the order of events
        row |= {"topic_id": "T", "partition": place % 2, "offset": 10_000 - lot * 100 + place}
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=schema)


def placed(events: Sequence[Row], lot: int) -> list[Row]:
    """The events with the position that `clean_rows` gives them."""
    return [event | {"position": ("T", place % 2, 10_000 - lot * 100 + place)} for place, event in enumerate(events)]


# -- plain Python -----------------------------------------------------------------------------


def by_hand(table: Aggregate, events: Sequence[Row], zone: ZoneInfo) -> list[Row]:
    """The visible columns of a table."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for event in events:
        if CONDITIONS[table.where](event):
            key = tuple(
                start_of(part, event["time"], zone) if isinstance(part, Grain) else event[part] for part in table.by
            )
            groups.setdefault(key, []).append(event)
    return [
        dict(zip(table.key, key, strict=True)) | {m.name: value_of(m, rows) for m in table.measures}
        for key, rows in groups.items()
    ]


def start_of(grain: Grain, moment: datetime, zone: ZoneInfo) -> datetime | date:
    wall = moment.astimezone(zone)
    offset = wall.utcoffset()
    assert offset is not None
    if isinstance(grain, ByMinute):
        return moment.replace(second=0, microsecond=0)
    if isinstance(grain, ByHour):
        naive = (moment + offset).replace(tzinfo=None)
        return naive.replace(minute=0, second=0, microsecond=0, tzinfo=timezone.utc) - offset
    day = wall.date()
    if isinstance(grain, ByWeek):
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if isinstance(grain, ByMonth) else day


def value_of(measure: Measure, rows: Sequence[Row]) -> Any:
    if isinstance(measure, Count):
        return len(rows)
    if isinstance(measure, Share):
        return half_up(Fraction(sum(CONDITIONS[measure.where](row) for row in rows), len(rows)), 3)
    if isinstance(measure, Expression):
        return len(rows) >= 2
    field = measure.field  # type: ignore[attr-defined]
    there = [row for row in rows if row[field] is not None]
    values = [row[field] for row in there]
    if isinstance(measure, Distinct):
        return len(set(values))
    if isinstance(measure, Values):
        return sorted(set(values))
    if isinstance(measure, Top):
        ranked = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
        return [{"value": value, "events": times} for value, times in ranked[: measure.most]]
    if not values:
        return None
    if isinstance(measure, Sum):
        return sum(values)
    if isinstance(measure, Mean):
        return half_up(Fraction(sum(map(Fraction, values))) / len(values), measure.scale)
    if isinstance(measure, Min | Max):
        return (min if isinstance(measure, Min) else max)(values)
    ordered = sorted(there, key=lambda row: (row["time"], row["position"]))
    return ordered[0 if isinstance(measure, First) else -1][field]


def half_up(exact: Fraction, scale: int) -> Decimal:
    units = math.floor(abs(exact) * 10**scale + Fraction(1, 2))
    return Decimal(-units if exact < 0 else units).scaleb(-scale)


# -- the comparison ---------------------------------------------------------------------------


def in_any_order(rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    """Rows as text, so that NULL can be sorted; equal numbers are equal texts."""
    return sorted(str([_plain(row[name]) for name in columns]) for row in rows)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return Fraction(value)
    return value.astimezone(timezone.utc) if isinstance(value, datetime) else value


def assert_exact(config: Settings, clean: pa.Table, events: Sequence[Row], lot: int) -> None:
    """Stored = plain Python in the visible columns, and = what `verify` expects in all columns."""
    declared = contract.of(config)
    with connect(threads=1) as con:
        con.register("clean_rows", clean)
        con.execute(f"CREATE TEMP VIEW {recompute.expected(declared.clean.name)} AS SELECT * FROM clean_rows")
        recompute.events(con, declared, config.rules)
        for table, aggregate in zip(declared.rollups, declared.stream.tables, strict=True):
            stored = tables.snapshot(config, table).arrow().to_pylist()
            visible = [*aggregate.key, *(measure.name for measure in aggregate.measures)]
            wanted = by_hand(aggregate, events, ZoneInfo(config.rules.time_zone))
            assert in_any_order(stored, visible) == in_any_order(wanted, visible), aggregate
            con.execute(recompute.aggregate(declared, table, config.rules, lot))
            again = con.execute(f"SELECT * FROM {recompute.expected(table.name)}").to_arrow_table()
            assert in_any_order(stored, table.schema.names) == in_any_order(again.to_pylist(), table.schema.names)


def partials(config: Settings, rows: pa.Table) -> dict[str, pa.Table]:
    with connect(threads=1) as con:
        return partials_of_rows(con, config, rows)


def another_type(before: Settings, after: Settings) -> bool:
    """Whether a column of a table changes its type."""
    for table in contract.of(before).rollups:
        columns = {field.name: field.type for field in contract.of(after).by_name[table.name].schema}
        if any(columns.get(field.name, field.type) != field.type for field in table.schema):
            return True
    return False


class Writer:
    """A Silver job's roll-ups in one process: it holds lots, publishes them in steps, fills, and can be killed."""

    def __init__(self, config: Settings, clean: Log, lot: int) -> None:
        self._config, self._publisher, self._clean = config, publisher_of(config), clean
        self._publisher.complete(clean, lot)
        self._waiting = Unpublished(lot)
        self._published = lot

    def take(self, rows: pa.Table, lot: int) -> None:
        with connect(threads=1) as con:
            self._waiting.add(partials_of_lot(con, self._config, rows), lot, 0.0)

    def publish(self, steps: int | None = None) -> None:
        """Publish what waits; only so many steps of it if the process is to be killed within."""
        if self._waiting.since is None:
            return
        lots, lot = self._waiting.take()
        made = self._publisher.together(lots)
        publication = self._publisher.publication(made, lot)
        for _ in islice(publication, steps):
            pass
        if steps is None:
            self._publisher.publish(made, lot)  # repeated: nothing changes
            self._published = lot

    def fill(self, parts: int | None = None) -> None:
        """Fill so many parts; None: all there is to fill."""
        while self._publisher.fillings and parts != 0:
            self._publisher.fill(self._clean, self._published, next(iter(self._publisher.fillings)))
            parts = parts - 1 if parts is not None else None

    def left_out(self) -> set[str]:
        """The tables that are being filled."""
        return set(self._publisher.fillings)


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(run=runs())
def test_lot_by_lot_at_once_and_by_hand_are_the_same(run: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for name, size in run["sizes"].items():
            module = {"CHUNK": rollup_files, "AT_ONCE": clean_lots, "FEW_EVENTS": rollup_partials}[name]
            patch.setattr(module, name, size)
        config = declared_in(Path(folder), "first", run["first"], run["zone"])
        table = contract.of(config).clean
        tables.ensure(config, table)
        clean = Log.open(tables.path_of(config, table))
        writer, events, all_rows = Writer(config, clean, 0), [], table.schema.empty_table()
        for lot, (found, published) in enumerate(zip(run["lots"], run["published"], strict=True), 1):
            rows = clean_rows(config, found, lot)
            commit.append(clean, table, rows, config.stream.silver_app, lot)
            events += placed(found, lot)
            all_rows = pa.concat_tables([all_rows, rows])
            writer.take(rows, lot)
            if lot in run["dies_at"]:
                writer.publish(run["dies_at"][lot])
                writer = Writer(config, clean, lot)
            elif published:
                writer.publish()
            writer.fill(run["parts_filled"])
            if lot == run["changes_after"]:
                later = declared_in(Path(folder), "later", run["later"], run["zone"])
                if another_type(config, later):
                    with pytest.raises(LakeDamaged, match="expected"):
                        publisher_of(later)
                else:
                    config = later
                writer = Writer(config, clean, lot)
        writer.publish()
        writer.fill()
        assert not writer.left_out()
        assert_exact(config, all_rows, events, len(run["lots"]))


def every_measure() -> list[Measure]:
    of_any = [kind("m", field) for kind in (Min, Max, Distinct, Values, First, Last, Top) for field in ANY_FIELD]
    of_number = [Sum("m", field) for field in NUMBERS] + [Mean("m", f, scale) for f in NUMBERS for scale in range(7)]
    shares = [Share("m", where) for where in CONDITIONS if where]
    return [named(one, f"m{place}") for place, one in enumerate([*of_any, *of_number, *shares])]


@pytest.mark.parametrize("count", [(), (Count("events"),)], ids=["without a count", "with a count"])
def test_every_measure_of_every_kind_of_field(tmp_path: Path, count: tuple[Measure, ...]) -> None:
    distinct = [one for one in every_measure() if isinstance(one, Distinct)]
    lists = [one for one in every_measure() if isinstance(one, Values)]
    others = [one for one in every_measure() if not isinstance(one, Distinct | Values)]
    config = declared_in(
        tmp_path,
        "all",
        [
            Aggregate("in_memory", ("order",), tuple(distinct)),
            Aggregate("listed", ("order",), (*lists, *distinct)),
            Aggregate("others", ("order",), (*others, *count)),
        ],
    )
    rng = random.Random(7)
    table = contract.of(config).clean
    tables.ensure(config, table)
    publisher, events, all_rows = publisher_of(config), [], table.schema.empty_table()
    for lot in range(1, 5):
        found = [any_event(rng) for _ in range(25)]
        rows = clean_rows(config, found, lot)
        publisher.publish(partials(config, rows), lot)
        events += placed(found, lot)
        all_rows = pa.concat_tables([all_rows, rows])
    assert_exact(config, all_rows, events, 4)


def any_event(rng: random.Random) -> Row:
    """An event; the group "y" has no value in its other optional fields."""
    event = {
        "time": START + timedelta(minutes=rng.randrange(20)),
        "shop": rng.choice("ABÉ"),
        "order": rng.choice([None, "x", "y"]),
        "points": rng.choice([None, -3, 0, 7, 7, 2**62, -(2**63)]),
        "small": rng.randint(-3, 3),
        "delay": rng.choice([None, *(Decimal(n) / 1000 for n in range(-5, 5))]),
        "fee": Decimal(rng.choice(["-0.000000005", "0", "999999999999999.999999999", "1.5", "-2"])),
        "paid": rng.choice([None, True, False]),
        "due": rng.choice([None, date(2026, 1, 1), date(2026, 1, 3)]),
    }
    return event | (dict.fromkeys(("points", "delay", "paid", "due")) if event["order"] == "y" else {})
