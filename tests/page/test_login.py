"""The page's login: a real browser, a real provider, nginx with TLS and a path in front of the page's real server."""

from __future__ import annotations

import http.client
import json
import signal
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from streamlit.testing.v1 import AppTest

from harness import nginx, sample_lake
from harness.cards import cards_of
from harness.login_provider import provider
from harness.page_site import DESKTOP, SCRIPT, SERVER, Requests, Site, open_downloads, serve, toml
from harness.pipeline import free_ports
from ventes.check.doctor import login as doctor
from ventes.config import load
from ventes.supervise import outdated

PEOPLE: dict[str, dict[str, Any]] = {
    "anna": {"email": "anna@example.com", "email_verified": True},
    "vera": {"email": "Vera@Example.com"},
    "gina": {"email": "gina@partner.org", "groups": ["staff", "sales"]},
    "mallory": {"email": "mallory@example.com.evil.org"},
    "carl": {},
    "uma": {"email": "uma@example.com", "email_verified": False},
}
PASSWORDS = "anna@example.com:{PLAIN}anna\nmallory@evil.org:{PLAIN}mallory\n"
SECRET = "canary-5ecr3t"
SECONDS = 60_000
"""Milliseconds to wait for what the page shows."""


@dataclass(frozen=True)
class Ports:
    """`outside`: of nginx; `inside`: of the page. One pair for the page with a provider, one for a proxy's login."""

    outside: int
    inside: int
    outside_proxied: int
    inside_proxied: int


@dataclass(frozen=True)
class Guarded:
    """A page with a login. `url`: its address on the outside."""

    site: Site
    url: str
    settings: Callable[..., None]
    """Writes [page.login] again, with these lines instead of the usual ones."""
    provider: subprocess.Popen[bytes] | None = None

    def audit(self, event: str) -> list[dict[str, str]]:
        """The lines of that event."""
        lines = (self.site.folder / "page_audit.log").read_text("ascii").splitlines()
        return [line for line in map(json.loads, lines) if line["event"] == event]

    def status(self, path: str, cookies: Any = (), **headers: str) -> int:
        """The answer to a GET of the page's own port; of `path` below the page."""
        sent = "; ".join(f"{one['name']}={one['value']}" for one in cookies)
        path = path if path.startswith("/sales/") else f"/sales{path}"
        with closing(http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=60)) as connection:
            connection.request("GET", path, headers={"Host": f"localhost:{self.site.port}", "Cookie": sent, **headers})
            return connection.getresponse().status

    def link(self, page: Page) -> tuple[str, str]:
        """The path of the download that the page offers, and the Host header for which it was made."""
        found = page.get_by_role("link", name="CSV, all").get_attribute("href")
        assert found is not None
        return found, self.url.split("/")[2]


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    """nginx runs between them."""
    if nginx.program() is None:
        pytest.skip("no nginx on this machine: `apt-get install nginx-light openssl`")
    made = Ports(*free_ports(4))
    servers = nginx.documented(made.outside, made.inside)
    servers += nginx.documented(made.outside_proxied, made.inside_proxied, with_passwords=True)
    folder = tmp_path_factory.mktemp("nginx")
    with nginx.nginx(folder, servers, (made.outside, made.outside_proxied), PASSWORDS):
        yield made


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("login")
    toml(folder)
    sample_lake.make(sample_lake.settings_at(folder), 300, sample_lake.Shape(days=2), lots=2)
    return folder


@pytest.fixture(scope="module")
def guarded(lake: Path, ports: Ports) -> Iterator[Guarded]:
    url = f"https://localhost:{ports.outside}/sales"
    with provider(lake, PEOPLE) as (issuer, process):

        def write(**other: str) -> None:
            usual = {"viewers": '["@example.com", "groups=sales"]', "analysts": '["anna@example.com"]'}
            lines = "".join(f"{key} = {value}\n" for key, value in {**usual, **other}.items())
            toml(
                lake,
                f'[page]\nport = {ports.inside}\nsql_seconds = 60\nurl = "{url}"\n[page.login]\nissuer = "{issuer}"\n'
                f'client_id = "page"\nclient_secret = "{SECRET}"\ncontact = "data@example.com"\n{lines}',
            ).chmod(0o600)

        write()
        with serve(lake, base="sales/", port=ports.inside) as site:
            yield Guarded(site, url, write, process)


@pytest.fixture(scope="module")
def shared(browser: Browser) -> Iterator[BrowserContext]:
    """One for all tests: Streamlit's own files are loaded once."""
    made = browser.new_context(viewport=DESKTOP, accept_downloads=True, ignore_https_errors=True)
    made.set_default_timeout(SECONDS)
    yield made
    made.close()


