"""The page in a real browser: correct figures, no flicker, all functions, and safe with hostile data."""

from __future__ import annotations

import csv
import http.client
import io
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
from playwright.sync_api import Page, expect

from harness import sample_lake
from harness.page_site import SCRIPT, Site, serve, toml
from harness.sample_lake import HOSTILE
from ventes.config import Settings
from ventes.contract.tables import of
from ventes.dashboard import text
from ventes.deltalog.database import connect
from ventes.deltalog.snapshot import Snapshot
from ventes.lake import tables
from ventes.lake.tables import path_of
from ventes.supervise.services import PAGE

TABLES = of(Settings())
Open = Callable[..., Page]
REFRESHED = 25_000
"""Milliseconds within which a page that refreshes every 5 s must have changed, on a busy machine."""


def ask(site: Site, query: str) -> list[tuple[object, ...]]:
    """SQL over the tables as they are now."""
    with connect() as con:
        for table in TABLES.all:
            tables.snapshot(site.settings, table).view(con, table.name)
        return con.execute(query).fetchall()


def expected(site: Site, where: str = "true") -> list[str]:
    """The five figures as the page must show them, from ventes_clean and Bronze."""
    sales, clients, products, revenue = ask(
        site,
        "SELECT count(*), count(DISTINCT client_id), count(DISTINCT produit_id), sum(montant) "
        f"FROM ventes_clean WHERE {where}",
    )[0]
    assert isinstance(sales, int)
    assert isinstance(revenue, Decimal)
    records = sales if where != "true" else tables.snapshot(site.settings, TABLES.bronze).rows
    average = (revenue / sales).quantize(Decimal("0.01"), "ROUND_HALF_UP")
    return [f"{records:,}", f"{clients:,}", f"{products:,}", f"${revenue:,.2f}", f"${average:,.2f}"]


def figures(page: Page) -> list[str]:
    return page.locator(".st-key-figures [data-testid=stMetricValue]").all_inner_texts()


def shows_figures(page: Page, values: list[str]) -> None:
    expect(page.locator(".st-key-figures [data-testid=stMetricValue]")).to_have_text(values, timeout=REFRESHED)


def plot(page: Page, expression: str) -> object:
    """`expression` over `gd`, the first chart."""
    return page.evaluate(f"() => {{ const gd = document.querySelector('.js-plotly-plot'); return {expression}; }}")


def drawn(page: Page) -> None:
    page.locator(".js-plotly-plot .main-svg").first.wait_for()


def column(number: int) -> str:
    """The cells of a column (from 1) of the table, in its accessible twin."""
    return f"[data-testid=stDataFrame] canvas table td[aria-colindex='{number}']"


def test_figures_are_those_of_the_tables(site: Site, opened: Open) -> None:
    page = opened(site.url)
    shows_figures(page, expected(site))
    expect(page.get_by_role("heading", name="Sales, live")).to_be_visible()


