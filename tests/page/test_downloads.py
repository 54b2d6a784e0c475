"""Files from the page's real server, to a browser and to readers that stop reading or disconnect."""

from __future__ import annotations

import csv
import http.client
import io
import re
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from harness import sample_lake
from harness.page_site import SCRIPT, Site, open_downloads, serve, toml
from harness.pipeline import wait_for
from tests.page.test_browser import REFRESHED
from ventes.config import PROJECT, Settings
from ventes.contract.tables import of
from ventes.dashboard.server import HEADERS
from ventes.lake import tables

Open = Callable[..., Page]
BRONZE = of(Settings()).bronze
LARGE = "SELECT repeat('x', 1000) AS x FROM bronze_data CROSS JOIN range(1000)"
"""2 GB as CSV."""
SILENT = "import sys, time; sys.stdin.read(); time.sleep(600)"
"""A child that computes for a long time before its first row."""


def link(page: Page) -> str:
    """The address behind the link of the Downloads box."""
    open_downloads(page)
    return address(page)


def address(page: Page) -> str:
    found = page.get_by_role("link", name="CSV, all").get_attribute("href")
    assert found is not None
    return found


def asked(page: Page, query: str) -> None:
    """Type a query into the SQL tab, and run it."""
    page.get_by_role("textbox", name="One SELECT, in Spark's dialect").fill(query)
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("rows,").first).to_be_visible(timeout=REFRESHED)


@contextmanager
def request(site: Site, path: str, method: str = "GET", **headers: str) -> Iterator[http.client.HTTPResponse]:
    """The response, with its body unread; the request is a browser's, unless `Host` is given. Closed at the end."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    with closing(connection):
        connection.request(
            method, path, headers={"Host": f"localhost:{site.port}", "Accept-Encoding": "gzip", **headers}
        )
        with closing(connection.getresponse()) as answer:
            yield answer


def status(site: Site, path: str, method: str = "GET", **headers: str) -> int:
    with request(site, path, method, **headers) as answer:
        return answer.status


def children(site: Site) -> list[psutil.Process]:
    """Processes that create a file: those of downloads and of queries."""
    return psutil.Process(site.pid).children(recursive=True)


def server_with(folder: Path, limits: str = "", child: str = "", page: Path = SCRIPT) -> Path:
    """A streamlit_server.py whose downloads have other limits, or another child."""
    command = f", (sys.executable, '-c', {child!r})" if child else ""
    script = folder / "streamlit_server.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(PROJECT / 'src')!r})\n"
        "from streamlit.starlette import App\nfrom ventes.dashboard import server\n"
        "from ventes.dashboard.download_links import LINKS\n"
        "from ventes.dashboard.download_server import DownloadLimits, DownloadServer\n"
        f"downloads = DownloadServer(LINKS, DownloadLimits({limits}){command})\n"
        f"app = App({str(page)!r}, **server.options(downloads))\n"
    )
    return script


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small lake."""
    toml(tmp_path)
    sample_lake.make(sample_lake.settings_at(tmp_path), 300, sample_lake.Shape(days=2), lots=2)
    return tmp_path


def rows_of(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text("utf-8"), newline="")))