@pytest.fixture
def context(shared: BrowserContext) -> Iterator[BrowserContext]:
    """A browser in which nobody is logged in."""
    shared.clear_cookies()
    yield shared
    for page in shared.pages:
        page.close()


def visit(context: BrowserContext, url: str) -> Page:
    page = context.new_page()
    page.goto(url)
    return page


def log_in(page: Page, who: str) -> None:
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name=who).first.click()


def seen(page: Page) -> None:
    """The figures are there."""
    expect(page.locator(".st-key-figures [data-testid=stMetricValue]").first).to_have_text("300", timeout=SECONDS)


def refused(page: Page, sentence: str) -> None:
    """That sentence, and nothing of the tables."""
    expect(page.get_by_text(sentence)).to_be_visible(timeout=SECONDS)
    expect(page.locator("[data-testid=stMetric], [data-testid=stTabs]")).to_have_count(0)
    expect(page.locator("[data-testid=stSidebar]").get_by_role("slider")).to_have_count(0)


def test_in_and_out(guarded: Guarded, context: BrowserContext) -> None:
    page = visit(context, guarded.url)
    refused(page, "You are not logged in.")
    log_in(page, "anna")
    seen(page)
    assert page.url == f"{guarded.url}/"
    expect(page.get_by_text("anna@example.com · analyst")).to_be_visible()
    kept: Any = context.cookies()
    (cookie,) = [one for one in kept if one["name"] == "_streamlit_user"]
    assert (cookie["secure"], cookie["httpOnly"], cookie["path"]) == (True, True, "/sales")
    other = visit(context, guarded.url)  # in the same browser nobody asks again
    seen(other)
    open_downloads(page)
    link, host = guarded.link(page)
    assert guarded.status(link, kept, Host=host) == 200
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="End").click()  # the provider's own page
    refused(page, "You are not logged in.")
    refused(other, "You are not logged in.")  # by its next refresh
    assert guarded.status(link, kept, Host=host) == 401
    context.add_cookies(kept)  # a copy of the cookie is worth nothing
    page.goto(guarded.url)
    refused(page, "You are not logged in.")
    assert [line["who"] for line in (*guarded.audit("login"), *guarded.audit("logout"))] == ["anna@example.com"] * 2
    assert {line["from"] for line in guarded.audit("login")} == {"127.0.0.1"}


def test_what_the_address_asks_for_is_there_after_the_login(guarded: Guarded, context: BrowserContext) -> None:
    page = visit(context, f"{guarded.url}/?tab=SQL&q=SELECT+'a%26b'")
    refused(page, "You are not logged in.")
    log_in(page, "anna")
    seen(page)
    expect(page.get_by_role("textbox", name="One SELECT")).to_have_value("SELECT 'a&b'")
    assert sorted(one["name"] for one in context.cookies() if one["name"].startswith("_ventes")) == []


def test_a_provider_that_does_not_answer(guarded: Guarded, context: BrowserContext) -> None:
    assert guarded.provider is not None
    page = visit(context, f"{guarded.url}/?tab=SQL")
    refused(page, "You are not logged in.")
    guarded.provider.send_signal(signal.SIGSTOP)
    try:
        page.get_by_role("button", name="Log in").click()
        refused(page, "The login service does not answer: nobody can log in now.")
        expect(page.get_by_text("tell data@example.com")).to_be_visible()
        assert page.url == f"{guarded.url}/?tab=SQL"
        assert "does not answer" in guarded.audit("refused")[-1]["why"]
    finally:
        guarded.provider.send_signal(signal.SIGCONT)
    page.goto(f"{guarded.url}/oauth2callback?error=server_error&state=x")
    refused(page, "The login did not work: the answer of the login service was not accepted.")
    log_in(page, "anna")
    seen(page)


