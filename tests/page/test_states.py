"""The page reports every state of the tables in a sentence; and extensions by users work."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import time
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from streamlit.testing.v1 import AppTest

from harness import sample_lake
from harness.cards import cards_of
from harness.maintaining import maintenance_of
from harness.page_site import SCRIPT, toml
from tests.page.conftest import Run
from ventes.config import Settings
from ventes.contract.tables import of
from ventes.deltalog.log import Log
from ventes.deltalog.vacuum import Vacuum
from ventes.lake.tables import ensure, path_of

TABLES = of(Settings())
BRONZE, CLEAN = TABLES.bronze, TABLES.clean
TABS = ("Sales by Country", "Top 10 Products", "Sales Timeline", "Raw Data", "Segments & Loyalty", "Rejected Messages",
        "Freshness", "SQL")  # fmt: skip
GUIDE_SNIPPET = '''
def get_custom_metrics(spark):
    df = spark.sql("""
        SELECT 
            categorie,
            COUNT(*) as count,
            SUM(montant) as revenue
        FROM bronze_data
        GROUP BY categorie
    """)
    return df

# In main Streamlit app:
custom_df = get_custom_metrics(spark)
st.bar_chart(custom_df)
'''  # noqa: W291 - as printed in the guide
GUIDE_TAB = """
def load_custom_data(spark):
    return spark.sql("SELECT jour, COUNT(*) AS sales FROM ventes_clean GROUP BY jour ORDER BY jour")

# In streamlit_dashboard.py, add to tabs:
with tab5:
    st.subheader("Custom Chart")
    custom_data = load_custom_data(spark)
    st.line_chart(custom_data)
"""

NOW = datetime.now(timezone.utc)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run(tab, script, **query)`: one run of the page over the lake in tmp_path, without an exception."""

    def go(
        tab: str | None = None, script: Path = SCRIPT, state: dict[str, Any] | None = None, **query: str | list[str]
    ) -> AppTest:
        if not (tmp_path / "ventes.toml").exists():
            toml(tmp_path)
        monkeypatch.setenv("VENTES_CONFIG", str(tmp_path / "ventes.toml"))
        page = AppTest.from_file(str(script), default_timeout=60)
        for name, value in {**({"tab": tab} if tab else {}), **query}.items():
            page.query_params[name] = value
        for name, kept in (state or {}).items():
            page.session_state[name] = kept
        page.run()
        assert not page.exception, page.exception
        return page

    return go


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    sample_lake.make(sample_lake.settings_at(tmp_path), 300, sample_lake.Shape(days=3), lots=2)
    return tmp_path


def said(page: AppTest) -> str:
    """All sentences, and the badge, which is the label of what unfolds."""
    sentences = [str(one.value) for kind in (page.info, page.error, page.warning, page.markdown) for one in kind]
    return " ".join([*badges(page._tree), *sentences])


def badges(block: Any) -> list[str]:
    mine = getattr(getattr(getattr(block, "proto", None), "popover", None), "label", "")
    children = getattr(block, "children", None) or {}
    return [*([mine] if mine else []), *(label for child in children.values() for label in badges(child))]


def add_rejected(settings: Settings, *ids: int | None) -> None:
    """A message for each id, rejected for its amount."""
    rows = sample_lake.messages(sample_lake.next_offset(settings), len(ids), NOW).to_pylist()
    for row, vente_id in zip(rows, ids, strict=True):
        row.update(vente_id=vente_id, motifs=["range:montant"])
    sample_lake.add(settings, pa.Table.from_pylist(rows, BRONZE.schema))


def charts(page: AppTest) -> list[str]:
    return [one.type for one in page.main if one.type.endswith("chart")]


def kinds(page: AppTest) -> list[str]:
    """Types of all elements below the page's root."""

    def walk(block: object) -> list[str]:
        children = getattr(block, "children", None)
        if children is None:
            return [str(getattr(block, "type", ""))]
        return [kind for child in children.values() for kind in walk(child)]

    return walk(page._tree)