def test_download_of_a_table(site: Site, opened: Open) -> None:
    page = opened(site.url)
    open_downloads(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV, all").click()
    assert download.value.suggested_filename == "bronze.csv"
    header, *rows = rows_of(Path(download.value.path()))
    assert header == BRONZE.schema.names
    assert len(rows) == tables.snapshot(site.settings, BRONZE).rows
    assert not [cell for row in rows for cell in row if cell[:1] in "=+@\t\r" and cell]


def test_all_rows_of_a_query_beyond_what_is_shown(site: Site, opened: Open) -> None:
    page = opened(f"{site.url}?tab=SQL")
    asked(page, "SELECT vente_id, n FROM bronze_data CROSS JOIN (SELECT explode(sequence(1, 10)) AS n)")
    expect(page.get_by_text("the first 10,000 rows")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV, all rows").click()
    _, *rows = Path(download.value.path()).read_text("utf-8").splitlines()
    assert len(rows) == len(set(rows)) == 10 * tables.snapshot(site.settings, BRONZE).rows


def test_a_download_is_streamed_and_ends_with_its_reader(site: Site, opened: Open) -> None:
    """2 GB: a reader that stops reading costs the page no memory, and no process is left when it disconnects."""
    page = opened(f"{site.url}?tab=SQL")
    asked(page, LARGE)
    path = address(page)
    server = psutil.Process(site.pid)
    before = server.memory_info().rss
    for number in range(5):  # each place is free again at the end
        with request(site, path) as answer:
            assert answer.headers["Content-Encoding"] == "identity"
            assert answer.read(3_000_000)[:10] == b'"x"\n"xxxxx'
            if number == 0:
                wait_for(lambda: _blocked(site), "the server waits for its reader")
                assert server.memory_info().rss - before < 50 << 20
        wait_for(lambda: not children(site), "the file's processes have ended", 2)


def _blocked(site: Site) -> bool:
    """Whether a file's processes run and wait for a reader of their output."""
    making = children(site)
    used = [child.cpu_times() for child in making]
    psutil.Process(site.pid).cpu_percent(0.2)
    return bool(making) and used == [child.cpu_times() for child in making]


def test_a_reader_who_leaves_before_the_first_byte_ends_the_child(folder: Path, opened: Open) -> None:
    with serve(folder, server_with(folder, "in_all=1, wait_seconds=0.5", SILENT)) as running:
        path = link(opened(running.url))
        for _ in range(2):  # the place is free again
            connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
            connection.request("GET", path, headers={"Host": f"localhost:{running.port}"})
            wait_for(lambda: bool(children(running)), "the file is being made")
            connection.close()
            wait_for(lambda: not children(running), "its process has ended", 2)


def test_a_reader_that_reads_nothing_is_disconnected_and_others_continue(folder: Path, opened: Open) -> None:
    limits = "of_a_viewer=1, wait_seconds=0.5, stall_seconds=2.0"
    with serve(folder, server_with(folder, limits)) as running:
        page, other = opened(f"{running.url}?tab=SQL"), opened(running.url)
        asked(page, LARGE)
        elsewhere = link(other)
        with request(running, address(page)) as stuck:
            wait_for(lambda: bool(children(running)), "the file is being made")
            with request(running, address(page)) as refused:
                assert (refused.status, refused.headers["Retry-After"]) == (429, "10")
                assert b"1 of your downloads are running" in refused.read()
            with request(running, elsewhere) as whole:
                assert whole.status == 200
                assert len(list(csv.reader(io.StringIO(whole.read().decode(), newline="")))) == 301
            wait_for(lambda: not children(running), "the reader who took nothing was dropped", 10)
            with pytest.raises(http.client.IncompleteRead):
                stuck.read()
        log = (folder / "streamlit.log").read_text()
        assert "ventes.csv broke off: its reader took nothing for 2 s" in log


def test_an_error_is_shown_when_all_download_places_are_in_use(folder: Path, opened: Open) -> None:
    with serve(folder, server_with(folder, "in_all=2, wait_seconds=0.5")) as running, ExitStack() as readers:
        for _ in range(2):
            page = opened(f"{running.url}?tab=SQL")
            asked(page, LARGE)
            reader = readers.enter_context(request(running, address(page)))
            reader.read(1_000)
        refused = readers.enter_context(request(running, link(opened(running.url))))
        assert refused.status == 503
        assert b"2 downloads are running" in refused.read()


def test_sigterm_ends_the_page_within_seconds_despite_readers(folder: Path, opened: Open) -> None:
    """A client that reads nothing more, and a browser with the page open."""
    with serve(folder) as running:
        page = opened(f"{running.url}?tab=SQL")
        asked(page, LARGE)
        with request(running, address(page)) as stuck:
            stuck.read(100_000)
            making = children(running)
            assert making
            server = psutil.Process(running.pid)
            began = time.monotonic()
            server.send_signal(signal.SIGTERM)
            wait_for(lambda: server.status() == psutil.STATUS_ZOMBIE, "the page has ended", 10)
            assert time.monotonic() - began < 5
            assert not [child for child in making if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_a_link_works_only_where_and_while_the_page_is_open(site: Site, opened: Open) -> None:
    page = opened(site.url)
    path = link(page)
    at = f"localhost:{site.port}"
    for host in ("evil.example", "127.0.0.1", f"127.0.0.1:{site.port}", "localhost", f"{at}.evil.example"):
        assert status(site, path, Host=host) == 403, host
    with request(site, path, "HEAD") as answer:
        assert (answer.status, answer.read()) == (200, b"")
        assert answer.headers["Content-Disposition"] == 'attachment; filename="bronze.csv"'
    assert status(site, path, "POST") == 405
    other = link(opened(site.url))
    assert other != path
    page.close()
    wait_for(lambda: status(site, path, "HEAD") == 404, "the closed page's link has ended", 10)
    assert status(site, other, "HEAD") == 200


def test_nothing_is_reached_without_a_link_of_the_page(site: Site, opened: Open) -> None:
    link(opened(site.url))
    for path in ("csv/bronze", "csv/", "csv/..%2f..%2fetc%2fpasswd", "csv/%2fetc%2fpasswd", "csv/-"):
        with request(site, f"/{path}") as answer:
            body = answer.read()
            assert answer.headers["Content-Disposition"] is None  # at most the page itself
        assert b"root:" not in body
        assert b"vente_id" not in body


def test_every_answer_has_the_security_headers(site: Site, opened: Open) -> None:
    page = opened(site.url)
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    scripts = page.evaluate("() => performance.getEntriesByType('resource').map(e => new URL(e.name).pathname)")
    paths = ["/", "/_stcore/health", "/_stcore/host-config", "/csv/-", "/no/such/file", link(page), *scripts]
    assert any(path.startswith("/charts/plotly-") for path in paths)
    for path in paths:
        with request(site, path, "HEAD" if "/csv/" in path else "GET") as answer:
            assert {name: answer.headers[name] for name in HEADERS} == HEADERS, path


@pytest.mark.parametrize(("host", "shown"), [("localhost", True), ("127.0.0.1", False)])
def test_another_site_cannot_show_the_page_in_a_frame(
    site: Site, context: BrowserContext, host: str, shown: bool
) -> None:
    """The same machine under another name is another site."""
    page = context.new_page()
    page.goto(site.url)
    page.get_by_role("heading", name="Sales, live").wait_for()
    page.evaluate(
        "(address) => { const f = document.createElement('iframe'); f.src = address; document.body.append(f); }",
        f"http://{host}:{site.port}/_stcore/health",
    )
    inner = page.frame_locator("iframe").locator("body")
    expect(inner).to_have_text("ok" if shown else re.compile("refused to connect"))
    page.close()


def test_under_a_base_path(folder: Path, opened: Open) -> None:
    with serve(folder, base="teams/sales/") as running:
        page = opened(running.url)
        page.locator(".js-plotly-plot .main-svg").first.wait_for()
        assert link(page).startswith("/teams/sales/csv/")
        with page.expect_download() as download:
            page.get_by_role("link", name="CSV, all").click()
        assert len(rows_of(Path(download.value.path()))) == 301


def test_started_by_hand_the_page_says_how_to_get_a_file(folder: Path, opened: Open) -> None:
    with serve(folder, SCRIPT) as running:
        page = opened(f"{running.url}?tab=SQL")
        asked(page, "SELECT 1 AS one")
        main = page.locator("[data-testid=stMain]")
        expect(main).to_contain_text("Download links need the page that ventes start runs.")
        expect(main.locator("[data-testid=stCode]")).to_contain_text(f"ventes query {shlex.quote('SELECT 1 AS one')}")
        open_downloads(page)
        box = page.get_by_role("dialog")
        expect(box).to_contain_text("Download links need the page that ventes start runs.")
        expect(box.locator("[data-testid=stCode]")).to_contain_text("ventes export bronze")
        expect(page.get_by_role("link", name="CSV, all")).to_have_count(0)


def test_code_added_to_the_script_runs_in_sessions_only(folder: Path, opened: Open) -> None:
    """The server runs the page's script in a session only: the first one is its own visit, before it answers."""
    pasted = folder / "streamlit_dashboard.py"
    text = SCRIPT.read_text("utf-8").replace("Path(__file__).resolve().parent", f"Path({str(PROJECT)!r})")
    pasted.write_text(f"{text}\nwith open({str(folder / 'ran')!r}, 'a') as ran: ran.write('.')\nst.write('mine')\n")
    with serve(folder, server_with(folder, page=pasted)) as running:
        assert status(running, "/_stcore/health") == 200
        assert (folder / "ran").read_text() == "."
        expect(opened(running.url).get_by_text("mine")).to_be_visible()
        assert set((folder / "ran").read_text()) == {"."}


def test_the_log_is_there_from_the_start(folder: Path) -> None:
    with serve(folder) as running:
        assert f"the page runs, pid {running.pid}" in (folder / "streamlit.log").read_text()
