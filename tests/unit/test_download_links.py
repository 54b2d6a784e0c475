"""A ticket belongs to one session and one host name, ends with the session, and contains no names."""

from __future__ import annotations

import pytest

from ventes.dashboard import download_links
from ventes.dashboard.download_links import Download, DownloadLinks, LinkRefused, Viewer
from ventes.query.csv_child import CsvTask

FILE = Download("bronze.csv", lambda: CsvTask({}))
HOST = "localhost:8501"


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def links(clock: Clock) -> DownloadLinks:
    found = DownloadLinks(clock)
    found.prefix = "/csv/"
    return found


def ticket(links: DownloadLinks, viewer: Viewer, what: object = "bronze") -> str:
    return links.issue(viewer, what, FILE).removeprefix("/csv/")


def refusal(links: DownloadLinks, ticket: str, host: str = HOST) -> int:
    with pytest.raises(LinkRefused) as refused:
        links.find(ticket, host)
    return refused.value.status


def test_a_ticket_stands_for_a_file_of_a_session_and_names_nothing(links: DownloadLinks) -> None:
    viewer = Viewer(HOST)
    first = ticket(links, viewer)
    assert links.find(first, HOST) == (viewer, FILE)
    assert ticket(links, viewer) == first  # shown again, the same
    other = ticket(links, Viewer(HOST))
    assert other != first  # of another session, another
    assert "bronze" not in first
    assert len(first) >= 32


def test_only_under_the_name_under_which_the_page_was_opened(links: DownloadLinks) -> None:
    mine = ticket(links, Viewer("Dash.Example.com:8501"))
    assert links.find(mine, "dash.example.com:8501")
    for host in ("evil.example", "dash.example.com", "dash.example.com:8502", ""):
        assert refusal(links, mine, host) == 403


def test_it_ends_when_the_browser_disconnects_and_is_back_with_it(links: DownloadLinks) -> None:
    viewer, other = Viewer(HOST), Viewer(HOST)
    mine, others = ticket(links, viewer), ticket(links, other)
    viewer.leave()
    assert refusal(links, mine) == 404
    assert links.find(others, HOST)
    links.keep(viewer)
    assert links.find(mine, HOST)


def test_it_ends_after_some_minutes_without_use(links: DownloadLinks, clock: Clock) -> None:
    viewer = Viewer(HOST)
    mine = ticket(links, viewer)
    for use in (lambda: links.keep(viewer), lambda: links.find(mine, HOST)):
        clock.now += download_links.LIFETIME_SECONDS
        use()
    clock.now += download_links.LIFETIME_SECONDS + 1
    assert refusal(links, mine) == 404


def test_a_viewer_has_so_many_and_the_one_shown_least_recently_is_dropped(links: DownloadLinks) -> None:
    viewer, other = Viewer(HOST), Viewer(HOST)
    others = ticket(links, other)
    made = [ticket(links, viewer, number) for number in range(download_links.LINKS_OF_A_VIEWER)]
    assert ticket(links, viewer, 0) == made[0]  # shown again
    ticket(links, viewer, "one more")
    assert refusal(links, made[1]) == 404
    assert links.find(made[0], HOST)
    assert links.find(others, HOST)


@pytest.mark.parametrize("address", ["", "bronze", "../etc/passwd", "%2fetc%2fpasswd", "-"])
def test_what_is_no_ticket_is_refused(links: DownloadLinks, address: str) -> None:
    ticket(links, Viewer(HOST))
    assert refusal(links, address) == 404