@pytest.mark.parametrize("tab", TABS)
def test_before_there_is_data(run: Run, tab: str) -> None:
    page = run(tab)
    if tab != "SQL":
        assert "not there yet" in said(page) or "not there yet".replace(" ", "\\ ") in said(page)


def test_empty_tables(run: Run, tmp_path: Path) -> None:
    for table in TABLES.all:
        ensure(sample_lake.settings_at(tmp_path), table)
    for tab in TABS:
        page = run(tab)
        assert cards_of(page)[0].value == "0"
        assert cards_of(page)[4].value == "–"
    assert "No sales yet" in said(run(TABS[0]))


def test_one_table_missing_leaves_the_rest(run: Run, lake: Path) -> None:
    shutil.rmtree(path_of(sample_lake.settings_at(lake), CLEAN))
    page = run("Sales by Country")
    assert "ventes" in said(page)
    assert "vega" not in kinds(page)


def test_a_damaged_log_is_reported_with_the_next_step(run: Run, lake: Path) -> None:
    path = path_of(sample_lake.settings_at(lake), CLEAN)
    version = Log.open(path).version
    (path / "_delta_log" / f"{version + 1:020d}.json").write_text("")
    page = run()
    assert "ventes doctor" in said(page).replace("\\", "")


def test_files_vacuumed_under_the_reader(run: Run, lake: Path) -> None:
    settings = sample_lake.settings_at(lake)
    for table in ("ventes_aggreges", "ventes_clean", "ventes_par_produit"):
        for file in (settings.silver / table).rglob("*.parquet"):
            file.unlink()
    assert "were replaced while" in said(run())


def test_a_table_of_an_older_release(run: Run, tmp_path: Path, lake: Path) -> None:
    """Columns that an older release did not have yet are shown as empty."""
    settings = sample_lake.settings_at(tmp_path)
    path = path_of(settings, CLEAN)
    old = pa.table({name: column for name, column in zip(CLEAN.schema.names, _rows(path).columns, strict=True)
                    if name not in ("en_retard", "_extra", "date_traitement")})  # fmt: skip
    shutil.rmtree(path)
    write_deltalake(str(path), old, partition_by=["jour"], name=CLEAN.name)
    for tab in TABS:
        page = run(tab)
        assert int(cards_of(page)[0].value) == 300


def _rows(path: Path) -> pa.Table:
    from ventes.deltalog.snapshot import Snapshot

    return Snapshot.open(path, CLEAN).arrow()


def test_jobs_that_are_down_are_shown_with_the_next_step(run: Run, lake: Path) -> None:
    text = said(run())
    assert "Not live" in text
    assert "ventes start" in text
    assert ":green-badge" not in text


def test_paused_and_as_of_are_never_green(run: Run, lake: Path) -> None:
    then = datetime.now(timezone.utc) + timedelta(seconds=1)
    page = run(at=f"{then:%Y-%m-%dT%H:%M:%SZ}")
    assert "As of" in said(page)
    assert ":green-badge" not in said(page)


def test_a_sale_in_the_future_has_no_age(run: Run, lake: Path) -> None:
    """The clock was set back, or the broker's clock is ahead."""
    settings = sample_lake.settings_at(lake)
    assert " ago" in said(run())
    later = datetime.now(timezone.utc) + timedelta(hours=3)
    sample_lake.add(settings, sample_lake.messages(sample_lake.next_offset(settings), 5, later))
    text = said(run())
    assert "ahead of this machine's clock" in text
    assert "**, 0 s ago" not in text


def test_the_age_of_an_earlier_view_is_counted_from_now(run: Run, tmp_path: Path) -> None:
    """Committed 9 minutes ago, shown as of 8 minutes ago."""
    now = datetime.now(timezone.utc)  # NOW may be some minutes ago
    settings = sample_lake.settings_at(tmp_path)
    sample_lake.make(settings, 5, sample_lake.Shape(days=1), now=now - timedelta(minutes=10))
    for log in tmp_path.rglob("_delta_log/*.json"):
        os.utime(log, times=2 * (now.timestamp() - 540,))
    text = said(run(at=f"{now - timedelta(minutes=8):%Y-%m-%dT%H:%M:%SZ}"))
    assert "As of" in text
    assert "10 min ago" in text


