"""The rules of [page.login], what is kept of logins, and what is refused."""

from __future__ import annotations

import json
import re
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ventes import config
from ventes.check.doctor import login as doctor
from ventes.cli import lifecycle, main
from ventes.config import PROJECT, Page, Settings
from ventes.dashboard.login import running
from ventes.dashboard.login.audit import LONGEST, Audit
from ventes.dashboard.login.people import Person, Refused, judge, login_id
from ventes.dashboard.login.running import EndedLogins, cookie_secret
from ventes.errors import ConfigError, UnsafePlace
from ventes.settings.login import Login
from ventes.supervise import services

NOW = 1_800_000_000.0
PROVIDER: dict[str, Any] = {"issuer": "https://sso.example.com", "client_id": "page", "client_secret": "canary"}
HEADER: dict[str, Any] = {"header": "X-User", "proxies": ["10.0.0.1"]}


def login(**keys: Any) -> Login:
    return Login.model_validate({**PROVIDER, **keys})


def asked(login: Login, since: float = NOW - 60, now: float = NOW, **claims: Any) -> Person | Refused:
    """What `judge` says of somebody who logged in a minute ago."""
    return judge(login, {"is_logged_in": True, "sub": "1", "iat": NOW - 60, **claims}, since, now)


# -- who may come in --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "claims", "fits"),
    [
        ("anna@example.com", {"email": "Anna@Example.com"}, True),
        ("anna@example.com", {"email": "anna@example.com.evil.org"}, False),
        ("@example.com", {"email": "bob@example.com"}, True),
        ("@Example.com", {"email": "bob@EXAMPLE.com"}, True),
        ("@example.com", {"email": "bob@sub.example.com"}, False),
        ("@example.com", {"email": "bob@notexample.com"}, False),
        ("@example.com", {"email": '"bob@example.com"@evil.org'}, False),
        ("@example.com", {"email": "example.com"}, False),
        ("@example.com", {}, False),
        ("@example.com", {"email": ["bob@example.com"]}, False),
        ("@example.com", {"preferred_username": "bob@example.com"}, False),
        ("@example.com", {"email": "bob@example.com", "email_verified": False}, False),
        ("@example.com", {"email": "bob@example.com", "email_verified": True}, True),
        ("*", {"email": "bob@example.com", "email_verified": False}, False),
        ("*", {}, True),
        ("groups=sales", {"groups": ["staff", "sales"]}, True),
        ("groups=sales", {"groups": "sales"}, True),
        ("groups=sales", {"groups": ["presales", "Sales"]}, False),
        ("groups=None", {}, False),
        ("groups=None", {"groups": [None]}, False),
        ("https://example.com/staff = true", {"https://example.com/staff": True}, True),
        ("level=3", {"level": 3}, True),
    ],
)
def test_an_entry_fits_a_person_or_not(entry: str, claims: dict[str, Any], fits: bool) -> None:
    assert isinstance(asked(login(viewers=[entry]), **claims), Person) is fits


def test_the_larger_role_counts() -> None:
    both = login(viewers=["@example.com"], analysts=["anna@example.com"])
    roles = [asked(both, email=f"{who}@example.com") for who in ("anna", "bob")]
    assert [person.role for person in roles if isinstance(person, Person)] == ["analyst", "viewer"]
    assert isinstance(asked(login(analysts=["*"])), Person)


def test_an_account_without_an_address_is_refused_with_the_next_step() -> None:
    refused = asked(login(viewers=["@example.com", "groups=sales"], address_claim="upn"), sub="carl")
    assert isinstance(refused, Refused)
    assert (refused.why, refused.name) == ("no address", "carl")
    assert "gave no address (claim upn). Next step: set page.login.address_claim" in refused.detail
    assert "page.login.scopes" in refused.detail
    assert isinstance(asked(login(viewers=["@example.com", "groups=sales"]), groups="sales"), Person)


def test_another_claim_may_hold_the_address() -> None:
    entra = login(viewers=["@example.com"], address_claim="preferred_username")
    assert isinstance(asked(entra, preferred_username="bob@example.com"), Person)


