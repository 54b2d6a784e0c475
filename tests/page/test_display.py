"""How the page is shown: wall, paper, phone, wide screen, French, keyboard and screen reader, a page that is older than
its server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect

from harness.page_site import Site, serve, toml
from tests.page.test_browser import REFRESHED, TABS, drawn, expected, shows_figures

Open = Callable[..., Page]
SCREEN: ViewportSize = {"width": 1920, "height": 1080}
PHONE: ViewportSize = {"width": 390, "height": 844}


def bottom(page: Page, selector: str) -> float:
    box = page.locator(selector).first.bounding_box()
    assert box is not None
    return box["y"] + box["height"]


def test_the_wall_fits_one_screen_and_turns_its_tabs(site: Site, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a server of its own, whose tabs turn as fast as the settings allow; its language is that of the settings."""
    monkeypatch.setenv("VENTES_PAGE__WALL_SECONDS", "5")
    monkeypatch.setenv("VENTES_PAGE__LANGUAGE", "fr")
    with serve(site.folder) as own:
        page = opened(f"{own.url}?view=wall", size=SCREEN)
        drawn(page)
        expect(page.locator("[data-testid=stSidebar]")).not_to_be_visible()
        expect(page.locator(".stMarkdownBadge").first).to_be_visible()
        for tab in ("Top 10 des produits", "Chronologie des ventes"):
            expect(page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true", timeout=REFRESHED)
            drawn(page)
            page.wait_for_function(
                "() => { const [main, chart] = ['[data-testid=stMain]', '.js-plotly-plot .main-svg'].map(s => "
                "document.querySelector(s)); return chart && main.scrollHeight <= 1080 && "
                "chart.getBoundingClientRect().bottom <= 1080 && chart.getBoundingClientRect().height > 300; }"
            )


def test_paper_has_the_chart_the_date_and_the_filters_but_no_controls(site: Site, opened: Open) -> None:
    page = opened(f"{site.url}?country=France")
    shows_figures(page, expected(site, "pays = 'France'"))
    drawn(page)
    page.evaluate("() => { window.print = () => { window.printed = true; }; }")
    page.get_by_role("button", name="Print / PDF").click()
    assert page.evaluate("() => window.printed")
    paper = page.pdf(format="A4", print_background=True)
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) == 1
    page.emulate_media(media="print")
    printed = page.locator("[data-testid=stMain]")
    expect(printed).to_contain_text(re.compile(r"State of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(UTC\) · Country: France"))
    expect(page.locator(".ventes-printed")).to_be_visible()
    expect(page.locator(".stMarkdownBadge").first).to_be_visible()
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    for control in (
        ".ventes-tools",
        "[data-testid=stSidebar]",
        "[role=tablist]",
        ".st-key-chips",
        "[data-testid=stHeader]",
    ):
        expect(page.locator(control).first).not_to_be_visible()
    page.evaluate("() => { document.querySelector('[data-testid=stMain]').style.width = '700px'; }")  # as on paper
    width = page.locator(".js-plotly-plot .main-svg").first.evaluate("e => e.getBoundingClientRect().width")
    assert width <= 700


def test_the_link_is_copied_or_there_to_be_copied(site: Site, opened: Open) -> None:
    page = opened(f"{site.url}?country=France&tab=Raw+Data")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copy link")).to_contain_text("Copied")
    assert page.evaluate("() => navigator.clipboard.readText()") == page.url
    page.context.clear_permissions()
    page.evaluate("() => Object.defineProperty(navigator, 'clipboard', { value: undefined })")  # as without HTTPS
    page.get_by_role("button", name="Copy link").click()
    field = page.get_by_role("textbox", name="Link to this view")
    expect(field).to_be_focused()
    expect(field).to_have_value(page.url)
    assert page.evaluate("() => getSelection().toString()") == page.url


def test_what_is_in_force_is_said_and_taken_back_by_a_click(site: Site, opened: Open) -> None:
    page = opened(f"{site.url}?country=France&period=Last+7+days&pause=true")
    chips = page.locator(".st-key-chips button")
    expect(chips).to_have_text([re.compile("Paused"), re.compile("Period: Last 7 days"), re.compile("Country: France")])
    chips.filter(has_text="Country: France").click()
    expect(chips).to_have_count(2)
    page.wait_for_function("() => !location.search.includes('country')")
    chips.filter(has_text="Paused").click()
    expect(chips).to_have_count(1)
    chips.filter(has_text="Period").click()
    expect(chips).to_have_count(0)
    shows_figures(page, expected(site))


def test_the_first_screen_of_a_phone_has_the_figures_and_the_chart(site: Site, opened: Open) -> None:
    page = opened(site.url, size=PHONE)
    shows_figures(page, expected(site))
    drawn(page)
    assert page.evaluate("() => document.scrollingElement.scrollWidth") <= PHONE["width"]
    bars = page.locator(".js-plotly-plot .bars .point").first
    assert bottom(page, ".st-key-figures") < 620
    expect(bars).to_be_in_viewport()


def test_a_large_screen_is_filled_and_has_two_charts_side_by_side(site: Site, opened: Open) -> None:
    page = opened(site.url, size=SCREEN)
    drawn(page)
    page.wait_for_function("() => document.querySelectorAll('.js-plotly-plot').length === 2")
    boxes = [plot.bounding_box() for plot in page.locator(".js-plotly-plot").all()]
    assert all(box is not None for box in boxes)
    left, right = (box for box in boxes if box is not None)
    assert left["x"] + left["width"] <= right["x"]
    page.get_by_role("tab", name="Top 10 Products").click()
    page.get_by_role("heading", name="Best-selling products by volume").wait_for()
    drawn(page)
    page.wait_for_function(
        "() => { const box = document.querySelector('.js-plotly-plot').getBoundingClientRect(); "
        "return box.bottom > 900 && box.bottom < 1080; }"
    )