ALL_READY = """
import time
from ventes.dashboard import page
from ventes.runtime.pipeline_status import ServiceStatus, Status

def all_ready(settings):
    parts = [ServiceStatus(
        name=name, title=name, state="running", running=True, ready=True, reason="", pid=1, since=0.0, by_hand=False,
        engine="spark", reported=None, batch=None, batch_at=None, batch_rows=None, batch_seconds=None, total=None,
        last_error="", last_error_at=None, lag_messages=0, lag_seconds=0.0, log="",
    ) for name in ("broker", "producer", "bronze", "silver", "page")]
    return Status(time.time(), "spark", "", "", None, None, tuple(parts), {})
"""


def test_silence_is_amber_and_said(run: Run, tmp_path: Path) -> None:
    """Every part is ready and the newest sale is an hour old."""
    settings = sample_lake.settings_at(tmp_path)
    sample_lake.make(settings, 5, sample_lake.Shape(days=1), now=NOW - timedelta(hours=1))
    script = _pasted(tmp_path, "", SCRIPT.read_text("utf-8").replace("from ventes.cli import page", ALL_READY).replace(
        'own_tabs=["Custom"]', 'own_tabs=["Custom"], ask_status=all_ready'))  # fmt: skip
    text = said(run(script=script)).replace("\\", "")
    assert "Quiet" in text
    assert ":green-badge" not in text
    assert "every part is ready, but nothing arrives" in text
    sample_lake.add(settings, sample_lake.messages(5, 5, datetime.now(timezone.utc)))
    text = said(run(script=script))
    assert ":green-badge" in text
    assert "nothing arrives" not in text


FIRING = """
from dataclasses import replace
from ventes.runtime.pipeline_status import FiringAlert

def two_fire(settings):
    found = all_ready(settings)
    alerts = (FiringAlert("no-sale", "critical", "No sale: <b>5</b> min."), FiringAlert("lag", "warning", "Behind."),
              FiringAlert("disk", "warning", "Full.", silenced_until=time.time() + 60))
    service = replace(found.services[0], name="alerts", title="alerts", firing=alerts)
    return replace(found, services=(*found.services, service))
"""


@pytest.mark.parametrize(
    ("language", "words", "badge"),
    [
        ("en", "2 alerts fire: no-sale (critical), lag (warning)", "Live, an alert fires"),
        (
            "fr",
            "2 alertes sont déclenchées : no-sale (critique), lag (avertissement)",
            "En direct, une alerte est déclenchée",
        ),
    ],
)
def test_what_fires_is_where_incidents_are_on_every_tab(
    run: Run, tmp_path: Path, language: str, words: str, badge: str
) -> None:
    toml(tmp_path, f'[page]\nlanguage = "{language}"\n')
    sample_lake.make(sample_lake.settings_at(tmp_path), 5, sample_lake.Shape(days=1))
    script = _pasted(tmp_path, "", SCRIPT.read_text("utf-8").replace(
        "from ventes.cli import page", ALL_READY + FIRING).replace(
        'own_tabs=["Custom"]', 'own_tabs=["Custom"], ask_status=two_fire'))  # fmt: skip
    page = run(script=script)
    (incident,) = [one for one in page.expander if "alert" in one.label]
    assert incident.label.startswith(":red[")
    assert words in incident.label.replace("\\", "")
    text = said(page)
    assert f":orange-badge[:material/notifications_active: {badge}]" in text, "the pipeline itself is well"
    assert "No sale\\: \\<b\\>5" in text, "shown as text"
    assert "disk" not in text


def test_the_line_says_when_it_was_checked(run: Run, lake: Path) -> None:
    assert re.search(r"checked \d+ s ago", said(run()))


def test_as_of_too_long_ago_is_one_sentence(run: Run, lake: Path) -> None:
    assert said(run(at="2020-01-01T00:00:00Z")).count("choose a later time") == 1