def test_figures_are_those_that_verify_recomputes(site: Site, opened: Open) -> None:
    """`ventes verify` judges the raw bytes of Bronze again; its figures must be on the screen."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ventes")), "verify", "--no-topic", "--json"],
        env={**os.environ, "VENTES_CONFIG": str(site.folder / "ventes.toml")},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["ok"]
    shows_figures(opened(site.url), as_shown(found["figures"]))


def as_shown(figures: Mapping[str, Any]) -> list[str]:
    """The figures of a report of `verify` as the page writes them."""
    counts = [f"{figures[name]:,}" for name in ("records", "clients", "products")]
    return counts + [f"${Decimal(figures[name]):,.2f}" for name in ("revenue", "average")]


TABS = {
    "Sales by Country": "Total revenue by country",
    "Top 10 Products": "Best-selling products by volume",
    "Sales Timeline": "Sales volume over time",
    "Raw Data": "Last 100 records",
    "Segments & Loyalty": "Best clients",
    "Rejected Messages": "Every message is accounted for",
    "Freshness": "How long a sale takes",
    "SQL": "Ask the tables",
}


def test_each_tab(site: Site, opened: Open) -> None:
    page = opened(site.url)
    for tab, sign in TABS.items():
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("heading", name=sign)).to_be_visible(timeout=REFRESHED)
        expect(page.locator("[data-testid=stException]")).to_have_count(0)


@pytest.mark.long
def test_calm_while_sales_arrive(site: Site, opened: Open) -> None:
    """Figures change by themselves; zoom, sort, scroll and a paused page do not."""
    before = expected(site)
    timeline = opened(f"{site.url}?tab=Sales+Timeline")
    raw = opened(f"{site.url}?tab=Raw+Data")
    paused = opened(site.url)
    for page in (timeline, raw, paused):
        shows_figures(page, before)

    drawn(timeline)
    box = timeline.locator(".js-plotly-plot .nsewdrag").bounding_box()
    assert box is not None
    timeline.mouse.move(box["x"] + 200, box["y"] + 100)
    timeline.mouse.down()
    timeline.mouse.move(box["x"] + 500, box["y"] + 110, steps=6)
    timeline.mouse.up()
    timeline.wait_for_function("() => document.querySelector('.js-plotly-plot')._fullLayout.xaxis.autorange === false")
    zoom = plot(timeline, "gd._fullLayout.xaxis.range")
    last = plot(timeline, "gd._fullData[0].y.at(-1)")
    timeline.evaluate(
        """() => { window.first = document.querySelector('.js-plotly-plot'); window.blinks = 0;
        new MutationObserver(() => { if (!document.querySelector('.js-plotly-plot .main-svg')) window.blinks++; })
        .observe(document.body, { subtree: true, childList: true }); }"""
    )

    grid = raw.locator("[data-testid=stDataFrame]").first
    grid.locator("canvas").first.wait_for()
    corner = grid.bounding_box()
    assert corner is not None
    raw.mouse.click(corner["x"] + 30, corner["y"] + 18)  # vente_id: ascending
    raw.wait_for_function(
        "() => { const c = [...document.querySelectorAll(\"[data-testid=stDataFrame] canvas table "
        "td[aria-colindex='1']\")].map(e => Number(e.textContent.replaceAll(',', ''))); "
        "return c.length > 3 && c.every((v, i) => !i || c[i - 1] <= v); }"
    )  # fmt: skip
    raw.mouse.move(corner["x"] + 300, corner["y"] + 300)
    raw.mouse.wheel(0, 500)
    raw.wait_for_function("() => document.querySelector('[data-testid=stDataFrame] .dvn-scroller').scrollTop > 400")
    scrolled = raw.evaluate("() => document.querySelector('[data-testid=stDataFrame] .dvn-scroller').scrollTop")

    paused.get_by_text("Pause", exact=True).click()
    expect(paused.get_by_text("Paused at")).to_be_visible()

    site.append(40)
    after = expected(site)
    assert after != before
    shows_figures(timeline, after)
    shows_figures(raw, after)
    timeline.wait_for_function(f"() => document.querySelector('.js-plotly-plot')._fullData[0].y.at(-1) > {last}")
    assert plot(timeline, "gd._fullLayout.xaxis.range") == zoom
    assert timeline.evaluate("() => [window.first.isConnected, window.blinks]") == [True, 0]
    assert raw.evaluate("() => document.querySelector('[data-testid=stDataFrame] .dvn-scroller').scrollTop") == scrolled
    numbers = [int(value.replace(",", "")) for value in raw.locator(column(1)).all_text_contents()]
    assert numbers == sorted(numbers)
    assert figures(paused) == before
    paused.get_by_text("Pause", exact=True).click()
    shows_figures(paused, after)


def test_a_link_shows_the_same_view(site: Site, opened: Open) -> None:
    page = opened(site.url)
    shows_figures(page, expected(site))
    page.get_by_role("combobox", name="Country").click()
    page.keyboard.type("France")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="Top 10 Products").click()
    page.get_by_role("button", name="Revenue").or_(page.get_by_role("radio", name="Revenue")).first.click()
    wanted = expected(site, "pays = 'France'")
    shows_figures(page, wanted)
    expect(page.get_by_role("heading", name="Best-selling products by revenue")).to_be_visible()
    again = opened(page.url)
    shows_figures(again, wanted)
    expect(again.get_by_role("heading", name="Best-selling products by revenue")).to_be_visible()
    drawn(again)
    best = ask(
        site,
        "SELECT sum(montant) AS s FROM ventes_clean WHERE pays = 'France' "
        "GROUP BY produit_id, produit_nom ORDER BY s DESC LIMIT 10",
    )
    assert plot(again, "[...gd._fullData[0].x]") == [float(str(row[0])) for row in best]


def test_as_of_a_version_and_a_time(site: Site, opened: Open) -> None:
    """A chosen version is in the address, and the link shows the same page; then back to now."""
    page = opened(site.url)
    shows_figures(page, expected(site))
    clean = path_of(site.settings, TABLES.clean)
    version = Snapshot.open(clean, TABLES.clean).version - 1
    with connect() as con:
        Snapshot.open(clean, TABLES.clean, version).view(con, "clean")
        ((revenue,),) = con.execute("SELECT sum(montant) FROM clean").fetchall()
    page.get_by_text("Exact time or version").click()
    page.get_by_label("Version", exact=True).fill(str(version))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**at=ventes_clean%40{version}*")
    for shown in (page, opened(page.url)):
        expect(shown.locator("[data-testid=stMain]")).to_contain_text(f"As of version {version} of ventes_clean")
        expect(shown.locator(".st-key-figures [data-testid=stMetricValue]").nth(3)).to_have_text(f"${revenue:,.2f}")
    page.get_by_role("button", name="Back to now").click()
    shows_figures(page, expected(site))
    expect(page.get_by_label("Version", exact=True)).to_have_value("")
    page.get_by_role("group", name="Time (UTC)").get_by_role("spinbutton").first.click()
    page.keyboard.type("202001011030")
    page.keyboard.press("Tab")
    page.wait_for_url("**at=2020-01-01T10%3A30%3A00Z*")
    expect(page.locator("[data-testid=stMain]")).to_contain_text("choose a later time")


def test_search_in_raw_data(site: Site, opened: Open) -> None:
    page = opened(f"{site.url}?tab=Raw+Data")
    page.get_by_role("textbox", name="Search these records").press_sequentially("Cafetière")  # as one types
    expect(page.get_by_text("of the last 100 records contain it")).to_be_visible()
    page.wait_for_function("() => new URLSearchParams(location.search).get('search') === 'Cafetière'")
    again = opened(page.url)
    expect(again.get_by_text("of the last 100 records contain it")).to_be_visible()
    expect(again.locator(column(8)).first).to_have_text("Cafetière à piston", timeout=REFRESHED)
    assert set(again.locator(column(8)).all_text_contents()) == {"Cafetière à piston"}
    again.get_by_role("button", name="Search all sales").click()
    query = again.get_by_role("textbox", name="One SELECT, in Spark's dialect")
    expect(query).to_have_value(re.compile("Cafetière"), timeout=REFRESHED)
    expect(again.get_by_text("100 rows,")).to_be_visible(timeout=REFRESHED)


def test_sql_runs_and_downloads(site: Site, opened: Open) -> None:
    page = opened(f"{site.url}?tab=SQL")
    box = page.get_by_role("textbox", name="One SELECT, in Spark's dialect")
    box.fill("SELECT pays AS p, COUNT(*) AS n FROM bronze_data GROUP BY pays ORDER BY n DESC, p")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("rows,").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV, all").click()
    header, *rows = csv.reader(io.StringIO(Path(download.value.path()).read_text("utf-8"), newline=""))
    assert header == ["p", "n"]
    wanted = ask(site, "SELECT pays, count(*) AS n FROM bronze GROUP BY pays ORDER BY n DESC, pays")
    assert [(name.removeprefix("'"), int(number)) for name, number in rows] == [
        (str(name).removeprefix("'"), number) for name, number in wanted
    ]
    assert not [name for name, _ in rows if name[:1] in "=+-@\t\r"]
    box.fill("SELECT * FROM read_csv('/etc/passwd')")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("alert")).to_contain_text("not allowed")
    assert "root:" not in page.content()


def test_the_dialogs_of_the_sidebar(site: Site, opened: Open) -> None:
    page = opened(site.url)
    page.get_by_text("Operator").click()
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="System Architecture").click()
    expect(dialog.locator("[data-testid=stImage] img")).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Monitoring Commands").click()
    command = f"ls -la {site.settings.bronze}/"
    code = dialog.locator("[data-testid=stCode]").filter(has_text=command)
    code.hover()
    expect(code.get_by_role("button", name="Copy")).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Help & Troubleshooting").click()
    expect(dialog.get_by_text("Start everything again, without loss.")).to_be_visible()


def test_hostile_names_are_text(site: Site, opened: Open) -> None:
    page = opened(site.url)
    drawn(page)
    labels = page.locator(".js-plotly-plot .ytick text").all_text_contents()
    for name in HOSTILE:
        wanted = text.shorten(" ".join((text.cell(name) or "").split()), 24)
        assert wanted in labels, (name, labels)
    bar = page.locator(".js-plotly-plot .bars .point path").nth(labels.index("<script>alert(1)</script>"[:23] + "…"))
    bar.hover(force=True)  # Plotly listens on a layer above it
    expect(page.locator(".js-plotly-plot .hoverlayer")).to_contain_text("<script>alert(1)</script>")
    raw = opened(f"{site.url}?tab=Raw+Data")
    raw.locator("[data-testid=stDataFrame] canvas table").first.wait_for(state="attached")
    for tested in (page, raw):
        assert tested.locator("a[href^='javascript'], a[*|href^='javascript']").count() == 0
        assert "alert(1)" not in "".join(tested.locator("script").all_inner_texts())


def test_a_zoom_in_time_fits_the_other_axis_to_what_is_visible(site: Site, opened: Open) -> None:
    page = opened(f"{site.url}?tab=Sales+Timeline&show=Sales")
    drawn(page)
    whole = plot(page, "gd._fullLayout.yaxis.range[1]")
    by_hour = page.get_by_role("heading", name="Sales per hour")
    expect(by_hour).to_be_visible()
    box = page.locator(".js-plotly-plot .nsewdrag").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 150, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 320, box["y"] + 110, steps=6)
    page.mouse.up()
    page.wait_for_function("() => document.querySelector('.js-plotly-plot')._fullLayout.yaxis.autorange === false")
    expect(by_hour).to_have_count(0)  # finer points have come
    page.wait_for_function(f"() => document.querySelector('.js-plotly-plot')._fullLayout.yaxis.range[1] < {whole}")
    highest = plot(
        page,
        "Math.max(...gd.data[0].y.filter((y, i) => { const t = new Date(gd.data[0].x[i]).getTime(); const [a, b] = "
        "gd._fullLayout.xaxis.range.map(x => new Date(x).getTime()); return a <= t && t <= b; }))",
    )
    low, high = cast(list[float], plot(page, "gd._fullLayout.yaxis.range"))
    assert low == 0  # bars stand on zero
    assert cast(float, highest) < high <= 1.1 * cast(float, highest)
    page.mouse.dblclick(box["x"] + 150, box["y"] + 100)
    page.wait_for_function("() => document.querySelector('.js-plotly-plot')._fullLayout.yaxis.autorange")
    page.wait_for_function(f"() => document.querySelector('.js-plotly-plot')._fullLayout.yaxis.range[1] === {whole}")


def test_the_legend_of_a_phone_is_below_the_chart(site: Site, opened: Open) -> None:
    page = opened(f"{site.url}?tab=Freshness", size={"width": 390, "height": 1600})
    drawn(page)
    legend = page.locator(".js-plotly-plot .legend .bg").first.bounding_box()
    chart = page.locator(".js-plotly-plot .nsewdrag").first.bounding_box()
    assert legend is not None
    assert chart is not None
    assert legend["y"] >= chart["y"] + chart["height"]
    page.locator(".js-plotly-plot .nsewdrag").first.hover()
    expect(page.locator(".modebar-btn")).to_have_count(0)


@pytest.mark.parametrize("width", [390, 1400])
def test_an_incident_does_not_move_the_page(site: Site, opened: Open, width: int) -> None:
    """The figures are where they are on a page without an incident (paused: it asks nobody). Both have a chip above,
    whose place is kept while the browser loads the button."""
    places = []
    for address in (f"{site.url}?period=Last+365+days", f"{site.url}?pause=true"):
        page = opened(address, size={"width": width, "height": 900})
        shows_figures(page, expected(site) if "pause" in address else expected(site, "jour IS NOT NULL"))
        expect(page.locator(".stMarkdownBadge").first).to_contain_text("Paused" if "pause" in address else "Not live")
        expect(page.locator(".st-key-incident summary")).to_have_count(0 if "pause" in address else 1)
        expect(page.locator(".st-key-incident .stHtml")).to_have_count(1 if "pause" in address else 0)
        places.append(_top(page, ".st-key-figures"))
        expect(page.locator(".st-key-chips button")).to_have_count(1)
        places.append(_top(page, ".st-key-figures"))
    assert len(set(places)) == 1, places


def _top(page: Page, selector: str) -> float:
    place = page.locator(selector).bounding_box()
    assert place is not None
    return place["y"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone(site: Site, opened: Open, scheme: str) -> None:
    page = opened(site.url, size={"width": 390, "height": 844}, scheme=scheme)
    shows_figures(page, expected(site))
    drawn(page)
    assert page.evaluate("() => document.scrollingElement.scrollWidth") <= 390
    background = page.evaluate("() => getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    assert background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(16, 21, 28)")


def test_listens_on_this_machine_only(site: Site) -> None:
    others = [
        one.address
        for addresses in psutil.net_if_addrs().values()
        for one in addresses
        if one.family == socket.AF_INET and not one.address.startswith("127.")
    ]
    for address in others:
        with socket.socket() as probe:
            probe.settimeout(2)
            assert probe.connect_ex((address, site.port)) != 0, address


def handshake(site: Site, host: str) -> int:
    """The answer to a browser that reached the page under `host`."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    connection.request(
        "GET",
        "/_stcore/stream",
        headers={
            "Host": host, "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": f"http://{host}",
        },
    )  # fmt: skip
    status = connection.getresponse().status
    connection.close()
    return status


