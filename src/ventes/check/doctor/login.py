"""Checks the page's login: who may come in, whether the provider answers, which redirect address it must know."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import timezone
from email.utils import parsedate_to_datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from ventes.check.doctor.finding import Finding, bad, ok, warn
from ventes.check.doctor.machine import only_this_machine
from ventes.config import Settings
from ventes.runtime import heartbeat
from ventes.runtime.pipeline_status import Status
from ventes.settings.login import WHERE_THE_SECRET_BELONGS
from ventes.supervise import services

NAME = "login"
WAIT_SECONDS = 8.0
"""For the provider's answer, all of it."""
LARGEST = 1_000_000
"""Bytes of that answer."""
CLOCKS_DIFFER_SECONDS = 60.0

Document = dict[str, Any]


def findings(settings: Settings) -> Iterator[Finding]:
    login = settings.page.login
    if not login.on:
        known = ", ".join(services.page_hosts(settings))
        text = f"the page has none: everyone who reaches its port sees every sale (under the names {known})"
        # other machines are warned of by "who can reach"
        yield ok(NAME, text, "if that is too many: [page.login] in ventes.toml; docs/login.md shows each step")
        return
    way = f"OpenID Connect at {login.issuer}" if login.issuer else f"by the proxy's header {login.header}"
    yield ok(
        NAME,
        f"{way}; may see the page: {_listed([*login.viewers, *login.analysts])}; "
        f"SQL and downloads: {_listed(login.analysts)}; for {login.session_hours:g} hours",
    )
    if login.issuer and "*" in (*login.viewers, *login.analysts) and "accounts.google.com" in login.issuer:
        yield warn(NAME, '"*" lets in everyone with a Google account', 'name your domain: viewers = ["@example.com"]')
    yield from _cookie_key(settings.state / "login" / "cookie_secret")
    yield from _provider(settings) if login.issuer else _proxy(settings)


def of_running_page(settings: Settings, now: Status) -> Iterator[Finding]:
    """Whether the page that runs was started with the login of the settings: otherwise it shows nothing."""
    page = now.service(services.PAGE.name)
    if page.pid is None:
        return
    record = heartbeat.of_process(settings.state, page.name, page.pid)
    said = record.login if record is not None else ""
    if not said and not (page.by_hand and settings.page.login.on):
        return  # of an earlier release, or without the web server: that one has no login
    if said != settings.login_fingerprint():
        yield warn(
            NAME,
            "the running page was started without it (or with another one): it shows nobody anything",
            "ventes stop --all, then ventes start" if page.by_hand else "ventes restart",
        )


def _listed(whom: list[str]) -> str:
    return ", ".join(whom) or "nobody"


def _cookie_key(path: Path) -> Iterator[Finding]:
    if path.is_file() and path.stat().st_mode & 0o077:
        yield bad(NAME, f"others may read {path}, which signs the logins", f"rm {path}; ventes restart")


# -- a provider -------------------------------------------------------------------------------


def _provider(settings: Settings) -> Iterator[Finding]:
    if settings.page.login.secret_is_missing:
        yield warn(
            NAME,
            "client_secret is neither in ventes.toml nor in the environment of this shell: the page cannot be started "
            "from here",
            WHERE_THE_SECRET_BELONGS,
        )
    redirect = settings.page.redirect_address
    yield ok(NAME, f"the provider must know this redirect address: {redirect}")
    if not settings.page.url and not only_this_machine(settings.page.address):
        yield warn(
            NAME,
            f"people on other machines cannot come back to {redirect}",
            'set page.url to the address by which they open the page: "https://dash.example.com"',
        )
    url = settings.page.login.metadata_url
    found, date, why = fetch(url, WAIT_SECONDS)
    if found is None:
        yield bad(NAME, f"{url} {why}: nobody can log in", "correct page.login.issuer, or the network between them")
        return
    issuer, asked = str(found.get("issuer", "")), settings.page.login.metadata_url.rpartition("/.well-known")[0]
    missing = [key for key in ("authorization_endpoint", "token_endpoint", "jwks_uri") if not found.get(key)]
    if missing:
        yield bad(
            NAME, f"{url} lacks {', '.join(missing)}", "it is no OpenID Connect provider: correct page.login.issuer"
        )
    elif issuer.rstrip("/") != asked:
        yield bad(NAME, f"the provider at {asked} calls itself {issuer[:200]!r}", "set page.login.issuer to that")
    else:
        ends = "" if found.get("end_session_endpoint") else "; a log-out does not end the provider's own session"
        yield ok(NAME, f"the provider answers{ends}")
    if date is not None and abs(date - time.time()) > CLOCKS_DIFFER_SECONDS:
        yield warn(
            NAME,
            f"this machine's clock and the provider's differ by {abs(date - time.time()):,.0f} s",
            "set this machine's clock (timedatectl): logins are refused when it is late",
        )


def fetch(url: str, seconds: float) -> tuple[Document | None, float | None, str]:
    """(the JSON object there, the server's time in seconds since 1970, why there is none), after `seconds` at most."""
    answer: list[tuple[Document | None, float | None, str]] = []

    def ask() -> None:
        answer.append(_fetch(url, seconds))

    asking = threading.Thread(target=ask, daemon=True)  # urlopen's timeout is one for each read, not for all
    asking.start()
    asking.join(seconds)
    return answer[0] if answer else (None, None, f"does not answer within {seconds:g} s")


def _fetch(url: str, seconds: float) -> tuple[Document | None, float | None, str]:
    try:
        with urllib.request.urlopen(url, timeout=seconds) as response:
            body, sent = response.read(LARGEST), response.headers.get("Date")
        found = json.loads(body)
    except OSError as error:  # URLError is one
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        return None, None, f"does not answer as a provider: {str(reason)[:200]}"
    except (ValueError, RecursionError):
        return None, None, "answers, but no JSON"
    if not isinstance(found, dict):
        return None, None, "answers, but no JSON object"
    try:
        date = parsedate_to_datetime(sent).replace(tzinfo=timezone.utc).timestamp() if sent else None
    except ValueError:
        date = None
    return found, date, ""


# -- a proxy ----------------------------------------------------------------------------------


def _proxy(settings: Settings) -> Iterator[Finding]:
    login = settings.page.login
    proxies = ", ".join(login.proxies)
    if any(ip_network(one).is_loopback for one in login.proxies):
        yield warn(
            NAME,
            f"the header {login.header} counts from {proxies}: every program of this machine can send it",
            "keep other users off this machine, or use issuer",
        )
    else:
        yield ok(NAME, f"the header {login.header} counts from {proxies} only")