@pytest.mark.parametrize(("minutes", "most"), [(0, None), (4, 4), (9, 9), (33, 30), (150, 120), (1000, 360)])
def test_the_slider_goes_back_as_far_as_there_is_history(run: Run, lake: Path, minutes: int, most: int | None) -> None:
    """At most history_hours (6). Its end is a time that can be shown."""
    for log in lake.rglob("_delta_log/*.json"):
        os.utime(log, times=2 * (time.time() - 60 * minutes - 5,))
    page = run()
    sliders = [slider for slider in page.slider if "minutes back" in slider.label]
    assert [slider.max for slider in sliders] == ([] if most is None else [most])
    if sliders and most is not None:
        text = said(sliders[0].set_value(most).run())
        assert "As of" in text
        assert "choose a later time" not in text
        assert next(slider for slider in page.slider if "minutes back" in slider.label).value == most


@pytest.mark.parametrize("tab", ["Raw Data", "Rejected Messages", "Freshness"])
def test_what_is_not_filtered_says_so_above(run: Run, lake: Path, tab: str) -> None:
    country = next(box for box in run().multiselect if box.label == "Country").options[0]
    assert "The filters do not apply here" in said(run(tab, country=country))
    assert "The filters do not apply here" not in said(run(tab))


def test_as_of_too_long_ago_has_no_second_message_in_a_tab(run: Run, lake: Path) -> None:
    assert len(run("Raw Data", at="2020-01-01T00:00:00Z").info) == 1


def test_a_version_whose_files_were_removed_is_a_sentence_that_says_what_there_is(run: Run, lake: Path) -> None:
    """After compaction and vacuum, version 1 of ventes_clean can no longer be read."""
    settings = sample_lake.settings_at(lake, maintenance={"compact_every": 2, "history_hours": 1e-9})
    for _ in range(4):
        sample_lake.add(settings, sample_lake.messages(sample_lake.next_offset(settings), 20, NOW, sample_lake.Shape()))
    log = Log.open(path_of(settings, CLEAN))
    maintenance = maintenance_of(settings, CLEAN, Log.open(log.path, version=0))
    maintenance.run_due()
    vacuum = Vacuum(log.path, settings.maintenance.history_hours * 3600)
    live = set(Log.open(log.path).files)
    assert vacuum.run(live) > 0
    text = said(run(at="ventes_clean@1")).replace("\\", "")
    assert "Version 1 of ventes_clean is no longer kept" in text
    assert "can be read" in text
    assert "no version 999 yet" in said(run(at="ventes_clean@999")).replace("\\", "")


def test_a_version_is_the_page_as_it_was(run: Run, lake: Path) -> None:
    """The last moment of the version: its roll-ups are complete, and Bronze is already one lot ahead."""
    settings = sample_lake.settings_at(lake)
    version = Log.open(path_of(settings, CLEAN)).version
    before = [card.value for card in cards_of(run())]
    sample_lake.add(settings, sample_lake.messages(300, 50, NOW))
    page = run(at=f"ventes_clean@{version}")
    assert [card.value for card in cards_of(page)] == ["350", *before[1:]]
    assert f"As of version {version} of ventes_clean" in said(page).replace("\\", "")
    assert f"Silver v{version}" in said(page)
    assert ":green-badge" not in said(page)
    assert [card.value for card in cards_of(run())] != ["350", *before[1:]]


def test_invalid_values_in_the_link_are_ignored(run: Run, lake: Path) -> None:
    page = run("nope", at="yesterday@x", refresh="abc", country="Atlantis", period="never", show="x")
    assert cards_of(page)[0].value == "300"


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"country": "Nowhere"}, "Country “Nowhere” of the address is not here: all countries are shown"),
        ({"period": "never"}, "Period “never” of the address is not here: all time is shown"),
        ({"at": "yesterday"}, "Time or version “yesterday” of the address is not here: now is shown"),
        ({"tab": "nope"}, "Tab “nope” of the address is not here: Sales by Country is shown"),
        ({"tab": "Sales Timeline", "show": "x"}, "Show “x” of the address is not here: cumulative is shown"),
        ({"tab": "Rejected Messages", "reason": "x"}, "Reason “x” of the address is not here: every reason is shown"),
    ],
)
def test_what_a_link_asks_for_and_is_not_here_is_said(run: Run, lake: Path, asked: dict[str, str], answer: str) -> None:
    add_rejected(sample_lake.settings_at(lake), 502424218828802)
    page = run(**asked)
    assert answer in said(page).replace("\\", "")
    page.run()  # it stays said
    assert answer in said(page).replace("\\", "")