@pytest.mark.parametrize("claims", [{}, {"is_logged_in": False}, {"is_logged_in": "true"}, {"is_logged_in": None}])
def test_nobody_is_logged_in_by_less_than_streamlits_own_word(claims: dict[str, Any]) -> None:
    found = judge(login(viewers=["*"]), {"sub": "1", "iat": NOW, **claims}, NOW, NOW)
    assert found == Refused("not logged in")


@pytest.mark.parametrize(
    ("iat", "why"),
    [
        (NOW - 3599, None),
        (NOW + 200, None),
        (NOW - 3600, "ended"),
        (NOW + 301, "ended"),
        (None, "ended"),
        ("now", "ended"),
        (True, "ended"),
        (float("nan"), "ended"),
    ],
)
def test_a_login_lasts_for_session_hours(iat: Any, why: str | None) -> None:
    found = asked(login(viewers=["*"], session_hours=1), iat=iat)
    assert (found.why if isinstance(found, Refused) else None) == why


def test_a_proxys_login_has_an_address_and_lasts_from_the_sessions_beginning() -> None:
    by_proxy = Login.model_validate({**HEADER, "viewers": ["@example.com"], "session_hours": 1})
    claims = {"address": "bob@example.com", "is_logged_in": True, "email": "bob@example.com"}
    assert judge(by_proxy, claims, NOW - 3599, NOW) == Person("bob@example.com", "viewer", NOW + 1, login_id(claims))
    assert judge(by_proxy, claims, NOW - 3600, NOW) == Refused("ended", "bob@example.com")
    assert judge(by_proxy, {**claims, "address": None}, NOW, NOW) == Refused("not logged in")
    assert judge(by_proxy, {**claims, "address": "x@evil.org"}, NOW, NOW) == Refused("not allowed", "x@evil.org")


# -- settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"viewers": ["*"]}, "set issuer"),
        ({**PROVIDER, **HEADER, "viewers": ["*"]}, "exclude each other"),
        (PROVIDER, "nobody may come in"),
        ({**PROVIDER, "viewers": ["example.com"]}, "each entry is an address"),
        ({**PROVIDER, "viewers": ["@"]}, "each entry is an address"),
        ({**PROVIDER, "viewers": ["*"], "client_id": ""}, "client_id is missing"),
        ({**PROVIDER, "viewers": ["*"], "issuer": "http://sso.example.com"}, "https://"),
        ({**PROVIDER, "viewers": ["*"], "issuer": "https://login.microsoftonline.com/common/v2.0"}, "tenant"),
        ({**PROVIDER, "viewers": ["*"], "scopes": ["email"]}, "openid"),
        ({**PROVIDER, "viewers": ["*"], "proxies": ["10.0.0.1"]}, "proxies belongs to header"),
        ({**PROVIDER, "viewers": ["*"], "session_hours": 0}, "greater than 0"),
        ({"header": "X-User", "viewers": ["*"]}, "proxies is empty"),
        ({**HEADER, "proxies": ["0.0.0.0/0"], "viewers": ["*"]}, "names no proxy"),
        ({**HEADER, "proxies": ["proxy.example.com"], "viewers": ["*"]}, "IP address"),
        ({**HEADER, "viewers": ["groups=sales"]}, "no claims"),
        ({**HEADER, "client_id": "x", "viewers": ["*"]}, "belong to issuer"),
    ],
)
def test_settings_that_would_let_in_anybody_or_nobody_are_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        Login.model_validate(keys)


@pytest.mark.parametrize(
    ("url", "fine"),
    [("", True), ("https://h", True), ("http://localhost:1", True), ("http://127.0.0.1/x", True), ("http://h", False)],
)
def test_a_provider_needs_tls_unless_it_is_this_machine(url: str, fine: bool) -> None:
    page = {"url": url, "login": {**PROVIDER, "viewers": ["*"]}}
    if fine:
        assert Page.model_validate(page).login.on
    else:
        with pytest.raises(ValidationError, match="https"):
            Page.model_validate(page)