def test_who_refuses_at_the_provider_reads_that_and_can_log_in_again(guarded: Guarded, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(f"{guarded.url}/oauth2callback?error=access_denied&state=x")
    refused(page, "The login was cancelled at the login service.")
    expect(page.get_by_text("Try again in a minute")).to_have_count(0)
    assert guarded.audit("refused")[-1]["why"] == "the login was cancelled at the provider (access_denied)"
    log_in(page, "anna")
    seen(page)


def test_nothing_without_a_login_but_the_probes(guarded: Guarded, context: BrowserContext) -> None:
    assert [guarded.status(path) for path in ("/csv/x", "/media/x.png", "/_stcore/upload_file/a/b")] == [401] * 3
    assert [guarded.status(path) for path in ("/healthz", "/_stcore/health")] == [200] * 2
    forged: Any = {"name": "_streamlit_user", "value": "eyJpc19sb2dnZWRfaW4iOnRydWV9.aQ.c2lnbmF0dXJl"}
    assert guarded.status("/csv/x", [forged]) == 401
    context.add_cookies([forged | {"domain": "localhost", "path": "/sales"}])
    page = visit(context, guarded.url)
    refused(page, "You are not logged in.")
    whys = [line["why"] for line in guarded.audit("refused")]
    assert "csv: You are not logged in. Open the page and log in." in whys
    assert "the cookie of the login is forged, damaged or too old" in whys
    page.goto(guarded.site.url)  # the page's own port
    refused(page, "The login works under the address of the page only")
    expect(page.get_by_role("link", name="Open the page")).to_have_attribute("href", guarded.url)


def test_two_roles(guarded: Guarded, context: BrowserContext) -> None:
    analyst = visit(context, guarded.url)
    log_in(analyst, "anna")
    seen(analyst)
    analysts = context.cookies()
    analyst.get_by_role("tab", name="SQL").click()
    analyst.get_by_role("textbox", name="One SELECT").fill(f"SELECT COUNT(*) AS n, '{SECRET}' AS s FROM bronze_data")
    analyst.get_by_role("button", name="Run").click()
    with analyst.expect_download() as download:
        analyst.get_by_role("link", name="CSV, all").click()
    assert download.value.path().read_text("utf-8").startswith('"n","s"\n300,')
    link, host = guarded.link(analyst)
    (query,) = {line["query"] for line in guarded.audit("sql")}
    assert query == "SELECT COUNT(*) AS n, '********' AS s FROM bronze_data"
    noted = guarded.audit("download")[-1]
    assert {"who": "anna@example.com", "file": "ventes.csv", "what": query}.items() <= noted.items()

    context.clear_cookies()
    viewer = visit(context, guarded.url)
    log_in(viewer, "vera")
    seen(viewer)
    expect(viewer.get_by_text("Vera@Example.com · viewer")).to_be_visible()
    viewer.goto(f"{guarded.url}/?tab=SQL&q=SELECT+1")
    seen(viewer)
    expect(viewer.get_by_text("“SQL” of the address is not here")).to_be_visible()
    expect(viewer.get_by_role("tab", name="SQL")).to_have_count(0)
    expect(viewer.get_by_role("button", name="Run")).to_have_count(0)
    open_downloads(viewer)
    expect(viewer.get_by_text("Your role, viewer, has no downloads.")).to_be_visible()
    viewer.keyboard.press("Escape")
    assert guarded.status(link, context.cookies(), Host=host) == 403
    assert guarded.status(link, Host=host) == 401
    assert guarded.status(link, analysts, Host=host) == 200
    guarded.settings(analysts='["anna@example.com", "vera@example.com"]')
    try:  # an analyst too, but the link is another person's
        assert guarded.status(link, context.cookies(), Host=host) == 403
        expect(viewer.get_by_role("tab", name="SQL")).to_be_visible(timeout=SECONDS)  # by the next refresh
    finally:
        guarded.settings()


def test_who_may_come_in_and_for_how_long(guarded: Guarded, context: BrowserContext) -> None:
    page = visit(context, guarded.url)
    log_in(page, "mallory")
    refused(page, "mallory@example.com.evil.org may not see this page.")
    expect(page.get_by_text("For access ask data@example.com")).to_be_visible()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    assert guarded.audit("refused")[-1]["who"] == "mallory@example.com.evil.org"
    context.clear_cookies()
    page.goto(guarded.url)
    log_in(page, "uma")
    refused(page, "the provider has not verified this address")
    context.clear_cookies()
    page.goto(guarded.url)
    log_in(page, "carl")
    refused(page, "The login service gave no address for the account carl (claim email)")
    expect(page.get_by_text("may not see this page")).to_have_count(0)
    assert "Next step: set page.login.address_claim" in guarded.audit("refused")[-1]["why"]
    context.clear_cookies()
    page.goto(guarded.url)
    log_in(page, "gina")  # by a claim
    seen(page)
    try:
        guarded.settings(session_hours="0.0001")
        refused(page, "Your session has ended")  # by its next refresh
        assert guarded.status("/csv/x", context.cookies()) == 401
        guarded.settings(viewers='["@example.com"]')
        page.reload()
        refused(page, "gina@partner.org may not see this page.")
    finally:
        guarded.settings()


def test_late_requests_do_not_break_the_page_that_refuses(guarded: Guarded, context: BrowserContext) -> None:
    page = context.new_page()
    requests = Requests(page)
    page.goto(guarded.url)
    log_in(page, "anna")
    seen(page)
    expect(page.locator("[data-testid=stMetric]").first).to_be_visible()
    try:
        guarded.settings(session_hours="0.0001")
        refused(page, "Your session has ended")
    finally:
        guarded.settings()
    requests.for_fragments()
    requests.for_the_page()  # answered after them
    seen(page)


def test_the_doctor_knows_the_provider(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENTES_CONFIG", str(guarded.site.folder / "ventes.toml"))
    told = list(doctor.findings(load()))
    assert {one.level for one in told} == {"ok"}
    text = "\n".join(one.cause for one in told)
    assert "the provider answers" in text
    assert f"{guarded.url}/oauth2callback" in text
    assert "may see the page: @example.com, groups=sales, anna@example.com" in text
    assert SECRET not in text


def test_a_page_started_by_hand_shows_nothing(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENTES_CONFIG", str(guarded.site.folder / "ventes.toml"))
    page = AppTest.from_file(str(SCRIPT), default_timeout=60).run()
    assert "was not started with the login" in page.error[0].value
    assert "ventes stop --all`" in page.error[0].value
    assert "ventes start`" in page.error[0].value
    assert not cards_of(page)
    assert not page.tabs


def test_a_page_with_a_login_does_not_open_when_the_settings_lose_it(guarded: Guarded, context: BrowserContext) -> None:
    file = guarded.site.folder / "ventes.toml"
    kept = file.read_text("utf-8")
    file.write_text(kept.split("[page.login]")[0], "utf-8")
    try:
        refused(visit(context, guarded.url), "The page was not started with the login")
        assert guarded.status("/csv/x") == 401
    finally:
        file.write_text(kept, "utf-8")


def test_the_page_says_with_which_login_it_was_started(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENTES_CONFIG", str(guarded.site.folder / "ventes.toml"))
    try:
        assert outdated.changed(load()) is None
        guarded.settings(scopes='["openid", "email"]')
        changed = outdated.changed(load())
        assert changed is not None
        assert changed.sentence() == "ventes.toml or a VENTES_ variable changed since the page started"
    finally:
        guarded.settings()


def test_no_secret_is_written_anywhere(guarded: Guarded) -> None:
    key = guarded.site.folder / "state" / "login" / "cookie_secret"
    for file in (one for one in guarded.site.folder.rglob("*") if one.is_file()):
        content = file.read_bytes()
        assert file.name == "ventes.toml" or SECRET.encode() not in content, file
        assert file == key or key.read_bytes() not in content, file
    for file in (*key.parent.iterdir(), guarded.site.folder / "page_audit.log"):
        assert file.stat().st_mode & 0o077 == 0, file


def test_a_proxys_login_counts_from_the_proxy_only(
    lake: Path, ports: Ports, tmp_path: Path, browser: Browser, context: BrowserContext
) -> None:
    lines = f'header = "X-Forwarded-Email"\nproxies = ["{nginx.ADDRESS}"]\nviewers = ["@example.com"]\n'
    url = f"https://localhost:{ports.outside_proxied}/sales"
    settings = toml(tmp_path, f'[page]\nurl = "{url}"\n[page.login]\n{lines}')
    settings.write_text(settings.read_text("utf-8").replace(f"{tmp_path}/delta", f"{lake}/delta"), "utf-8")
    told = {"X-Forwarded-Email": "anna@example.com"}
    flag = '--server.trustedUserHeaders={"X-Forwarded-Email": "address"}'
    with serve(tmp_path, SERVER, flag, base="sales/", port=ports.inside_proxied) as site:
        anna = browser.new_context(
            viewport=DESKTOP,
            ignore_https_errors=True,
            http_credentials={"username": "anna@example.com", "password": "anna"},
        )
        with closing(anna):
            page = visit(anna, url)
            seen(page)
            expect(page.get_by_text("anna@example.com · viewer")).to_be_visible()
        direct = context.new_page()
        direct.set_extra_http_headers(told)
        context.set_extra_http_headers(told)
        try:
            direct.goto(site.url)
            refused(direct, "You are not logged in.")
        finally:
            context.set_extra_http_headers({})
        page_itself = Guarded(site, url, print)
        assert page_itself.status("/csv/x", **told) == 401
        assert through_nginx(ports.outside_proxied, "mallory@evil.org:mallory", told) == 403
        whys = [line["why"] for line in page_itself.audit("refused")]
        assert "the header X-Forwarded-Email did not come from the proxy, or twice" in whys
        assert [line["who"] for line in page_itself.audit("login")] == ["anna@example.com"]


def through_nginx(port: int, who: str, headers: dict[str, str]) -> int:
    """The status of a download that somebody asks for, who tells nginx a password and `headers`."""
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    with closing(http.client.HTTPSConnection("localhost", port, timeout=60, context=trusting)) as connection:
        password = {"Authorization": f"Basic {b64encode(who.encode()).decode()}"}
        connection.request("GET", "/sales/csv/x", headers={**headers, **password})
        return connection.getresponse().status