def test_a_link_to_a_choice_and_to_a_reason_stays_valid(run: Run, lake: Path) -> None:
    settings = sample_lake.settings_at(lake)
    page = run("Sales Timeline", show="Revenue")
    assert any(title.value.startswith("Revenue per") for title in page.subheader)
    assert "of the address" not in said(page)
    for ids in ((1,), (2, 3)):  # the number of messages is no part of the link
        add_rejected(settings, *ids)
        page = run("Rejected Messages", reason="range:montant")
        assert page.selectbox(key="reason").value == "range:montant"
        assert "of the address" not in said(page)


def test_a_choice_takes_back_what_was_said_about_the_link(run: Run, lake: Path) -> None:
    page = run(country="Nowhere")
    country = next(box for box in page.multiselect if box.label == "Country")
    country.select(country.options[0]).run()
    assert "Nowhere" not in said(page)


def test_the_known_values_of_a_link_are_kept_beside_unknown_ones(run: Run, lake: Path) -> None:
    first = next(box for box in run().multiselect if box.label == "Country").options[0]
    page = run(country=[first, "Nowhere"])
    assert next(box for box in page.multiselect if box.label == "Country").value == [first]
    assert "it is left out" in said(page)


def test_settings_that_are_refused_are_named(run: Run, tmp_path: Path) -> None:
    toml(tmp_path, "[page]\nport = 0\n")
    assert "page.port" in said(run()).replace("\\", "")


def test_a_mistyped_key_beside_a_password_is_named_without_the_password(run: Run, tmp_path: Path) -> None:
    path = toml(tmp_path, '[kafka.security]\n"sasl.password" = "canary-5ecr3t"\n"sasl.usrname" = "canary-anna"\n')
    path.chmod(0o600)
    shown = said(run()).replace("\\", "")
    assert "'sasl.usrname' is not passed on" in shown
    assert str(path) in shown
    assert "canary" not in shown


def test_sql_can_be_switched_off(run: Run, tmp_path: Path, lake: Path) -> None:
    toml(tmp_path, "[page]\nsql = false\n")
    assert "SQL" not in [tab.label for tab in run().tabs]


def test_the_guides_query_recipe(run: Run, tmp_path: Path, lake: Path) -> None:
    page = run(script=_pasted(tmp_path, GUIDE_SNIPPET))
    assert "arrow_vega_lite_chart" in kinds(page) or "vega_lite_chart" in kinds(page)


def test_the_guides_tab_recipe(run: Run, tmp_path: Path, lake: Path) -> None:
    page = run(script=_pasted(tmp_path, GUIDE_TAB))
    assert "Custom" in [tab.label for tab in page.tabs]
    assert "Custom Chart" in [one.value for one in page.subheader]
    assert "arrow_vega_lite_chart" in kinds(page) or "vega_lite_chart" in kinds(page)


def test_a_script_of_an_earlier_release_has_all_that_it_had(run: Run, tmp_path: Path, lake: Path) -> None:
    """Such a script called the page's own module: the pipeline's status must be shown."""
    text = SCRIPT.read_text(encoding="utf-8").replace(
        "from ventes.cli import page", "from ventes.dashboard import page"
    )
    script = _pasted(tmp_path, 'st.write("mine")', text)
    shown = run(script=script)
    assert "Not live" in said(shown)
    assert "ventes start" in said(shown)
    assert "mine" in said(shown)