@pytest.mark.parametrize("url", ["dash.example.com", "https://a b", "https://h/?q=1", "https://h/a/../b?", "ftp://h"])
def test_an_address_of_the_page_has_a_host_and_a_path(url: str) -> None:
    with pytest.raises(ValidationError):
        Page.model_validate({"url": url})


def test_start_uses_the_address_of_the_page() -> None:
    settings = Settings(page={"url": "https://dash.example.com/a/sales/", "login": {**HEADER, "viewers": ["*"]}})
    argv = services.PAGE.argv(settings)
    assert "--server.baseUrlPath=a/sales" in argv
    assert "--server.allowedHosts=dash.example.com" in argv
    assert '--server.trustedUserHeaders={"X-User": "address"}' in argv
    assert services.page_url(settings) == "https://dash.example.com/a/sales/"
    assert not [one for one in services.PAGE.argv(Settings()) if "Path" in one or "Headers" in one]
    assert services.page_ready(settings)[1].startswith("http://127.0.0.1:8501/a/sales/_stcore/health")


def test_a_secret_in_a_file_that_others_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = tmp_path / "ventes.toml"
    monkeypatch.setenv("VENTES_CONFIG", str(toml))
    toml.write_text('[page.login]\nissuer = "https://h"\nclient_id = "x"\nclient_secret = "canary"\nviewers = ["*"]\n')
    toml.chmod(0o644)
    with pytest.raises(ConfigError, match=r"page\.login\.client_secret") as caught:
        config.load()
    assert "canary" not in str(caught.value)
    toml.chmod(0o600)
    settings = config.load()
    assert settings.secrets() == ["canary"]
    assert "canary" not in f"{settings!r}{settings.model_dump_json()}{settings.fingerprints()}"
    assert config.where_secrets_are(settings) == {"page.login.client_secret": str(toml)}
    monkeypatch.setenv("VENTES_PAGE__LOGIN__CLIENT_SECRET", "other")
    assert config.load().fingerprint() != settings.fingerprint()
    assert config.load().page.login.client_secret.get_secret_value() == "other"


def test_only_what_starts_the_page_needs_the_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = tmp_path / "ventes.toml"
    monkeypatch.setenv("VENTES_CONFIG", str(toml))
    toml.write_text(
        f'[paths]\nlake = "{tmp_path}/lake"\nlogs = "{tmp_path}"\nstate = "{tmp_path}/state"\n'
        '[page.login]\nissuer = "https://h"\nclient_id = "x"\nviewers = ["*"]\n'
    )
    without = config.load()
    assert main(["stop"]) == 0
    assert main(["status"]) == 1  # nothing runs
    assert main(["alerts", "list"]) == 0
    for command in (["start"], ["restart"]):
        capsys.readouterr()
        assert main(command) == 2
        said = capsys.readouterr().err
        assert "page.login.client_secret is missing" in said
        assert "export VENTES_PAGE__LOGIN__CLIENT_SECRET" in said
    with pytest.raises(ConfigError, match="client_secret is missing"):
        running.start(without)
    assert next(one for one in doctor.findings(without) if one.level == "warn").cause.startswith("client_secret")
    monkeypatch.setenv("VENTES_PAGE__LOGIN__CLIENT_SECRET", "canary")
    # a service that was started with it runs with the same settings as a shell without it
    assert config.load().fingerprints() == without.fingerprints()


def test_the_message_after_a_start_names_the_redirect_address(toml: Path) -> None:
    assert "redirect" not in lifecycle._welcome(config.load(), "spark", 1.0)
    login = '[page.login]\nissuer = "https://h"\nclient_id = "x"\nviewers = ["*"]\n'
    for page, address in (
        ("port = 8601", "http://localhost:8601/oauth2callback"),
        ('url = "https://dash.example.com/sales/"', "https://dash.example.com/sales/oauth2callback"),
    ):
        toml.write_text(f"[page]\n{page}\n{login}")
        said = lifecycle._welcome(config.load(), "spark", 1.0)
        assert f"the provider must know this redirect address: {address}\n" in said


