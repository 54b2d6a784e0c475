"""Changes, targets, periods, clicks, zoom, help and troubleshooting, in a browser and in one run of the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from harness.cards import cards_of
from harness.page_site import Requests, Site, toml
from harness.shipped import CLEAN
from tests.page.conftest import Run
from ventes.deltalog.snapshot import Snapshot
from ventes.lake.tables import path_of

Open = Callable[..., Page]
WAIT = 30_000


@pytest.fixture
def folder(site: Site) -> Path:
    return site.folder


@pytest.fixture(scope="module")
def recent(site: Site) -> None:
    """40 sales of the last 40 seconds."""
    site.append(40)


def sales(site: Site) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = Snapshot.open(path_of(site.settings, CLEAN), CLEAN).arrow().to_pylist()
    return rows


def value(page: Page, number: int) -> Locator:
    return page.locator(".st-key-figures [data-testid=stMetricValue]").nth(number)


def click_bar(page: Page, number: int) -> None:
    """A person's click: the pointer comes over the bar first."""
    bar = page.locator(".js-plotly-plot .barlayer .point path").nth(number)
    bar.wait_for()
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()  # nothing moves any more
    box = bar.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(1, 1)
    expect(page.locator(".js-plotly-plot .hoverlayer .hovertext")).to_have_count(0)
    page.mouse.move(x - 1, y)
    page.mouse.move(x, y)
    page.locator(".js-plotly-plot .hoverlayer .hovertext").first.wait_for()
    page.mouse.down()
    page.mouse.up()


