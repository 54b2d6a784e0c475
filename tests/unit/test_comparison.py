"""The change against earlier days, the small lines, what rises, and the SQL of the help: each against plain Python."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from harness import sample_lake
from ventes.config import Settings
from ventes.contract import tables
from ventes.dashboard import card, comparison, explained, figures, growth, over_time, query_sources, trend
from ventes.dashboard.comparison import Compared, change, windows_of
from ventes.dashboard.filters import Chosen, Filters
from ventes.dashboard.growth import Growth
from ventes.dashboard.period import PERIODS, RANGE, Period, bounds_of, days_back, from_address, to_address
from ventes.dashboard.questions import Grouped, Question
from ventes.dashboard.source import LiveTables, TableSnapshots
from ventes.dashboard.spark import offered
from ventes.query.sandbox import Limits, run
from ventes.stream import Count, Mean, Share, Sum
from ventes.stream.page import Figure, Records

PARIS, UTC = ZoneInfo("Europe/Paris"), ZoneInfo("UTC")
STREAM = Settings().stream
EVENT, PAGE = STREAM.event, STREAM.shown
CLEAN, REJETS = (getattr(tables.of(Settings()), name).name for name in ("clean", "rejets"))
NOW = datetime(2026, 3, 10, 14, 32, 20, tzinfo=timezone.utc)
FRANCE = Chosen("pays", "countries", ("France",))
COUNTRIES, PRODUCTS, TIMELINE, *_ = cast(Any, PAGE.tabs)
Sale = dict[str, Any]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> LiveTables:
    """3,000 sales of 16 days until NOW, 60 of the last ten minutes, and five that came half an hour late."""
    settings = sample_lake.settings_at(tmp_path_factory.mktemp("lake"))
    sample_lake.make(settings, 3000, sample_lake.Shape(days=16), now=NOW, lots=4)
    sample_lake.add(settings, sample_lake.messages(3000, 60, NOW, seconds=600))
    late = sample_lake.messages(3060, 5, NOW, seconds=50).to_pylist()
    for row in late:
        row["timestamp"] -= timedelta(minutes=30)
    sample_lake.add(settings, pa.Table.from_pylist(late, tables.of(settings).bronze.schema))
    return LiveTables(settings)


@pytest.fixture(scope="module")
def sales(live: LiveTables) -> list[Sale]:
    return cast(list[Sale], live.read()[CLEAN].arrow().to_pylist())


def half_up(amount: Decimal, digits: str = "0.01") -> Decimal:
    return amount.quantize(Decimal(digits), ROUND_HALF_UP)


def figures_of(sales: Iterable[Sale]) -> tuple[Any, ...]:
    """The five figures, added up one by one."""
    rows = list(sales)
    revenue = sum((row["montant"] for row in rows), Decimal(0))
    return (
        len(rows),
        len({row["client_id"] for row in rows}),
        len({row["produit_id"] for row in rows}),
        revenue,
        half_up(revenue / len(rows)) if rows else None,
    )


def within(sales: Iterable[Sale], start: datetime, end: datetime, filters: Filters = Filters()) -> list[Sale]:  # noqa: B008
    countries = [value for chosen in filters.chosen for value in chosen.values]
    return [row for row in sales if start <= row["horodatage"] < end and (not countries or row["pays"] in countries)]


# -- windows -----------------------------------------------------------------------------------


def at(text: str, zone: ZoneInfo = PARIS) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(timezone.utc)


def test_today_is_compared_with_the_same_time_of_day_where_the_clocks_change() -> None:
    """On 2026-03-29 Paris goes from 2:00 to 3:00: yesterday until 10:00 is one hour longer than today until 10:00."""
    found = windows_of(Filters(), at("2026-03-29 10:00:40"), PARIS)
    assert found is not None
    assert (found.current.start, found.current.end) == (at("2026-03-29"), at("2026-03-29 10:00"))
    assert [(w.start, w.end, w.name) for w in found.before] == [
        (at("2026-03-28"), at("2026-03-28 10:00"), "yesterday"),
        (at("2026-03-22"), at("2026-03-22 10:00"), "last week"),
    ]
    assert found.current.end - found.current.start == timedelta(hours=9)
    assert found.before[0].end - found.before[0].start == timedelta(hours=10)
    assert days_back(at("2026-03-30 02:30"), 1, PARIS) == at("2026-03-29 03:30")  # 2:30 is skipped that day


@pytest.mark.parametrize(
    ("choice", "start", "end", "before"),
    [
        ("Last 15 minutes", "2026-03-10 15:17", "2026-03-10 15:32", ["2026-03-09 15:17", "2026-03-03 15:17"]),
        ("Today", "2026-03-10", "2026-03-10 15:32", ["2026-03-09", "2026-03-03"]),
        ("Yesterday", "2026-03-09", "2026-03-10", ["2026-03-08", "2026-03-02"]),
        ("Last 7 days", "2026-03-04", "2026-03-10 15:32", ["2026-02-25"]),
        ("This month", "2026-03-01", "2026-03-10 15:32", ["2026-02-19"]),
    ],
)
def test_the_windows_of_a_period(choice: str, start: str, end: str, before: list[str]) -> None:
    filters = Period(choice).narrowed(Filters(), NOW, PARIS)
    found = windows_of(filters, NOW, PARIS)
    assert found is not None
    assert (found.current.start, found.current.end) == (at(start), at(end))
    assert [window.start for window in found.before] == list(map(at, before))


def test_there_is_nothing_to_compare_before_a_period_begins() -> None:
    tomorrow = Filters(since=date(2026, 3, 11))
    assert windows_of(tomorrow, NOW, PARIS) is None
    assert windows_of(Filters(), at("2026-03-10 00:00:30"), PARIS) is None


def test_a_range_of_the_address_is_kept_to_the_second() -> None:
    start, end = at("2026-03-10 10:00:05"), at("2026-03-10 10:00:06")
    assert (from_address(to_address(start)), from_address("x"), from_address("2026-03-10T10:00")) == (start, None, None)
    filters = Period(RANGE, start=start, end=end).narrowed(Filters(), NOW, PARIS)
    assert (filters.since, filters.until, *bounds_of(filters, PARIS)) == (
        date(2026, 3, 10),
        date(2026, 3, 10),
        start,
        end,
    )


@pytest.mark.parametrize(
    ("measure", "now", "before", "by"),
    [
        (Count("n"), 1123, 1000, "0.123"),
        (Count("n"), 2, 3, "-0.333"),
        (Sum("s", "montant"), Decimal("1000.50"), Decimal("1000.00"), "0.001"),  # 0.0005: half up
        (Count("n"), 5, 0, None),
        (Mean("m", "montant"), None, Decimal(3), None),
        (Mean("m", "montant"), Decimal(3), Decimal(-2), None),
        (Share("s", where="true"), Decimal("0.125"), Decimal("0.150"), "-0.025"),
    ],
)
def test_a_change_is_exact_and_there_is_none_without_a_base(
    measure: Any, now: Any, before: Any, by: str | None
) -> None:
    assert change(measure, now, before) == (None if by is None else Decimal(by))


def test_what_a_card_says() -> None:
    assert card.Change(Decimal("1.0385"), "", "").words == "▲ 103.8%"
    assert card.Change(Decimal("-0.025"), "", "", points=True).words == "▼ 2.5 pp"
    assert card.Change(None, "", "").words == "–"
    assert card.Target(Decimal("7300"), Decimal("10000"), "").progress == Decimal("0.730")
    assert "width:100.0%" in card.target(card.Target(30, Decimal(20), "30 of 20 today"))
    assert card.Target(Decimal(-5), Decimal(20), "").progress == 0
    assert "<script>" not in card.changes([card.Change(None, "<script>", "<script>")])


# -- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", [choice for choice in PERIODS if choice not in ("Custom", RANGE)])
def test_the_figures_of_each_window_are_those_of_its_sales(live: LiveTables, sales: list[Sale], choice: str) -> None:
    filters = Period(choice).narrowed(Filters(chosen=(FRANCE,) if choice != "Today" else ()), NOW, UTC)
    windows = windows_of(filters, NOW, UTC)
    assert windows is not None
    found = Compared(PAGE.figures, EVENT, windows, filters, UTC).values(live.read())
    assert found == tuple(figures_of(within(sales, one.start, one.end, filters)) for one in windows.all)
    assert found[0][0] > 0


def test_a_range_of_seconds(live: LiveTables, sales: list[Sale]) -> None:
    start, end = NOW - timedelta(seconds=95), NOW - timedelta(seconds=35)
    filters = Period(RANGE, start=start, end=end).narrowed(Filters(), NOW, UTC)
    query = figures.headline_query(PAGE.figures, EVENT)
    with query_sources.narrowed(live.read(), filters, *query.questions) as con:
        assert query.of(con, NOW.date()).total == figures_of(within(sales, start, end))
    windows = windows_of(filters, NOW, UTC)
    assert windows is not None
    found = Compared(PAGE.figures, EVENT, windows, filters, UTC).values(live.read())
    assert found == tuple(figures_of(within(sales, one.start, one.end)) for one in windows.all)


def test_the_table_by_minute_answers_where_the_period_has_whole_minutes(live: LiveTables) -> None:
    asked = figures.headline_query((Figure("r", Sum("r", "montant"), note=""),), EVENT).questions
    whole = Period("Last 15 minutes").narrowed(Filters(), NOW, UTC)
    seconds = Period(RANGE, start=NOW - timedelta(seconds=5)).narrowed(Filters(), NOW, UTC)
    assert query_sources.tables_for(live.read(), whole, *asked) == ("ventes_par_minute",)
    assert query_sources.tables_for(live.read(), seconds, *asked) == (CLEAN,)


def test_a_commit_with_later_sales_alone_leaves_a_comparison_as_it_is(tmp_path: Path) -> None:
    settings = sample_lake.settings_at(tmp_path)
    sample_lake.make(settings, 20, sample_lake.Shape(days=1), now=NOW, lots=1)
    tables_ = ("ventes_par_minute", CLEAN)
    lake = LiveTables(settings)

    def key(snapshots: TableSnapshots) -> Hashable:
        return query_sources.settled(snapshots, tables_, NOW - timedelta(days=2), NOW + timedelta(seconds=1))

    before = key(lake.read())
    sample_lake.add(settings, sample_lake.messages(20, 5, NOW + timedelta(minutes=10)))
    after = lake.read()
    assert key(after) == before
    roll_up = after["ventes_par_minute"]
    lacking = dict.fromkeys(roll_up.transactions, -1)
    behind = {**after.by_name, "ventes_par_minute": replace(roll_up, transactions=lacking)}
    assert key(replace(after, by_name=behind)) != before
    sample_lake.add(settings, sample_lake.messages(25, 5, NOW - timedelta(hours=1)))
    assert key(lake.read()) != before


# -- small lines -------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["All time", "Last hour", "Today", "Last 7 days", "This month"])
def test_a_slice_of_a_small_line_has_the_sales_of_its_time(live: LiveTables, sales: list[Sale], choice: str) -> None:
    filters = Period(choice).narrowed(Filters(chosen=(FRANCE,)), NOW, UTC)
    slices = trend.slices_of(filters, NOW, NOW, UTC)
    assert slices is not None
    assert 2 <= slices.count <= trend.SLICES + 1
    lines = trend.Lines(PAGE.figures, EVENT, slices, filters, UTC)
    snapshots = live.read()
    with live.connection() as con:
        views = query_sources.views_of_several(con, snapshots, [lines.of_sums(), lines.of_counted()])
        found = lines.values(con, views, counted=True)
    edges = [slices.begins(number, UTC).replace(tzinfo=timezone.utc) for number in range(slices.count + 1)]
    expected = [figures_of(within(sales, *edge, filters)) for edge in pairwise(edges)]
    assert list(zip(*found, strict=True)) == expected


def test_the_span_does_not_depend_on_a_burst_and_all_lines_have_it() -> None:
    quiet = trend.slices_of(Filters(), NOW, NOW, PARIS)
    assert quiet is not None
    assert (quiet.unit, quiet.count, quiet.end) == (60, 30, NOW.replace(second=0))
    long_ago = trend.slices_of(Filters(), NOW, NOW - timedelta(days=400), PARIS)
    assert long_ago is not None
    assert long_ago.end == NOW.replace(second=0) - timedelta(days=400) + timedelta(minutes=1)
    month = trend.slices_of(Period("Last 365 days").narrowed(Filters(), NOW, PARIS), NOW, NOW, PARIS)
    assert month is not None
    assert trend.UNITS[month.unit] == "2 weeks"
    assert trend.slices_of(Period("Today").narrowed(Filters(), NOW, PARIS), at("2026-03-10 00:01"), NOW, PARIS) is None


# -- the timeline ------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["All time", "Last hour"])
def test_late_sales_are_counted_at_their_points(live: LiveTables, sales: list[Sale], choice: str) -> None:
    snapshots = live.read()

    def sums(narrowed: Filters, *asked: Question) -> Any:
        return query_sources.narrowed(snapshots, narrowed, *asked)

    filters = Period(choice).narrowed(Filters(), NOW, UTC)
    found = over_time.timeline(sums, filters, over_time.Questions((), EVENT), "UTC")
    start, _ = bounds_of(filters, UTC)
    seconds = [int(row["horodatage"].timestamp()) for row in sales if row["en_retard"]]
    late = Counter(second // found.step_seconds * found.step_seconds for second in seconds)
    assert {
        int(point["start"].replace(tzinfo=timezone.utc).timestamp()): point[over_time.LATE_EVENTS]
        for point in found.points
        if point[over_time.LATE_EVENTS]
    } == late
    assert late.total() == 5
    assert start is None or found.step_seconds == 15


# -- what rises --------------------------------------------------------------------------------


def sold(sales: Iterable[Sale], by: str) -> dict[tuple[Any, ...], Any]:
    found: dict[tuple[Any, ...], Any] = defaultdict(int)
    for row in sales:
        found[tuple(row[name] for name in PRODUCTS.by)] += row[by]
    return dict(found)


@pytest.mark.parametrize("choice", ["All time", "Today", "Last 7 days"])
@pytest.mark.parametrize(("measure", "column"), [("quantity", "quantite"), ("revenue", "montant")])
def test_the_trend_of_each_product_and_those_that_rise(
    live: LiveTables, sales: list[Sale], choice: str, measure: str, column: str
) -> None:
    filters = Period(choice).narrowed(Filters(), NOW, UTC)
    spans = growth.spans_of(filters, NOW, UTC)
    assert spans is not None
    by = next(one for one in PRODUCTS.measures if one.name == measure)
    asked = Growth(Grouped(PRODUCTS.by, PRODUCTS.measures), by, EVENT, filters, spans, UTC)
    now, before = (sold(within(sales, one.start, one.end), column) for one in (spans.now, spans.before))
    shown = [dict(zip(PRODUCTS.by, key, strict=True)) for key in sorted(now)[:3]]
    with live.connection() as con:
        found = asked.of(con, query_sources.views_of_several(con, live.read(), asked.parts()).rstrip(), shown)
    gained = {key: now.get(key, 0) - before.get(key, 0) for key in {*now, *before}}
    best = sorted((key for key in gained if gained[key] > 0), key=lambda key: (-gained[key], key))[: growth.RISING]
    assert [one.key for one in sorted(found, key=lambda one: one.place) if one.place] == best
    assert {one.key for one in found} == {*best, *sorted(now)[:3]}
    assert all((one.now, one.before) == (now.get(one.key), before.get(one.key)) for one in found)


def test_without_a_period_whole_hours_are_compared() -> None:
    spans = growth.spans_of(Filters(), NOW, PARIS)
    assert spans is not None
    assert (spans.now.start, spans.now.end) == (at("2026-03-03 15:00"), at("2026-03-10 15:00"))
    assert (spans.before.start, spans.before.end) == (at("2026-02-24 15:00"), at("2026-03-03 15:00"))


# -- the SQL of the help -----------------------------------------------------------------------


def asked_in_the_sandbox(live: LiveTables, query: str) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], run(query, offered(live.read()), Limits(20, 10_000, 512)).table.to_pylist())


NARROWED = {
    "everything": Filters(),
    "a country, today": Filters(since=NOW.date(), chosen=(FRANCE,)),
    "an hour": Period("Last hour").narrowed(Filters(), NOW, UTC),
    "a product": Filters(chosen=(Chosen("produit_id", "products", ("3",)),)),
}


@pytest.mark.parametrize("name", NARROWED)
def test_the_sql_of_each_figure_gives_the_figure(live: LiveTables, name: str) -> None:
    filters, query = NARROWED[name], figures.headline_query(PAGE.figures, EVENT)
    with query_sources.narrowed(live.read(), filters, *query.questions) as con:
        shown = list(query.of(con, NOW.date()).total)
    if not filters.used:
        shown[0] = 3065  # all messages, rejected ones too
    listed = [f"({explained.figure(one, EVENT, CLEAN, filters)}) AS `{n}`" for n, one in enumerate(PAGE.figures)]
    (found,) = asked_in_the_sandbox(live, f"SELECT {', '.join(listed)}")
    assert list(found.values()) == shown


def test_the_sql_of_each_chart_gives_the_chart(live: LiveTables) -> None:
    filters = NARROWED["a country, today"]
    snapshots = live.read()

    def rows(asked: Grouped, by: str, most: int | None = None) -> list[dict[str, Any]]:
        with query_sources.narrowed(snapshots, filters, asked.question(EVENT)) as con:
            return figures.grouped(con, asked, EVENT, by, most)

    bars = rows(Grouped((COUNTRIES.by,), COUNTRIES.measures), "revenue")
    assert asked_in_the_sandbox(live, explained.bars(COUNTRIES, EVENT, CLEAN, filters)) == bars
    top = rows(Grouped(PRODUCTS.by, PRODUCTS.measures), "revenue", 10)
    found = asked_in_the_sandbox(live, explained.ranking(PRODUCTS, PRODUCTS.measures[1], EVENT, CLEAN, filters))
    assert sorted(found, key=str) == sorted(top, key=str)


def test_the_sql_of_the_timeline_gives_its_points(live: LiveTables, sales: list[Sale]) -> None:
    expected: set[tuple[Any, ...]] = set()
    parts = []
    for step in (1, 15, 60, 3_600, 21_600, 86_400):
        filters = NARROWED["an hour"] if step < 60 else Filters()
        query = explained.timeline(TIMELINE, step, EVENT, CLEAN, filters, "UTC")
        parts.append(f"SELECT {step} AS step, * FROM ({query})")
        start, end = bounds_of(filters, UTC)
        points: dict[int, list[Any]] = {}
        for row in within(sales, start or NOW - timedelta(days=99), end or NOW + timedelta(days=1)):
            point = points.setdefault(int(row["horodatage"].timestamp()) // step * step, [0, Decimal(0)])
            point[0] += 1
            point[1] += row["montant"]
        expected |= {(step, second, *point) for second, point in points.items()}
    found = asked_in_the_sandbox(live, " UNION ALL ".join(parts))
    assert {
        (row["step"], int(row["start"].replace(tzinfo=timezone.utc).timestamp()), row["events"], row["revenue"])
        for row in found
    } == expected


def test_a_share_in_sql_is_that_of_the_page() -> None:
    late = explained.figure(Figure("Late", Share("late", where="quantite >= 2")), EVENT, CLEAN, Filters())
    assert "COUNT_IF(quantite >= 2) / COUNT(*)" in late
    hostile = Filters(chosen=(Chosen("pays", "countries", ("L'Île\\",)),))
    assert explained.figure(Records("All"), EVENT, CLEAN, hostile).endswith("`pays` IN ('L\\'Île\\\\')")


def test_comparisons_need_no_column_where_all_figures_count_values(live: LiveTables) -> None:
    counted = tuple(figure for figure in PAGE.figures if type(figure.measure).__name__ == "Distinct")
    windows = windows_of(Filters(), NOW, UTC)
    assert windows is not None
    found = Compared(counted, EVENT, windows, Filters(), UTC).values(live.read())
    assert len(found) == 3
    assert comparison.change(counted[0].measure, found[0][0], found[1][0]) is not None