def test_a_run_without_a_query_says_what_to_do(run: Run, lake: Path) -> None:
    page = run("SQL")
    assert "Write a SELECT" not in said(page)
    next(button for button in page.button if button.label == "Run").click().run()
    assert "Write a SELECT above" in said(page)


def test_a_query_from_the_address_waits_for_a_click(run: Run, lake: Path) -> None:
    page = run("SQL", q="SELECT COUNT(*) AS n FROM bronze_data")
    assert "came with the address" in said(page)
    assert not page.dataframe
    next(button for button in page.button if button.label == "Run").click().run()
    assert page.dataframe[0].value["n"].tolist() == [300]
    page.text_area[0].set_value("SELECT 7 AS n").run()  # typed here: no click is needed
    assert page.dataframe[0].value["n"].tolist() == [7]


def test_counts_of_a_query_have_separators_and_ids_and_years_have_none(run: Run, lake: Path) -> None:
    page = run("SQL")
    page.text_area[0].set_value(
        "SELECT year(jour) AS y, COUNT(*) AS n, MAX(vente_id) AS vente_id, COUNT(*) FROM bronze_data GROUP BY 1"
    ).run()
    shown = json.loads(page.dataframe[0].proto.columns)
    patterns = [column["type_config"].get("format") for column in shown.values() if "type_config" in column]
    assert patterns == ["%d", "%,d", "%d", "%,d"]


def test_an_error_of_a_query_is_two_sentences(run: Run, lake: Path) -> None:
    page = run("SQL")
    page.text_area[0].set_value("SELECT pay FROM bronze_data").run()
    text = said(page).replace("\\", "")
    assert "not found in FROM clause. Next step: correct the query; perhaps pays is meant." in text


def figure(page: AppTest) -> dict[str, Any]:
    """The first chart of the page."""
    drawn = [block for block in blocks(page) if getattr(block, "type", "") == "bidi_component"]
    one = next(block for block in drawn if "figure" in json.loads(block.proto.json))  # the other one has the buttons
    found: dict[str, Any] = json.loads(json.loads(one.proto.json)["figure"])
    return found


def blocks(page: AppTest) -> list[Any]:
    def walk(block: Any) -> list[Any]:
        children = getattr(block, "children", None)
        return [block] if children is None else [leaf for child in children.values() for leaf in walk(child)]

    return walk(page._tree)


def test_each_bar_has_its_value_and_its_share(run: Run, lake: Path) -> None:
    clean = _rows(path_of(sample_lake.settings_at(lake), CLEAN)).to_pylist()
    revenue: dict[str, Decimal] = defaultdict(Decimal)
    for row in clean:
        revenue[row["pays"]] += row["montant"]
    amount = max(revenue.values())
    (bars,) = figure(run("Sales by Country"))["data"]
    shown, share = html.unescape(bars["text"][0]).split(" · ")
    assert shown.startswith("$")
    assert float(shown.strip("$k")) * (1000 if "k" in shown else 1) == pytest.approx(float(amount), rel=0.005)
    assert share == f"{amount / sum(revenue.values()):.1%}"
    items: dict[int, int] = defaultdict(int)
    for row in clean:
        items[row["produit_id"]] += row["quantite"]
    (bars,) = figure(run("Top 10 Products"))["data"]
    most = max(items.values())
    beside = f"{most} · {most / sum(items.values()):.1%} · "  # of all, not of the ten; then the change
    assert html.unescape(bars["text"][0]).startswith(beside)


@pytest.mark.parametrize(
    ("tab", "key", "columns"),
    [
        ("Sales by Country", "country", ["Country", "Revenue", "Sales"]),
        ("Top 10 Products", "ranking", ["Produit id", "Produit nom", "Category", "Quantity", "Revenue", "Sales"]),
        ("Sales Timeline", "timeline", ["Start", "Sales", "So far", "Revenue"]),
        ("Segments & Loyalty", "loyalty", ["Group", "Revenue", "Sales", "Clients"]),
        ("Rejected Messages", "reasons", ["Start", "Reason", "Messages"]),
        ("Freshness", "delays", ["Start", "Kafka → Silver p50"]),
    ],
)
def test_each_chart_has_a_table_under_it(run: Run, lake: Path, tab: str, key: str, columns: list[str]) -> None:
    add_rejected(sample_lake.settings_at(lake), 1)
    closed, opened = run(tab), run(tab, state={f"_table-{key}": True})
    assert len(opened.dataframe) == len(closed.dataframe) + 1  # a closed one is not computed
    assert [name for table in opened.dataframe for name in table.value.columns if name in columns][: len(columns)] == (
        columns
    )