def asked(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_a_click_on_a_bar_filters_and_a_second_one_takes_it_back(site: Site, opened: Open) -> None:
    page = opened(site.url)
    every = f"{sum((row['montant'] for row in sales(site)), Decimal(0)):,.2f}"
    expect(value(page, 3)).to_have_text(f"${every}", timeout=WAIT)
    by_country: dict[str, Decimal] = {}
    for row in sales(site):
        by_country[row["pays"]] = by_country.get(row["pays"], Decimal(0)) + row["montant"]
    second = sorted(by_country, key=lambda name: (-by_country[name], name))[1]
    click_bar(page, 1)
    expect(value(page, 3)).to_have_text(f"${by_country[second]:,.2f}", timeout=WAIT)
    assert asked(page)["country"] == [second]
    expect(page.locator(".js-plotly-plot .barlayer .point path")).to_have_count(1)
    click_bar(page, 0)
    expect(value(page, 3)).to_have_text(f"${every}", timeout=WAIT)
    assert "country" not in asked(page)


def test_a_click_on_a_product_filters_by_it_in_the_address(site: Site, opened: Open) -> None:
    page = opened(f"{site.url}?tab=Top+10+Products")
    click_bar(page, 0)
    page.wait_for_url(re.compile("only=produit_id"), timeout=WAIT)
    product = next(one for one in asked(page)["only"] if one.startswith("produit_id=")).partition("=")[2]
    mine = [row for row in sales(site) if str(row["produit_id"]) == product]
    again = opened(f"{site.url}?only=produit_id%3D{product}")
    expect(value(again, 0)).to_have_text(f"{len(mine):,}", timeout=WAIT)
    again.get_by_role("button", name=re.compile(f"Produit id: {product}")).first.click()
    expect(value(again, 2)).not_to_have_text("1", timeout=WAIT)
    assert "only" not in asked(again)


@pytest.mark.usefixtures("recent")
def test_a_click_on_a_point_shows_its_time_alone(site: Site, opened: Open) -> None:
    page = opened(f"{site.url}?tab=Sales+Timeline&show=Sales&period=Last+15+minutes")
    bars = page.locator(".js-plotly-plot .barlayer .point path")
    bars.first.wait_for()
    step = 15 if "per 15 seconds" in page.inner_text("[data-testid=stMain]") else 1
    click_bar(page, 0)
    page.wait_for_url(re.compile("from=.*to="), timeout=WAIT)
    start, end = (datetime.fromisoformat(asked(page)[name][0].replace("Z", "+00:00")) for name in ("from", "to"))
    assert end - start in (timedelta(seconds=step), timedelta(seconds=5), timedelta(minutes=1))
    mine = [row for row in sales(site) if start <= row["horodatage"] < end]
    assert mine
    expect(value(page, 0)).to_have_text(f"{len(mine):,}", timeout=WAIT)
    expect(page.get_by_role("heading", name="Sales per second")).to_be_visible(timeout=WAIT)
    click_bar(page, 0)
    page.wait_for_url(re.compile("Last"), timeout=WAIT)
    assert "from" not in asked(page)


@pytest.mark.usefixtures("recent")
def test_a_zoom_has_points_of_seconds_and_the_whole_comes_back(site: Site, opened: Open) -> None:
    page = opened(f"{site.url}?tab=Sales+Timeline&show=Sales")
    expect(page.get_by_role("heading", name="Sales per hour")).to_be_visible(timeout=WAIT)
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    newest = max(row["horodatage"] for row in sales(site))
    ends = [f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (newest - timedelta(minutes=2), newest)]
    page.evaluate("(ends) => Plotly.relayout(document.querySelector('.js-plotly-plot'), {'xaxis.range': ends})", ends)
    expect(page.get_by_role("heading", name="Sales per second")).to_be_visible(timeout=WAIT)
    page.evaluate("() => Plotly.relayout(document.querySelector('.js-plotly-plot'), {'xaxis.autorange': true})")
    expect(page.get_by_role("heading", name="Sales per hour")).to_be_visible(timeout=WAIT)


def test_the_help_of_a_figure_has_sql_that_gives_it(site: Site, opened: Open) -> None:
    page = opened(f"{site.url}?country=France")
    mine = [row for row in sales(site) if row["pays"] == "France"]
    revenue = sum((row["montant"] for row in mine), Decimal(0))
    expect(value(page, 3)).to_have_text(f"${revenue:,.2f}", timeout=WAIT)
    page.locator("[data-testid=stStatusWidget]").wait_for(state="detached")
    page.locator(".st-key-help-figure3 button").first.click()
    box = page.locator("[data-testid=stPopoverBody]")
    expect(box).to_contain_text("The exact sum of montant")
    expect(box).to_contain_text("Read from ventes_aggreges")
    box.get_by_role("button", name="Run it on the SQL tab").click()
    expect(page.locator("[data-testid=stDataFrame] canvas table")).to_contain_text(f"{revenue}", timeout=WAIT)


@pytest.mark.parametrize("button", ["help-figure3", "help-country", "technical"])
def test_a_popover_opens_where_the_browser_is_slow(site: Site, opened: Open, button: str) -> None:
    page = opened(site.url)
    # each reading of the clock is 0.1 s after the one before, as if all that lies between them took so long
    page.add_init_script("const now = Date.now.bind(Date); let calls = 0; Date.now = () => now() + 100 * calls++")
    page.reload()
    expect(value(page, 3)).to_contain_text("$", timeout=WAIT)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.locator(f".st-key-{button} button").first.click()
    expect(page.locator("[data-testid=stPopoverBody]")).to_be_visible()
    page.wait_for_timeout(1_000)  # nor does it close again
    expect(page.locator("[data-testid=stPopoverBody]")).to_be_visible()


def test_the_troubleshooting_has_its_present_answers(site: Site, opened: Open) -> None:
    page = opened(site.url)
    page.get_by_text("Operator", exact=True).click()
    page.get_by_role("button", name="Help & Troubleshooting").click()
    box = page.get_by_role("dialog")
    expect(box).to_contain_text("Charts Not Updating: yes, now.", timeout=WAIT)
    expect(box).to_contain_text("the Kafka broker is")
    expect(box).to_contain_text("Next step: bash start_pipeline.sh")
    expect(box).to_contain_text(re.compile(r"Checked \d s ago\."), timeout=WAIT)


def test_each_dialog_has_its_own_content(site: Site, opened: Open) -> None:
    """The answers of the troubleshooting are asked again while it is open, and no longer."""
    page = opened(site.url)
    page.get_by_text("Operator", exact=True).click()
    box = page.get_by_role("dialog")
    page.get_by_role("button", name="Help & Troubleshooting").click()
    expect(box).to_contain_text(re.compile(r"Checked \d s ago\."), timeout=WAIT)
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    page.get_by_role("button", name="Monitoring Commands").click()
    expect(box).to_contain_text("Everything at a glance", timeout=WAIT)
    expect(box).not_to_contain_text("Checked")


def test_the_help_says_how_to_set_up_a_login_and_an_alert(site: Site, opened: Open) -> None:
    page = opened(site.url)
    page.get_by_text("Operator", exact=True).click()
    page.get_by_role("button", name="Set Up: Login and Alerts").click()
    box = page.get_by_role("dialog")
    expect(box.locator("code", has_text=str(site.settings.config_file)).first).to_be_visible(timeout=WAIT)
    expect(box).to_contain_text(f"All settings are in {site.settings.config_file}, each")
    expect(box).to_contain_text(f"http://localhost:{site.settings.page.port}/oauth2callback")
    expect(box).to_contain_text("json://")


def test_targets_and_changes_are_on_the_cards(
    site: Site, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = datetime.now(timezone.utc).date()
    reached = sum((row["montant"] for row in sales(site) if row["jour"] == today), Decimal(0))
    before = site.folder / "ventes.toml"
    kept = before.read_text()
    try:
        toml(site.folder, '[page.targets]\n"Total Revenue" = 20000\n')
        page = run()
        below = [one.proto.body for one in page.get("html") if "ventes-change" in one.proto.body]
        assert f"{reached / 20000:,.1%} of $20,000.00" in below[3]
        assert f"${reached:,.2f} of $20,000.00 today" in below[3]
        assert "ventes-target" in below[0]
        assert "%" not in below[0].partition("ventes-target")[2].partition("ventes-line")[0]
        assert len(re.findall("vs (yesterday|last week)", below[3])) == 2
        filtered = run(country="France")
        assert "of $20,000.00" not in str([one.proto.body for one in filtered.get("html")])
    finally:
        before.write_text(kept)


@pytest.mark.parametrize("choice", ["Last 15 minutes", "Last hour", "Yesterday", "This month"])
def test_the_figures_of_a_period(site: Site, run: Run, choice: str) -> None:
    page = run(period=choice)
    now = datetime.now(timezone.utc)
    today = now.date()
    minute = now.replace(second=0, microsecond=0)
    passes: dict[str, Callable[[dict[str, Any]], bool]] = {
        "Last 15 minutes": lambda row: row["horodatage"] >= minute - timedelta(minutes=15),
        "Last hour": lambda row: row["horodatage"] >= minute - timedelta(hours=1),
        "Yesterday": lambda row: row["jour"] == today - timedelta(days=1),
        "This month": lambda row: row["jour"] >= today.replace(day=1),
    }
    mine = list(filter(passes[choice], sales(site)))
    assert cards_of(page)[0].value == f"{len(mine):,}"
    assert cards_of(page)[3].value == f"${sum((row['montant'] for row in mine), Decimal(0)):,.2f}"


def test_what_a_link_asks_for_and_is_no_time_or_field_is_said(run: Run) -> None:
    page = run(period="From … to", only=["nofield=1", "produit_id=1"], **{"from": "yesterday"})
    said = " ".join(str(one.value) for one in page.warning).replace("\\", "")
    assert "Time “yesterday” of the address is not here: it is left out" in said
    assert "Value “nofield=1” of the address is not here: it is left out" in said
    assert cards_of(page)[2].value in ("0", "1")


def test_late_requests_do_not_break_the_page_that_names_a_wrong_setting(site: Site, opened: Open) -> None:
    page = opened(site.url)
    requests = Requests(page)
    page.reload()
    seen = page.locator(".st-key-figures [data-testid=stMetric]").first
    expect(seen).to_be_visible(timeout=WAIT)
    file = site.folder / "ventes.toml"
    kept = file.read_text("utf-8")
    requests.wait_for_fragments()
    file.write_text("[page]\nrefresh_seconds = 0\n", "utf-8")
    try:
        requests.for_the_page()
        expect(page.get_by_text("refresh_seconds")).to_be_visible(timeout=WAIT)
        expect(seen).to_have_count(0)
    finally:
        file.write_text(kept, "utf-8")
    requests.for_fragments()
    requests.for_the_page()
    expect(seen).to_be_visible(timeout=WAIT)
