"""The page over a running pipeline: a broker, both jobs, sales that arrive while a viewer has the page open."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Page, expect

from harness.page_site import Site, serve
from harness.pipeline import Pipeline, sales, wait_for
from tests.page.test_browser import REFRESHED, as_shown, shows_figures
from ventes.supervise.metrics import families


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """The test starts the broker and is the producer."""
    monkeypatch.setenv("VENTES_KAFKA__MANAGED", "false")
    monkeypatch.setenv("VENTES_PRODUCER__ENABLED", "false")
    with Pipeline(tmp_path / "live", engine="embedded") as running:
        running.start("bronze")
        running.start("silver")
        running.send(sales(200))
        running.catch_up()
        yield running


def not_ready(site: Site) -> dict[str, str]:
    """The jobs that /readyz calls not ready, and why. (The page of this test is not at the settings' port.)"""
    try:
        with urlopen(f"{site.url}readyz", timeout=20) as answer:
            said = json.load(answer)
    except HTTPError as error:
        said = json.load(error)
    jobs = {name: said["services"][name] for name in ("bronze", "silver")}
    return {name: job["reason"] for name, job in jobs.items() if not job["ready"]}


def badge(page: Page, text: str, colour: str) -> None:
    """The first badge of the line at the top says `text`, in `colour`."""
    first = page.locator(".stMarkdownBadge").first
    expect(first).to_contain_text(text, timeout=REFRESHED)
    red, green = first.evaluate("e => getComputedStyle(e).color.match(/\\d+/g).slice(0, 2).map(Number)")
    assert colour == ("green" if green > red else "red"), (red, green)


def _drawn(pipeline: Pipeline) -> tuple[float, set[str]]:
    """The page's viewers, and its parts that were drawn, as the metrics have them."""
    known = families.read(pipeline.settings, measured=None)
    found = {family.name: family.samples for family in families.Families(known).collect()}
    (viewers,) = found["ventes_page_viewers"]
    times = found["ventes_page_refresh_duration_seconds"]
    return viewers.value, {one.labels["part"] for one in times if one.name.endswith("_count") and one.value > 0}


def test_live_is_green_until_a_job_is_killed_and_again_after_it_came_back(
    pipeline: Pipeline, opened: Callable[..., Page]
) -> None:
    """Figures change by themselves when sales arrive, and equal `verify`'s; the line names a job that is down and the
    next step."""
    with serve(pipeline.folder) as site:
        page = opened(site.url)
        badge(page, "Live", "green")
        assert not_ready(site) == {}
        page.locator(".stMarkdownBadge").first.click()  # the technical part folds away behind it
        expect(page.get_by_text("Bronze up to date")).to_be_visible()
        shows_figures(page, as_shown(asdict(pipeline.verify().figures)))

        pipeline.send(sales(60, first_id=201, seed=1))
        pipeline.catch_up()
        after = as_shown(asdict(pipeline.verify().figures))
        assert after[0] == "260"
        shows_figures(page, after)

        wait_for(lambda: _drawn(pipeline) == (1, {"line", "figures", "tab"}), "the page reports its viewer", 20)

        pipeline.kill("silver")
        badge(page, "Not live", "red")
        main = page.locator("[data-testid=stMain]")
        expect(main).to_contain_text("the Silver job is down; new messages wait in Bronze, none is lost")
        main.locator(".st-key-incident summary").click()
        expect(main).to_contain_text("Silver job – down: its process ended without an error message")
        expect(main.locator("code").filter(has_text="ventes start")).to_be_visible()
        wait_for(lambda: "ended without an error message" in not_ready(site).get("silver", ""), "/readyz says why")
        pipeline.send(sales(40, first_id=261, seed=2))  # Bronze continues
        page.locator(".stMarkdownBadge").first.click()
        expect(page.get_by_text("40 behind")).to_be_visible(timeout=REFRESHED)

        pipeline.start("silver")
        pipeline.catch_up()
        badge(page, "Live", "green")
        shows_figures(page, as_shown(asdict(pipeline.verify().figures)))

        page.close()
        wait_for(lambda: _drawn(pipeline)[0] == 0, "nobody looks any more", 30)