@pytest.fixture(scope="module")
def french(browser: Browser) -> Iterator[Page]:
    """A page of a browser whose language is French."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, locale="fr-FR")
    context.set_default_timeout(40_000)
    yield context.new_page()
    context.close()


def test_a_french_browser_gets_french_words_numbers_and_dates(site: Site, french: Page, opened: Open) -> None:
    french.goto(f"{site.url}?tab=Sales+Timeline&show=Revenue")  # a link of an English page
    expect(french.get_by_role("heading", name="Ventes en direct")).to_be_visible()
    expect(french.get_by_role("tab", name="Chronologie des ventes")).to_have_attribute("aria-selected", "true")
    expect(french.get_by_role("radio", name="Chiffre d’affaires")).to_be_checked()
    drawn(french)
    records, clients, _, revenue, average = expected(site)
    values = [text.replace("\u202f", " ").replace("\u00a0", " ") for text in
              french.locator(".st-key-figures [data-testid=stMetricValue]").all_inner_texts()]  # fmt: skip
    in_french = [number.lstrip("$").replace(",", " ").replace(".", ",") for number in (revenue, average)]
    assert [values[0], values[1], *values[3:]] == [records.replace(",", " "), clients, *(f"{n} $" for n in in_french)]
    assert french.evaluate("() => document.documentElement.lang") == "fr"
    ticks = " ".join(french.locator(".js-plotly-plot .xtick text").all_text_contents())
    assert re.search("janv|févr|mars|avr|mai|juin|juil|août|sept|oct|nov|déc", ticks)
    assert " $" in french.locator(".js-plotly-plot .ytick text").last.text_content().replace("\u00a0", " ")  # type: ignore[union-attr]
    expect(french.locator("[data-testid=stMain]")).to_contain_text(re.compile(r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d"))
    english = opened(f"{site.url}?tab=Chronologie+des+ventes&show=Chiffre+d’affaires")  # and the way back
    expect(english.get_by_role("tab", name="Sales Timeline")).to_have_attribute("aria-selected", "true")
    expect(english.get_by_role("radio", name="Revenue")).to_be_checked()


def test_numbers_of_tables_are_in_the_language_of_the_settings(site: Site, opened: Open) -> None:
    """Streamlit's grid draws on a canvas; it writes them with Intl and the browser's languages."""
    toml(site.folder, '[page]\nlanguage = "fr"\n')
    try:
        english = opened(site.url)  # a browser whose language is English
        expect(english.get_by_role("heading", name="Ventes en direct")).to_be_visible()
        expect(english.locator("html")).to_have_attribute("lang", "fr")  # page_tools.js has been here
        written = english.evaluate("() => new Intl.NumberFormat(navigator.languages).format(1234.5)")
        assert written.replace("\u202f", " ").replace("\u00a0", " ") == "1 234,5"
    finally:
        toml(site.folder)
    auto = opened(site.url)
    expect(auto.get_by_role("heading", name="Sales, live")).to_be_visible()
    assert auto.evaluate("() => navigator.languages[0]").startswith("en")


DRAWN = "() => document.getAnimations().every(a => a.effect.getTiming().iterations === Infinity)"
"""Nothing fades or moves any more, but for what always does."""


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_axe_finds_no_serious_fault_on_any_tab(site: Site, opened: Open, scheme: str) -> None:
    page = opened(f"{site.url}?country=France", scheme=scheme)
    shows_figures(page, expected(site, "pays = 'France'"))
    axe, faults = Axe(), []
    for tab, sign in TABS.items():
        page.locator("[data-testid=stStatusWidget]").wait_for(state="detached")
        page.get_by_role("tab", name=tab).click()
        page.get_by_role("heading", name=sign).wait_for()
        page.locator("[data-testid=stStatusWidget]").wait_for(state="detached")
        page.wait_for_function(DRAWN)  # what fades in has less contrast for a moment
        for found in axe.run(page).response["violations"]:
            if found["impact"] in ("serious", "critical"):
                # Streamlit's own fault: aria-expanded on the element of the sidebar, which has no such state
                nodes = [node["html"][:200] for node in found["nodes"] if node["target"] != [".stSidebar"]]
                faults += [f"{tab}: {found['id']}: {html}" for html in nodes]
    assert not faults, "\n".join(faults)


def test_the_keyboard_reaches_the_tools_and_shows_where_it_is(site: Site, opened: Open) -> None:
    page = opened(site.url)
    drawn(page)
    share = page.get_by_role("button", name="Copy link")
    share.focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Print / PDF")).to_be_focused()
    outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "2px"
    assert page.locator("[role=figure]").first.get_attribute("aria-label") == "Bar chart of total revenue by country"


@pytest.mark.long
def test_an_open_page_says_that_its_server_is_another_one(site: Site, opened: Open) -> None:
    """The server ends and another one starts at its port: the page connects again, and offers to load the new one."""
    with serve(site.folder) as first:
        page = opened(first.url)
        shows_figures(page, expected(site))
        port = first.port
    with serve(site.folder, port=port):
        notice = page.get_by_role("status").filter(has_text="The page was started again")
        expect(notice).to_be_visible(timeout=60_000)
        notice.get_by_role("button", name="Reload").click()
        shows_figures(page, expected(site))
        expect(notice).to_have_count(0)