# -- what is kept -----------------------------------------------------------------------------


def test_the_key_of_the_cookies_is_made_once_and_private(tmp_path: Path) -> None:
    made = cookie_secret(tmp_path)
    assert len(made) >= 48
    assert cookie_secret(tmp_path) == made
    file = tmp_path / "cookie_secret"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o640)
    with pytest.raises(UnsafePlace, match="read by others"):
        cookie_secret(tmp_path)
    file.unlink()
    assert cookie_secret(tmp_path) != made
    file.write_text("short")
    with pytest.raises(UnsafePlace):
        cookie_secret(tmp_path)


def test_a_log_out_outlives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "login" / "ended.json"
    ended = EndedLogins(path)
    ended.add("old", time.time() - 1)
    ended.add("a", time.time() + 100)
    again = EndedLogins(path)
    assert "a" in again
    assert "b" not in again
    again.add("b", time.time() + 100)
    assert sorted(json.loads(path.read_text())) == ["a", "b"]
    path.write_text("{")
    assert "a" not in EndedLogins(path)


def test_an_audit_line_is_json_without_control_characters_and_repeats_no_refusal(tmp_path: Path) -> None:
    settings = Settings(paths={"logs": tmp_path})
    audit = Audit(settings)
    audit.note("sql", "a\n{}\u202e", "10.0.0.1", role="analyst", query="x" * 10_000)
    for _ in range(3):
        audit.refused("", "10.0.0.1", "forged")
    audit.refused("", "10.0.0.2", "forged")
    audit.close()
    file = settings.log("audit")
    lines = file.read_text("ascii").splitlines()
    first, *refusals = map(json.loads, lines)
    assert (first["who"], len(first["query"])) == ("a\n{}\u202e", LONGEST)
    assert [line["from"] for line in refusals] == ["10.0.0.1", "10.0.0.2"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


# -- the doctor -------------------------------------------------------------------------------


@pytest.fixture
def slow() -> Iterator[int]:
    """A port that answers with a header that never ends, a piece each tenth of a second."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with suppress(OSError), server.accept()[0] as connection:
                while not ended.wait(0.1):
                    connection.sendall(b"X")

        serving = threading.Thread(target=answer)
        serving.start()
        yield server.getsockname()[1]
        ended.set()
        serving.join()


def test_the_doctor_waits_for_a_provider_only_so_long(slow: int) -> None:
    begun = time.monotonic()
    assert doctor.fetch(f"http://127.0.0.1:{slow}/", 0.5) == (None, None, "does not answer within 0.5 s")
    assert time.monotonic() - begun < 10


def test_the_doctor_names_a_provider_that_is_down_and_a_page_that_nobody_can_come_back_to() -> None:
    down = Settings(
        page={"address": "10.0.0.5", "login": {**PROVIDER, "issuer": "http://127.0.0.1:1", "viewers": ["*"]}}
    )
    told = {one.level: one for one in doctor.findings(down)}
    assert "127.0.0.1:1/.well-known/openid-configuration does not answer" in told["bad"].cause
    assert "cannot come back to http://localhost:8501/oauth2callback" in told["warn"].cause
    assert "page.url" in told["warn"].next_step


def test_the_doctor_warns_of_a_proxy_that_every_program_here_can_imitate() -> None:
    for address, level in (("127.0.0.1", "warn"), ("10.0.0.1", "ok")):
        settings = Settings(page={"login": {**HEADER, "proxies": [address], "viewers": ["*"]}})
        assert [one.level for one in doctor.findings(settings)] == ["ok", level]


# -- the page's code --------------------------------------------------------------------------


def test_every_fragment_of_the_page_looks_who_asks() -> None:
    """A fragment runs again without the script's beginning: `gate.fragment` looks again, `st.fragment` does not."""
    files = [*(PROJECT / "src/ventes/dashboard").rglob("*.py"), *(PROJECT / "streams").rglob("*.py")]
    found = [str(file) for file in files if "st.fragment" in file.read_text("utf-8") and file.name != "gate.py"]
    assert found == []