def test_a_search_that_finds_nothing_offers_to_search_all_sales(run: Run, lake: Path) -> None:
    assert "None of the last 100 records contains it" in said(run("Raw Data", search="zzzz"))
    assert not run("Raw Data", search="zzzz").dataframe
    (oldest, *_) = sorted(_rows(path_of(sample_lake.settings_at(lake), CLEAN)).to_pylist(), key=lambda r: r["kafka_ts"])
    page = run("Raw Data", search=" ".join(str(oldest[name]) for name in ("vente_id", "client_id", "produit_id")))
    page.button(key="_search_all").click().run()
    page.run()
    assert str(page.text_area[0].value).startswith("SELECT *\nFROM ventes_clean")
    assert oldest["vente_id"] in page.dataframe[0].value["vente_id"].tolist()


def test_ids_of_rejected_messages_are_exact_beside_messages_without_one(run: Run, lake: Path) -> None:
    add_rejected(sample_lake.settings_at(lake), 502424218828802, None)
    sent = pa.ipc.open_stream(run("Rejected Messages").dataframe[0].proto.arrow_data.data).read_all()
    assert sent["vente_id"].type == pa.int64()
    assert {502424218828802, None} <= set(sent["vente_id"].to_pylist())


def test_money_in_tables_is_a_decimal(run: Run, lake: Path) -> None:
    sent = pa.ipc.open_stream(run("Raw Data").dataframe[0].proto.arrow_data.data).read_all()
    assert pa.types.is_decimal(sent["montant"].type)


def test_without_the_recipe_there_is_no_empty_tab(run: Run, lake: Path) -> None:
    assert [tab.label.replace("\\", "") for tab in run().tabs] == list(TABS)


def test_a_failing_user_query_shows_an_error_message(run: Run, tmp_path: Path, lake: Path) -> None:
    page = run(script=_pasted(tmp_path, 'st.bar_chart(spark.sql("SELECT nope FROM bronze_data"))'))
    assert "nope" in said(page)


def _pasted(folder: Path, snippet: str, text: str | None = None) -> Path:
    """The root script (or `text`) with `snippet` pasted at its end."""
    script = folder / "streamlit_dashboard.py"
    text = text or SCRIPT.read_text(encoding="utf-8")
    text = text.replace("Path(__file__).resolve().parent", f"Path({str(SCRIPT.parent)!r})")
    script.write_text(text + snippet, encoding="utf-8")
    return script


def test_a_file_in_the_folder_is_a_tab(run: Run, tmp_path: Path, lake: Path) -> None:
    folder = tmp_path / "dashboard_tabs"
    folder.mkdir()
    (folder / "mine.py").write_text(
        'import streamlit as st\nLABEL = "Mine"\n'
        'def render(view):\n    st.dataframe(view.spark.sql("SELECT COUNT(*) AS n FROM bronze_data").toPandas())\n'
    )
    (folder / "broken.py").write_text("import nothing_like_that\n")
    (folder / "_helper.py").write_text("raise SystemExit\n")
    page = run("Mine")
    labels = [tab.label for tab in page.tabs]
    assert "Mine" in labels
    assert "Broken" in labels
    assert page.dataframe[0].value["n"].tolist() == [300]
    assert "nothing\\_like\\_that" in said(run("Broken"))


def test_the_page_writes_its_heartbeat(run: Run, lake: Path) -> None:
    run()
    record = json.loads((lake / "state" / "run" / "page.by-hand.json").read_text())
    assert record["phase"] == "running"