def test_another_host_name_is_refused(site: Site) -> None:
    assert handshake(site, f"localhost:{site.port}") == 101
    assert handshake(site, "evil.example") == 403


def test_the_host_names_of_the_settings_and_no_others_are_let_in(tmp_path: Path) -> None:
    """With the command that `ventes start` uses, on an address other than loopback."""
    toml(tmp_path, '[page]\naddress = "127.0.0.2"\nhosts = ["dash.example.com", "*.lan"]\n')
    settings = sample_lake.settings_at(tmp_path, address="127.0.0.2", hosts=["dash.example.com", "*.lan"])
    flags = [flag for flag in PAGE.argv(settings) if flag.startswith("--server.allowedHosts=")]
    with serve(tmp_path, SCRIPT, *flags) as own:
        for host in ("localhost", "127.0.0.1", "127.0.0.2", "dash.example.com", "sales.lan"):
            assert handshake(own, f"{host}:{own.port}") == 101, host
        for host in ("evil.example", "dash.example.com.evil.example", "lan"):
            assert handshake(own, f"{host}:{own.port}") == 403, host


def test_usage_is_not_reported_and_the_toolbar_is_a_viewers(site: Site, opened: Open) -> None:
    page = opened(site.url)
    shows_figures(page, expected(site))
    page.locator("[data-testid=stMainMenu]").click()
    expect(page.get_by_text("Clear cache")).to_have_count(0)
    expect(page.locator("[data-testid=stAppDeployButton]")).to_have_count(0)
