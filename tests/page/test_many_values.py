"""A field with many values: the browser gets a part of them, the viewer searches for the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, TimeoutError, expect

from harness import sample_lake
from harness.page_site import Site, serve, toml
from harness.pipeline import wait_for
from harness.shipped import CLEAN
from tests.page.conftest import Run
from ventes.dashboard.choices import MOST
from ventes.deltalog.snapshot import Snapshot
from ventes.lake.tables import path_of

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4,000 sales in more than a thousand countries."""
    found = tmp_path_factory.mktemp("many")
    toml(found)
    many = sample_lake.Shape(days=3, clients=3000, countries=2000)
    sample_lake.make(sample_lake.settings_at(found), 4000, many, lots=2)
    return found


@pytest.fixture(scope="module")
def wide(folder: Path) -> Iterator[Site]:
    with serve(folder) as running:
        yield running


def events(folder: Path) -> list[dict[str, Any]]:
    settings = sample_lake.settings_at(folder)
    rows: list[dict[str, Any]] = Snapshot.open(path_of(settings, CLEAN), CLEAN).arrow().to_pylist()
    return rows


def sales_of(folder: Path, *countries: str) -> str:
    return f"{sum(row['pays'] in countries for row in events(folder)):,}"


def first_figure(page: Page) -> Locator:
    return page.locator(".st-key-figures [data-testid=stMetricValue]").first


def search(page: Page, words: str) -> None:
    box = page.get_by_role("textbox", name="countries")
    box.fill(words)
    box.press("Enter")


def choose(page: Page, country: str) -> None:
    """Open the list until it has the country: the answer to a search may come while it is open."""
    option = page.get_by_role("option", name=country, exact=True)

    def is_offered() -> bool:
        page.get_by_role("combobox", name="Country").click()
        try:
            option.wait_for(timeout=3_000)
        except TimeoutError:
            page.keyboard.press("Escape")
            return False
        return True

    wait_for(is_offered, f"{country} is offered")
    option.click()
    page.keyboard.press("Escape")


def test_a_country_is_searched_for_on_the_server_and_stays_chosen(folder: Path, wide: Site, opened: Open) -> None:
    names = sorted({row["pays"] for row in events(folder)})
    first, second = names[-1], names[-2]
    page = opened(wide.url)
    search(page, first.lower())
    choose(page, first)
    expect(first_figure(page)).to_have_text(sales_of(folder, first))
    search(page, second.lower())
    choose(page, second)
    expect(first_figure(page)).to_have_text(sales_of(folder, first, second))
    assert sorted(parse_qs(urlsplit(page.url).query)["country"]) == sorted([first, second])
    again = opened(page.url)
    expect(first_figure(again)).to_have_text(sales_of(folder, first, second))


def test_the_browser_gets_a_part_of_the_values(folder: Path, run: Run) -> None:
    every = {row["pays"] for row in events(folder)}
    assert len(every) > 2 * MOST
    rare = sorted(every)[-1]
    page = run(country=rare)
    countries = next(one for one in page.multiselect if one.label == "Country")
    assert countries.value == [rare]
    assert len(countries.options) <= MOST + 1
    assert [one.label for one in page.sidebar.text_input] == [f"Search in {len(every):,} countries"]
    page.sidebar.text_input[0].set_value("nowhere").run()
    countries = next(one for one in page.multiselect if one.label == "Country")
    assert (countries.value, countries.options) == ([rare], [rare])
    assert "0 found" in [one.value for one in page.sidebar.caption]


def test_a_country_that_is_not_there_is_said(run: Run) -> None:
    page = run(country="Atlantis")
    assert any("Atlantis" in one.value and "not here" in one.value for one in page.warning), page.warning
