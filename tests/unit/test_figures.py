"""The page's numbers against plain SQL over the tables, with and without filters."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from harness import sample_lake
from harness.maintaining import maintenance_of
from ventes.contract.tables import BRONZE, CLEAN, REJETS
from ventes.dashboard import figures, file_cache, query_sources
from ventes.dashboard.filters import Filters, period
from ventes.dashboard.source import Lake, Moment, NotReadable
from ventes.deltalog.database import connect
from ventes.deltalog.log import Log

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=timezone.utc)
FILTERS = {
    "nothing": Filters(),
    "country": Filters(countries=("France", "Suisse")),
    "category": Filters(categories=("Maison",)),
    "period": Filters(since=date(2026, 3, 1), until=date(2026, 3, 8)),
    "all of them": Filters(
        since=date(2026, 3, 2),
        countries=("France",),
        segments=("Particulier", "Entreprise"),
        categories=("Sport", "Mode"),
    ),
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    settings = sample_lake.settings_at(tmp_path_factory.mktemp("lake"))
    sample_lake.make(settings, 3000, sample_lake.Shape(days=14), now=NOW, lots=5)
    return Lake(settings)


@pytest.fixture(params=FILTERS, scope="module")
def filters(request: pytest.FixtureRequest) -> Filters:
    return FILTERS[request.param]


@pytest.fixture(scope="module")
def views(lake: Lake, filters: Filters) -> Iterator[duckdb.DuckDBPyConnection]:
    with query_sources.narrowed(lake.moment(), filters, "clients", "products", "minutes") as con:
        yield con


@pytest.fixture(scope="module")
def truth(lake: Lake, filters: Filters) -> Iterator[duckdb.DuckDBPyConnection]:
    """The view `v`: the rows of ventes_clean that pass, by a filter written a second time."""
    with connect() as con:
        lake.moment()[CLEAN.name].view(con, "clean")
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
    found, day = figures.headline(views, date(2026, 3, 5))
    sales, clients, products, revenue = truth.execute(
        "SELECT count(*), count(DISTINCT client_id), count(DISTINCT produit_id), sum(montant) FROM v"
    ).fetchall()[0]
    assert sales > 0
    assert (found.sales, found.clients, found.products, found.revenue) == (sales, clients, products, revenue)
    assert found.average == figures.average(revenue, sales)
    assert (day.sales, day.clients, day.revenue) == truth.execute(
        "SELECT count(*), count(DISTINCT client_id), coalesce(sum(montant), 0) FROM v WHERE jour = DATE '2026-03-05'"
    ).fetchall()[0]


def test_countries(views: duckdb.DuckDBPyConnection, truth: duckdb.DuckDBPyConnection) -> None:
    found = [tuple(row.values()) for row in figures.countries(views).to_pylist()]
    assert (
        found
        == truth.execute(
            "SELECT pays, sum(montant) AS revenue, count(*), sum(quantite), count(DISTINCT client_id), "
            "CAST(round(sum(montant) / count(*), 2) AS DECIMAL(18, 2)) FROM v GROUP BY 1 ORDER BY revenue DESC, pays"
        ).fetchall()
    )


def test_products_ranked(views: duckdb.DuckDBPyConnection, truth: duckdb.DuckDBPyConnection) -> None:
    found = [(row["produit_id"], row["quantity"], row["revenue"]) for row in figures.products(views, 5).to_pylist()]
    assert (
        found
        == truth.execute(
            "SELECT produit_id, sum(quantite) AS q, sum(montant) FROM v GROUP BY 1 ORDER BY q DESC, 1 LIMIT 5"
        ).fetchall()
    )


def test_timeline_counts_every_sale_once(views: duckdb.DuckDBPyConnection, truth: duckdb.DuckDBPyConnection) -> None:
    timeline = figures.timeline(views, "UTC", points=100)
    rows = timeline.points.to_pylist()
    sales, revenue, first = truth.execute("SELECT count(*), sum(montant), min(horodatage) FROM v").fetchall()[0]
    assert rows[-1]["cumulative"] == sum(row["sales"] for row in rows) == sales
    assert sum(row["revenue"] for row in rows) == revenue
    assert len(rows) <= 101
    assert rows[0]["start"] <= first.replace(tzinfo=None) < rows[0]["start"] + timedelta(minutes=timeline.step_minutes)


def test_timeline_in_the_business_zone(lake: Lake) -> None:
    with query_sources.narrowed(lake.moment(), Filters(), "minutes") as con:
        utc = figures.timeline(con, "UTC").points["start"][0].as_py()
        paris = figures.timeline(con, "Europe/Paris").points["start"][0].as_py()
    assert paris - utc == timedelta(hours=1)


def test_loyalty_and_spending(views: duckdb.DuckDBPyConnection, truth: duckdb.DuckDBPyConnection) -> None:
    each = truth.execute("SELECT client_id, count(*), sum(montant) FROM v GROUP BY 1").fetchall()
    loyalty = figures.loyalty(views, 3)
    assert loyalty.clients == len(each)
    assert loyalty.loyal == sum(bought >= 3 for _, bought, _ in each)
    assert loyalty.loyal_revenue == sum((spent for _, bought, spent in each if bought >= 3), Decimal(0))
    rows = figures.spending(views, Decimal(100), Decimal(500)).to_pylist()
    assert [row["segment_depense"] for row in rows] == ["Premium", "Standard", "Economy"]
    assert [row["clients"] for row in rows] == [
        sum(spent >= 500 for *_, spent in each),
        sum(100 <= spent < 500 for *_, spent in each),
        sum(spent < 100 for *_, spent in each),
    ]


def test_average_is_half_up_from_exact_sums() -> None:
    assert figures.average(Decimal("0.15"), 2) == Decimal("0.08")
    assert figures.average(Decimal("10.00"), 3) == Decimal("3.33")
    assert figures.average(Decimal(0), 0) is None


def test_reconciliation_accounts_for_every_message(lake: Lake) -> None:
    moment = lake.moment()
    with lake.connection() as con:
        answer = lake.perfile.ask(con, moment[REJETS.name], file_cache.REASONS)
        con.register("motifs", answer["motifs"])
        book = figures.reconciliation(moment[BRONZE.name].rows, moment[CLEAN.name].rows, answer["kinds"])
        reasons = figures.reasons(con).to_pylist()
    assert book.messages == 3000
    assert book.rejected > 0
    assert book.waiting == 0
    assert reasons == [{"motif": "negative:montant", "messages": book.invalid}]


def test_reconciliation_adds_repeated_keys() -> None:
    kinds = pa.table({"kind": ["invalid", "duplicate", "invalid"], "messages": [2, 1, 3]})
    book = figures.reconciliation(10, 3, kinds)
    assert (book.invalid, book.duplicates, book.conflicts, book.waiting) == (5, 1, 0, 1)


def test_last_messages_are_the_newest_of_the_table(lake: Lake) -> None:
    moment = lake.moment()
    found = query_sources.last_messages(moment, 100)["offset"].to_pylist()
    with moment.open(BRONZE.name) as con:
        assert found == [
            row[0] for row in con.execute('SELECT "offset" FROM bronze ORDER BY kafka_ts DESC, "offset" DESC LIMIT 100')
            .fetchall()
        ]  # fmt: skip


def test_last_messages_reads_few_files(lake: Lake) -> None:
    moment = lake.moment()
    chosen = query_sources.newest(moment[BRONZE.name], "kafka_ts", 100)
    assert len(chosen) < len(moment[BRONZE.name].files) / 2


def test_trend_slices_hold_all_recent_sales(lake: Lake) -> None:
    recent = query_sources.recent_sales(lake.moment(), Filters(), 500)
    trend = figures.trend(recent)
    assert sum(trend.sales) == 500
    assert len(trend.sales) == len(trend.average) == 24
    assert sum(trend.revenue) == pytest.approx(float(sum(recent["montant"].to_pylist())))
    with lake.connection() as con:
        con.register("recent", recent)
        ((first, last),) = con.execute("SELECT epoch_ms(min(kafka_ts)), epoch_ms(max(kafka_ts)) FROM recent").fetchall()
        wanted = con.execute(
            "SELECT least(23, ((epoch_ms(kafka_ts) - ?) * 24) // ?) AS i, count(*), count(DISTINCT client_id), "
            "count(DISTINCT produit_id) FROM recent GROUP BY i",
            [first, last - first],
        ).fetchall()
    for i, sales, clients, products in wanted:
        assert (trend.sales[i], trend.clients[i], trend.products[i]) == (sales, clients, products)


def test_recent_sales_are_the_newest_that_pass_the_filters(lake: Lake) -> None:
    moment = lake.moment()
    everything = moment[CLEAN.name].arrow().sort_by([("kafka_ts", "descending")]).slice(0, 500).to_pylist()
    mode = [row["kafka_ts"] for row in everything if row["categorie"] == "Mode"]
    assert query_sources.recent_sales(moment, Filters(categories=("Mode",)), 500)["kafka_ts"].to_pylist() == mode
    assert 0 < len(mode) < 500


def test_newest_rows_stay_true_while_files_are_added_and_merged(tmp_path: Path) -> None:
    """Only files that are new are read, and a merge doubles nothing."""
    settings = sample_lake.settings_at(tmp_path, maintenance={"compact_every": 2})
    sample_lake.make(settings, 60, sample_lake.Shape(days=1), now=NOW, lots=1)
    lake = Lake(settings)
    for step in range(1, 7):
        sample_lake.add(settings, sample_lake.messages(40 + 20 * step, 20, NOW + timedelta(hours=step)))
        if step == 4:
            maintenance = maintenance_of(settings, BRONZE, Log.open(settings.bronze, version=0))
            maintenance.run_due()
        moment = lake.moment()
        found = query_sources.last_messages(moment, 50)["offset"].to_pylist()
        assert found == list(range(59 + 20 * step, 9 + 20 * step, -1))
        clean = moment[CLEAN.name].arrow().sort_by([("kafka_ts", "descending")])["kafka_ts"].slice(0, 50)
        assert query_sources.recent_sales(moment, Filters(), 50)["kafka_ts"].to_pylist() == clean.to_pylist()
    assert len(moment[BRONZE.name].files) < 7  # some were merged


def test_a_filter_reads_only_files_that_are_new(tmp_path: Path) -> None:
    settings = sample_lake.settings_at(tmp_path)
    sample_lake.make(settings, 500, sample_lake.Shape(days=2), now=NOW, lots=2)
    lake = Lake(settings)
    only = Filters(categories=("Mode",))
    seen: list[str] = []

    def sales() -> int:
        moment = lake.moment()
        snapshot = moment[CLEAN.name]
        with lake.connection() as con:
            answer = lake.perfile.ask(con, snapshot, file_cache.sales(only))
        seen[:] = snapshot.paths()
        return sum(answer["clients"]["nb_achats"].to_pylist())

    before = sales()
    for path in seen:  # had they to be read again, this would fail
        Path(path).rename(f"{path}.away")
    sample_lake.add(settings, sample_lake.messages(500, 200, NOW + timedelta(hours=1)))
    after = sales()
    for path in seen:
        if Path(f"{path}.away").exists():
            Path(f"{path}.away").rename(path)
    assert after > before
    with lake.moment().open(CLEAN.name) as con:
        assert con.execute("SELECT count(*) FROM ventes_clean WHERE categorie = 'Mode'").fetchall() == [(after,)]


def test_as_of_is_the_page_as_it_was(tmp_path: Path) -> None:
    settings = sample_lake.settings_at(tmp_path)
    sample_lake.make(settings, 300, now=NOW, lots=1)
    lake = Lake(settings)
    between = datetime.now(timezone.utc)
    sample_lake.add(settings, sample_lake.messages(300, 50, NOW + timedelta(hours=1)))
    assert lake.moment()[BRONZE.name].rows == 350
    assert lake.moment(between)[BRONZE.name].rows == 300
    long_ago = lake.moment(between - timedelta(days=1))
    with pytest.raises(NotReadable, match="later time"):
        long_ago[BRONZE.name]


def test_no_table_is_a_sentence(tmp_path: Path) -> None:
    moment: Moment = Lake(sample_lake.settings_at(tmp_path)).moment()
    with pytest.raises(NotReadable, match="not there yet"):
        moment[BRONZE.name]


def test_period_choices() -> None:
    today = date(2026, 3, 10)
    assert period("All time", today) == (None, None)
    assert period("Today", today) == (today, None)
    assert period("Last 7 days", today) == (date(2026, 3, 4), None)
    assert period("Custom", today, (date(2026, 1, 1), date(2026, 1, 2))) == (date(2026, 1, 1), date(2026, 1, 2))
    assert period("nonsense from a link", today) == (None, None)
