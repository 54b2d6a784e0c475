"""The page's numbers against plain SQL over the tables, with and without filters."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, cast

import duckdb
import pyarrow as pa
import pytest

from harness import sample_lake
from harness.maintaining import maintenance_of
from ventes.config import Settings
from ventes.contract import tables
from ventes.dashboard import figures, file_cache, over_time, query_sources, sparkline, text
from ventes.dashboard.filters import Chosen, Filters
from ventes.dashboard.newest_rows import newest_files
from ventes.dashboard.own_tabs import module_of
from ventes.dashboard.period import days_of
from ventes.dashboard.questions import Grouped, Question, question
from ventes.dashboard.source import LiveTables, NotReadable
from ventes.deltalog.database import connect
from ventes.deltalog.log import Log
from ventes.stream import ByDay, ByMinute, Count, Distinct, Mean, Sum

SETTINGS = Settings()
STREAM = SETTINGS.stream
EVENT = STREAM.event
PAGE = STREAM.shown
BRONZE, CLEAN, REJETS = (getattr(tables.of(SETTINGS), name) for name in ("bronze", "clean", "rejets"))
COUNTRIES, PRODUCTS, TIMELINE, *_ = cast(Any, PAGE.tabs)
loyalty_tab: Any = module_of(SETTINGS.declaration.parent / "tabs" / "ventes_loyalty.py")
HEADLINE = figures.headline_query(PAGE.figures, EVENT)
BY_COUNTRY = Grouped((COUNTRIES.by,), COUNTRIES.measures)
BY_PRODUCT = Grouped(PRODUCTS.by, PRODUCTS.measures)
OVER_TIME = over_time.Questions(TIMELINE.measures, EVENT)
MINUTES = OVER_TIME.minutes
CLIENTS = loyalty_tab.CLIENTS


def chosen(countries: tuple[str, ...] = (), segments: tuple[str, ...] = (), categories: tuple[str, ...] = (),
           since: date | None = None, until: date | None = None) -> Filters:  # fmt: skip
    return Filters(
        since,
        until,
        (
            Chosen("pays", "countries", countries),
            Chosen("segment", "segments", segments),
            Chosen("categorie", "categories", categories),
        ),
    )


NOW = datetime(2026, 3, 10, 12, 0, tzinfo=timezone.utc)
FILTERS = {
    "nothing": chosen(),
    "country": chosen(countries=("France", "Suisse")),
    "category": chosen(categories=("Maison",)),
    "period": chosen(since=date(2026, 3, 1), until=date(2026, 3, 8)),
    "all of them": chosen(
        since=date(2026, 3, 2),
        countries=("France",),
        segments=("Particulier", "Entreprise"),
        categories=("Sport", "Mode"),
    ),
}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> LiveTables:
    settings = sample_lake.settings_at(tmp_path_factory.mktemp("lake"))
    sample_lake.make(settings, 3000, sample_lake.Shape(days=14), now=NOW, lots=5)
    return LiveTables(settings)


@pytest.fixture(params=FILTERS, scope="module")
def filters(request: pytest.FixtureRequest) -> Filters:
    return FILTERS[request.param]


@pytest.fixture(scope="module")
def views(live: LiveTables, filters: Filters) -> Iterator[duckdb.DuckDBPyConnection]:
    questions = (*HEADLINE.questions, CLIENTS, MINUTES)
    with query_sources.narrowed(live.read(), filters, *questions) as con:
        yield con


@pytest.fixture(scope="module")
def truth(live: LiveTables, filters: Filters) -> Iterator[duckdb.DuckDBPyConnection]:
    """The view `v`: the rows of ventes_clean that pass, by a filter written a second time."""
    with connect() as con:
        live.read()[CLEAN.name].view(con, "clean")
        conditions = [
            f"jour >= DATE '{filters.since}'" if filters.since else "true",
            f"jour <= DATE '{filters.until}'" if filters.until else "true",
            *(
                f"{column} IN ({', '.join(repr(value) for value in chosen)})" if chosen else "true"
                for column, chosen in (
                    ("pays", filters.countries), ("segment", filters.segments), ("categorie", filters.categories)
                )
            ),
        ]  # fmt: skip
        con.execute(f"CREATE TEMP TABLE v AS SELECT * FROM clean WHERE {' AND '.join(conditions)}")
        yield con


def test_headline(views: duckdb.DuckDBPyConnection, truth: duckdb.DuckDBPyConnection) -> None:
    found = HEADLINE.of(views, date(2026, 3, 5))
    sales, clients, products, revenue = truth.execute(
        "SELECT count(*), count(DISTINCT client_id), count(DISTINCT produit_id), sum(montant) FROM v"
    ).fetchall()[0]
    assert sales > 0
    assert found.total == (sales, clients, products, revenue, half_up(revenue / sales))
    assert (found.day[0], found.day[1], found.day[3]) == truth.execute(
        "SELECT count(*), count(DISTINCT client_id), coalesce(sum(montant), 0) FROM v WHERE jour = DATE '2026-03-05'"
    ).fetchall()[0]


def half_up(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


def sums(truth: duckdb.DuckDBPyConnection, *key: str) -> dict[tuple[Any, ...], list[Any]]:
    """Key → revenue, sales, items, distinct clients of the sales that pass, added one by one in Python."""
    found: dict[tuple[Any, ...], list[Any]] = {}
    columns = ", ".join(key)
    for *values, amount, items, client in truth.execute(
        f"SELECT {columns}, montant, quantite, client_id FROM v"
    ).fetchall():
        entry = found.setdefault(tuple(values), [Decimal(0), 0, 0, set()])
        entry[0] += amount
        entry[1] += 1
        entry[2] += items
        entry[3].add(client)
    return found


def test_countries(live: LiveTables, filters: Filters, truth: duckdb.DuckDBPyConnection) -> None:
    wanted = [
        (country, revenue, sales, items, len(clients), half_up(revenue / sales))
        for (country,), (revenue, sales, items, clients) in sums(truth, "pays").items()
    ]
    with query_sources.narrowed(live.read(), filters, BY_COUNTRY.question(EVENT)) as con:
        rows = figures.grouped(con, BY_COUNTRY, EVENT, "revenue")
    found = [(row["pays"], *(row[measure.name] for measure in COUNTRIES.measures)) for row in rows]
    assert found == sorted(wanted, key=lambda row: (-row[1], row[0]))
    stored = BY_COUNTRY.stored_question(EVENT)
    if query_sources.tables_for(live.read(), filters, stored) == ("ventes_par_pays",):
        with query_sources.narrowed(live.read(), filters, stored) as con:
            assert figures.grouped(con, BY_COUNTRY, EVENT, "revenue", stored=True) == rows
            assert figures.grouped(con, BY_COUNTRY, EVENT, "clients", 1, stored=True)[0]["clients"] == max(
                row["clients"] for row in rows
            )


def test_best_clients(views: duckdb.DuckDBPyConnection, truth: duckdb.DuckDBPyConnection) -> None:
    wanted = [
        (*key, sales, revenue, half_up(revenue / sales))
        for key, (revenue, sales, _, _) in sums(truth, "client_id", "client_nom", "pays", "segment").items()
    ]
    names = ("client_id", "client_nom", "pays", "segment", "sales", "revenue", "average")
    found = [tuple(row[name] for name in names) for row in loyalty_tab.best_clients(views, 20)]
    assert found == sorted(wanted, key=lambda row: (-row[5], row[0]))[:20]


def view_of(con: duckdb.DuckDBPyConnection, asked: Question, values: dict[str, str]) -> None:
    """The view of a question with one row: for each column the SQL of its value."""
    listed = ", ".join(f'{values[name]} AS "{name}"' for name in (*asked.keys, *(one.name for one in asked.columns)))
    con.execute(f'CREATE OR REPLACE TEMP TABLE "{asked.view}" AS SELECT {listed}')


def sums_view(con: duckdb.DuckDBPyConnection, asked: Question, revenue: str, sales: int) -> None:
    """The view of a question as for one client, product and day with these sums."""
    keys = {"client_id": "1::BIGINT", "produit_id": "1::BIGINT", "client_nom": "'n'", "pays": "'France'",
            "segment": "'s'", "jour": "DATE '2026-03-01'"}  # fmt: skip
    of_kind = {"sum": f"'{revenue}'::DECIMAL(28, 2)", "count": f"{sales}::BIGINT", "known": f"{sales}::BIGINT"}
    view_of(con, asked, keys | {column.name: of_kind[column.kind] for column in asked.columns})


def clients_view(con: duckdb.DuckDBPyConnection, rows: list[tuple[int, str, int]]) -> None:
    """The view `clients` with (client_id, revenue, sales)."""
    con.execute(
        "CREATE TEMP TABLE clients AS SELECT id::BIGINT AS client_id, 'n' AS client_nom, 'France' AS pays, "
        "'s' AS segment, DATE '2026-03-01' AS jour, spent::DECIMAL(28, 2) AS revenue, bought::BIGINT AS sales "
        f"FROM (VALUES {', '.join(map(str, rows))}) AS v(id, spent, bought)"
    )


@pytest.mark.parametrize(
    ("revenue", "sales", "average"),
    [
        ("0.29", 2, "0.15"),  # 0.145 is a tie, and a float below it
        ("0.15", 2, "0.08"),
        ("1.01", 2, "0.51"),
        ("10.00", 3, "3.33"),
        ("90071992547409.93", 2, "45035996273704.97"),
        ("79999999999999.99", 1, "79999999999999.99"),
    ],
)
def test_every_average_is_half_up_from_exact_sums(revenue: str, sales: int, average: str) -> None:
    asked = Grouped(("pays",), (Sum("revenue", "montant"), Mean("average", "montant")))
    with connect() as con:
        for one in (*HEADLINE.questions, asked.question(EVENT)):
            sums_view(con, one, revenue, sales)
        clients_view(con, [(1, revenue, sales)])
        found = HEADLINE.of(con, date(2026, 3, 1))
        (country,), (best,) = figures.grouped(con, asked, EVENT, "revenue"), loyalty_tab.best_clients(con)
    means = [found.total[4], found.day[4], country["average"], best["average"]]
    assert means == [Decimal(average)] * 4


@pytest.mark.parametrize("premium", ["499.994", "499.990001", "500", "5E+2"])
def test_a_threshold_is_the_decimal_of_the_settings(premium: str) -> None:
    spent = ["499.98", "499.99", "500.00", "500.01", "99999999999999999999999999.99"]
    with connect() as con:
        clients_view(con, [(number, amount, 1) for number, amount in enumerate(spent)])
        levels = loyalty_tab.spending_of(con, Decimal("499.98"), Decimal(premium))
    assert levels[0]["clients"] == sum(Decimal(amount) >= Decimal(premium) for amount in spent)
    assert sum(level["clients"] for level in levels) == len(spent)


def test_no_sale_has_no_average_and_no_share() -> None:
    with connect() as con:
        for asked in HEADLINE.questions:
            sums_view(con, asked, "0", 0)
            con.execute(f'DELETE FROM "{asked.view}"')
        assert HEADLINE.of(con, date(2026, 3, 1)).total == (0, 0, 0, 0, None)
    nobody = loyalty_tab.Loyalty(0, 0, Decimal(0), Decimal(0))
    assert (nobody.share_of_clients, nobody.share_of_revenue) == (None, None)


def test_shares_are_half_up_to_a_tenth_of_a_percent() -> None:
    loyalty = loyalty_tab.Loyalty(8000, 1, Decimal("2000.00"), Decimal("1001.00"))
    assert text.percent(loyalty.share_of_clients) == "0.0%"
    assert text.percent(loyalty.share_of_revenue) == "50.1%"  # 0.5005
    assert text.percent(None) == "–"


def test_products_ranked(live: LiveTables, filters: Filters, truth: duckdb.DuckDBPyConnection) -> None:
    with query_sources.narrowed(live.read(), filters, BY_PRODUCT.question(EVENT)) as con:
        rows = figures.grouped(con, BY_PRODUCT, EVENT, "quantity", 5)
    found = [(row["produit_id"], row["quantity"], row["revenue"]) for row in rows]
    assert (
        found
        == truth.execute(
            "SELECT produit_id, sum(quantite) AS q, sum(montant) FROM v GROUP BY 1 ORDER BY q DESC, 1 LIMIT 5"
        ).fetchall()
    )


def timeline_of(
    live: LiveTables,
    filters: Filters,
    zone: str = "UTC",
    zoom: tuple[datetime, datetime] | None = None,
    points: int = 400,
) -> over_time.Timeline:
    def sums(narrowed: Filters, *asked: Question) -> Any:
        return query_sources.narrowed(live.read(), narrowed, *asked)

    return over_time.timeline(sums, filters, OVER_TIME, zone, zoom, points)


def test_timeline_counts_every_sale_once(live: LiveTables, filters: Filters, truth: duckdb.DuckDBPyConnection) -> None:
    timeline = timeline_of(live, filters, points=100)
    rows = timeline.points
    sales, revenue, first = truth.execute("SELECT count(*), sum(montant), min(horodatage) FROM v").fetchall()[0]
    assert rows[-1]["cumulative"] == sum(row["events"] for row in rows) == sales
    assert sum(row["revenue"] for row in rows) == revenue
    assert len(rows) <= 101
    assert rows[0]["start"] <= first.replace(tzinfo=None) < rows[0]["start"] + timedelta(seconds=timeline.step_seconds)


def test_timeline_in_the_business_zone(live: LiveTables) -> None:
    utc = timeline_of(live, Filters()).points[0]["start"]
    paris = timeline_of(live, Filters(), "Europe/Paris").points[0]["start"]
    assert paris - utc == timedelta(hours=1)


def test_a_zoom_has_the_sales_of_each_second_and_the_others_around_it(
    live: LiveTables, truth: duckdb.DuckDBPyConnection, filters: Filters
) -> None:
    times = sorted(when for (when,) in truth.execute("SELECT horodatage FROM v").fetchall())
    middle = times[len(times) // 2].replace(second=0, microsecond=0)
    zoom = (middle, middle + timedelta(minutes=5))
    within = [when.replace(microsecond=0, tzinfo=None) for when in times if zoom[0] <= when < zoom[1]]
    found = timeline_of(live, filters, zoom=zoom)
    fine = [row for row in found.points if row[over_time.STEP] == 1]
    assert found.step_seconds == 1
    assert [(row["start"], row["events"]) for row in fine] == sorted(Counter(within).items())
    assert fine[0]["cumulative"] - fine[0]["events"] == sum(when < zoom[0] for when in times)
    assert found.points[-1]["cumulative"] == len(times)
    assert found.points == sorted(found.points, key=lambda row: row["start"])


def test_loyalty_and_spending(views: duckdb.DuckDBPyConnection, truth: duckdb.DuckDBPyConnection) -> None:
    each = truth.execute("SELECT client_id, count(*), sum(montant) FROM v GROUP BY 1").fetchall()
    loyalty = loyalty_tab.loyalty_of(views, 3)
    assert loyalty.clients == len(each)
    assert loyalty.loyal == sum(bought >= 3 for _, bought, _ in each)
    assert loyalty.loyal_revenue == sum((spent for _, bought, spent in each if bought >= 3), Decimal(0))
    rows = loyalty_tab.spending_of(views, Decimal(100), Decimal(500))
    assert [row["segment_depense"] for row in rows] == ["Premium", "Standard", "Economy"]
    assert [row["clients"] for row in rows] == [
        sum(spent >= 500 for *_, spent in each),
        sum(100 <= spent < 500 for *_, spent in each),
        sum(spent < 100 for *_, spent in each),
    ]


def test_reconciliation_accounts_for_every_message(live: LiveTables) -> None:
    snapshots = live.read()
    with live.connection() as con:
        answer = live.file_cache.answer(con, snapshots[REJETS.name], file_cache.REASONS)
        con.register("motifs", answer["motifs"])
        book = figures.reconciliation(snapshots[BRONZE.name].rows, snapshots[CLEAN.name].rows, answer["kinds"])
        reasons = figures.reasons(con).to_pylist()
    assert book.messages == 3000
    assert book.rejected > 0
    assert book.waiting == 0
    assert reasons == [{"motif": "negative:montant", "messages": book.invalid}]


def test_reconciliation_adds_repeated_keys() -> None:
    kinds = pa.table({"kind": ["invalid", "duplicate", "invalid"], "messages": [2, 1, 3]})
    book = figures.reconciliation(10, 3, kinds)
    assert (book.invalid, book.duplicates, book.conflicts, book.waiting) == (5, 1, 0, 1)


def test_last_messages_are_the_newest_of_the_table(live: LiveTables) -> None:
    snapshots = live.read()
    found = query_sources.last_messages(snapshots, 100)["offset"].to_pylist()
    with snapshots.open(BRONZE.name) as con:
        assert found == [
            row[0] for row in con.execute('SELECT "offset" FROM bronze ORDER BY kafka_ts DESC, "offset" DESC LIMIT 100')
            .fetchall()
        ]  # fmt: skip


def test_last_messages_reads_few_files(live: LiveTables) -> None:
    snapshots = live.read()
    chosen = newest_files(snapshots[BRONZE.name], 100)
    assert len(chosen) < len(snapshots[BRONZE.name].files) / 2


def heights(drawn: str) -> list[tuple[float, float]]:
    """(bottom, height) of each bar, in percent."""
    return [(float(low), float(high)) for low, high in re.findall("bottom:([0-9.]+)%;height:([0-9.]+)%", drawn)]


def test_the_small_bars_stand_on_zero_and_have_gaps() -> None:
    level = sparkline.html([84.0, 83.0, 84.0], ["a", "b", "c"], "per minute")
    assert heights(level) == [(0, 100), (0, 98.8), (0, 100)]
    broken = sparkline.html([10.0, None, 5.0], ["", "", "<b>"], "")
    assert broken.count("<i ") == 3
    assert heights(broken) == [(0, 100), (0, 50)]
    assert 'title="&lt;b&gt;"' in broken
    assert heights(sparkline.html([-5.0, 15.0], ["", ""], "")) == [(0, 25), (25, 75)]


def test_a_card_without_a_line_has_the_same_room() -> None:
    assert 'class="ventes-line"' in sparkline.html([], [], "")
    assert "&nbsp;" in sparkline.html([], [], "")


def test_recent_sales_are_the_newest_that_pass_the_filters(live: LiveTables) -> None:
    snapshots = live.read()
    everything = snapshots[CLEAN.name].arrow().sort_by([("kafka_ts", "descending")]).slice(0, 500).to_pylist()
    mode = [row["kafka_ts"] for row in everything if row["categorie"] == "Mode"]
    assert query_sources.recent_events(snapshots, chosen(categories=("Mode",)), 500)["kafka_ts"].to_pylist() == mode
    assert 0 < len(mode) < 500


def test_newest_rows_stay_true_while_files_are_added_and_merged(tmp_path: Path) -> None:
    """Only new files are read, and no sale counts twice after a merge."""
    settings = sample_lake.settings_at(tmp_path, maintenance={"compact_every": 2})
    sample_lake.make(settings, 60, sample_lake.Shape(days=1), now=NOW, lots=1)
    live = LiveTables(settings)
    for step in range(1, 7):
        sample_lake.add(settings, sample_lake.messages(40 + 20 * step, 20, NOW + timedelta(hours=step)))
        if step == 4:
            maintenance = maintenance_of(settings, BRONZE, Log.open(settings.bronze, version=0))
            maintenance.run_due()
        snapshots = live.read()
        found = query_sources.last_messages(snapshots, 50)["offset"].to_pylist()
        assert found == list(range(59 + 20 * step, 9 + 20 * step, -1))
        clean = snapshots[CLEAN.name].arrow().sort_by([("kafka_ts", "descending")])["kafka_ts"].slice(0, 50)
        assert query_sources.recent_events(snapshots, Filters(), 50)["kafka_ts"].to_pylist() == clean.to_pylist()
    assert len(snapshots[BRONZE.name].files) < 7  # some were merged


def test_a_filter_reads_only_files_that_are_new(tmp_path: Path) -> None:
    settings = sample_lake.settings_at(tmp_path)
    sample_lake.make(settings, 500, sample_lake.Shape(days=2), now=NOW, lots=2)
    live = LiveTables(settings)
    only = chosen(categories=("Mode",))
    seen: list[str] = []

    def sales() -> int:
        snapshots = live.read()
        snapshot = snapshots[CLEAN.name]
        with query_sources.narrowed(snapshots, only, CLIENTS) as con:
            ((count,),) = con.execute("SELECT sum(sales)::BIGINT FROM clients").fetchall()
        seen[:] = snapshot.paths()
        return int(count)

    before = sales()
    for path in seen:  # fails if they are read again
        Path(path).rename(f"{path}.away")
    sample_lake.add(settings, sample_lake.messages(500, 200, NOW + timedelta(hours=1)))
    after = sales()
    for path in seen:
        if Path(f"{path}.away").exists():
            Path(f"{path}.away").rename(path)
    assert after > before
    with live.read().open(CLEAN.name) as con:
        assert con.execute("SELECT count(*) FROM ventes_clean WHERE categorie = 'Mode'").fetchall() == [(after,)]


def test_as_of_is_the_page_as_it_was(tmp_path: Path) -> None:
    settings = sample_lake.settings_at(tmp_path)
    sample_lake.make(settings, 300, now=NOW, lots=1)
    live = LiveTables(settings)
    between = datetime.now(timezone.utc)
    sample_lake.add(settings, sample_lake.messages(300, 50, NOW + timedelta(hours=1)))
    assert live.read()[BRONZE.name].rows == 350
    assert live.read(between)[BRONZE.name].rows == 300
    long_ago = live.read(between - timedelta(days=1))
    with pytest.raises(NotReadable, match="later time"):
        long_ago[BRONZE.name]


def test_no_table_is_a_sentence(tmp_path: Path) -> None:
    snapshots = LiveTables(sample_lake.settings_at(tmp_path)).read()
    with pytest.raises(NotReadable, match="not there yet"):
        snapshots[BRONZE.name]


@pytest.mark.parametrize(
    ("asked", "filters", "table"),
    [
        (HEADLINE.questions[0], chosen(), "ventes_aggreges"),
        (HEADLINE.questions[0], chosen(countries=("France",), since=NOW.date()), "ventes_aggreges"),
        (HEADLINE.questions[0], chosen(categories=("Mode",)), "ventes_clean"),
        (HEADLINE.questions[1], chosen(categories=("Mode",)), "ventes_par_produit"),
        (HEADLINE.questions[1], chosen(countries=("France",)), "ventes_clean"),
        (BY_COUNTRY.question(EVENT), chosen(segments=("Particulier",)), "ventes_aggreges"),
        (BY_PRODUCT.question(EVENT), chosen(categories=("Mode",)), "ventes_par_produit"),
        (BY_PRODUCT.question(EVENT), chosen(until=NOW.date()), "ventes_clean"),
        (MINUTES, chosen(since=NOW.date()), "ventes_par_minute"),
        (MINUTES, chosen(countries=("France",)), "ventes_clean"),
        (CLIENTS, chosen(segments=("Particulier",)), "ventes_aggreges"),
        (Question("v", ("pays",)), chosen(), "ventes_par_pays"),
        (Question("v", ("segment",)), chosen(), "ventes_par_segment"),
        (Question("v", ("categorie",)), chosen(), "ventes_par_produit"),
        (question("v", ("pays",), Count("n")), chosen(), "ventes_par_pays"),
        (question("v", (ByDay(),), Count("n")), chosen(), "ventes_aggreges"),
        (question("v", ("pays", ByMinute()), Count("n")), chosen(), "ventes_clean"),
        (Grouped(("pays",), (Distinct("n", "produit_id"),)).question(EVENT), chosen(), "ventes_clean"),
        (BY_COUNTRY.stored_question(EVENT), chosen(), "ventes_par_pays"),
        (BY_COUNTRY.stored_question(EVENT), chosen(countries=("France",)), "ventes_par_pays"),
        (BY_COUNTRY.stored_question(EVENT), chosen(segments=("Particulier",)), "ventes_clean"),  # so it is not asked
        (BY_COUNTRY.stored_question(EVENT), chosen(since=NOW.date()), "ventes_clean"),
        (Grouped(("categorie",), (Distinct("n", "client_id"),)).stored_question(EVENT), chosen(), "ventes_clean"),
    ],
)
def test_the_table_that_answers(live: LiveTables, asked: Question, filters: Filters, table: str) -> None:
    """That of release 0.2.0 for each of its questions; the smallest for others."""
    assert query_sources.tables_for(live.read(), filters, asked) == (table,)


def test_what_cannot_be_added_up_is_no_question() -> None:
    with pytest.raises(ValueError, match="a Mean cannot be added up"):
        question("v", ("pays",), Mean("average", "montant"))


def test_the_values_of_a_dimension_are_an_attribute_of_the_filters() -> None:
    """Own tabs use them."""
    filters = chosen(countries=("France",))
    assert (filters.countries, filters.segments, filters.categories) == (("France",), (), ())
    with pytest.raises(AttributeError):
        _ = filters.planets


def test_period_choices() -> None:
    today = date(2026, 3, 10)
    assert days_of("All time", today) == (None, None)
    assert days_of("Today", today) == (today, None)
    assert days_of("Last 7 days", today) == (date(2026, 3, 4), None)
    assert days_of("Custom", today, (date(2026, 1, 1), date(2026, 1, 2))) == (date(2026, 1, 1), date(2026, 1, 2))
    assert days_of("nonsense from a link", today) == (None, None)
