"""HTTP requests and WebSockets: who sends them. An ASGI layer around Streamlit's application.

It removes a proxy's header from requests that do not come from the proxy, refuses the addresses that need a login, and
notes logins and log-outs. Without a login it passes everything on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address, ip_network

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ventes.config import Settings
from ventes.dashboard.connections import sender
from ventes.dashboard.login import failed, return_address
from ventes.dashboard.login.cookie import claims_in, is_forged
from ventes.dashboard.login.people import ANYONE, HEADER_CLAIM, Person, Refused
from ventes.dashboard.login.running import RunningLogin, at_start
from ventes.errors import VentesError
from ventes.settings.login import CALLBACK

PERSON = "ventes.person"
"""Key of a request's scope: the Person that sent it, for addresses that need a login."""
SELF_TEST = "ventes.self_test"
"""Key of the scope of a request that the page sends to itself; it is not noted."""
VIEWERS = ("/media/", "/_stcore/upload_file/")
ANALYSTS = ("/csv/",)
"""Addresses, below that of the page, that only these roles may ask for."""
LOGIN = "/auth/login"
LOGOUT = "/auth/logout"
"""Streamlit's routes."""
CANCELLED = "access_denied"
"""The error of OAuth with which a provider answers when the person refuses."""

_log = logging.getLogger("ventes.page")


def person_of(scope: Scope) -> Person:
    """Who sent a request to one of our routes."""
    found: Person = scope.get(PERSON, ANYONE)
    return found


def note_download(scope: Scope, name: str, what: str) -> None:
    """`what` is in the file: a table or a query."""
    if (running := at_start()) is not None:
        person = person_of(scope)
        running.audit.note("download", person.name, _address(scope), role=person.role, file=name, what=what)


class LoginRequests:
    """`base`: the path of the page, without slashes. `settings`: those in force; it may raise VentesError."""

    def __init__(self, app: ASGIApp, base: str, settings: Callable[[], Settings]) -> None:
        self._app = app
        self._prefix = f"/{base}" if base else ""
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        running = at_start()
        if running is None or scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            settings = self._settings()
        except VentesError as error:
            _log.error("nobody may come in while the settings are refused: %s", error)
            settings = None
        scope = _without_header(scope, running)
        if is_forged(HTTPConnection(scope).cookies):
            running.audit.refused("", _address(scope), "the cookie of the login is forged, damaged or too old")
        if scope["type"] == "websocket":  # the page itself: gate.py asks who it is
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(self._prefix)
        if path.startswith((*VIEWERS, *ANALYSTS)):
            person = self._who(scope, running, settings)
            if refusal := _refusal(person, path):
                if SELF_TEST not in scope:
                    running.audit.refused(person.name, _address(scope), f"{path.split('/')[1]}: {refusal[1]}")
                await PlainTextResponse(f"{refusal[1]}\n", refusal[0], _NOT_KEPT)(scope, receive, send)
                return
            scope = {**scope, PERSON: person}
        elif path.rstrip("/") == LOGOUT and settings is not None:
            _note_log_out(scope, running, settings)
        await self._app(scope, receive, self._noting(scope, path, send, running, settings))

    def _who(self, scope: Scope, running: RunningLogin, settings: Settings | None) -> Person | Refused:
        if settings is None:
            return Refused("not logged in")
        request = HTTPConnection(scope)
        if header := settings.page.login.header:
            return running.judge(settings, {HEADER_CLAIM: request.headers.get(header)}, time.time())
        return running.judge(settings, claims_in(request.cookies, running.origin), time.time())

    def _noting(self, scope: Scope, path: str, send: Send, running: RunningLogin, settings: Settings | None) -> Send:
        """`send`, which keeps the login's cookies to TLS, keeps what the address asked for over a login, and notes a
        login when the provider's answer is taken."""

        route, page = path.rstrip("/"), f"{self._prefix}/"
        turned = False

        async def noting(message: Message) -> None:
            nonlocal turned
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if route == CALLBACK and settings is not None:
                    if why := _note_login(scope, headers.getlist("set-cookie"), running, settings):
                        failed.note(headers, why, page)
                    return_address.restore(HTTPConnection(scope), headers, page)
                elif route == LOGIN and message["status"] >= 400:
                    turned = True
                    message["status"] = 303
                    _send_back(scope, headers, running, page)
                elif route == LOGIN:
                    return_address.keep(HTTPConnection(scope), headers, running.origin, page)
                if running.origin.startswith("https:"):
                    _keep_to_tls(message)
            elif turned:
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        return noting


_NOT_KEPT = {"Cache-Control": "no-store"}


def _refusal(person: Person | Refused, path: str) -> tuple[int, str] | None:
    """(status, sentence); None if the person may have what is at `path`."""
    if isinstance(person, Refused):
        if person.why in ("not allowed", "no address"):
            return 403, "This account may not see the page."
        return 401, "You are not logged in. Open the page and log in."
    if path.startswith(ANALYSTS) and not person.analyst:
        return 403, "Your role, viewer, has no downloads."
    return None


# -- a proxy's header -------------------------------------------------------------------------


def _without_header(scope: Scope, running: RunningLogin) -> Scope:
    """`scope` without the header of the login, unless the proxy itself sent it, once."""
    name = running.header.lower().encode()
    if not name:
        return scope
    values = [value for key, value in scope["headers"] if key == name]
    if not values or (len(values) == 1 and _is_among(sender(), running.proxies)):
        return scope
    running.audit.refused("", _address(scope), f"the header {running.header} did not come from the proxy, or twice")
    return {**scope, "headers": [(key, value) for key, value in scope["headers"] if key != name]}


def _is_among(address: str, networks: Iterable[str]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:  # not known
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return any((mapped or found) in ip_network(one) for one in networks)


def _address(scope: Scope) -> str:
    """From where a request came: with a proxy on this machine, what that says."""
    return scope["client"][0] if scope.get("client") else ""


# -- Streamlit's routes -----------------------------------------------------------------------


def _send_back(scope: Scope, headers: MutableHeaders, running: RunningLogin, page: str) -> None:
    """The provider could not be asked: back to the page, with what its address asked for."""
    headers["location"] = return_address.of(HTTPConnection(scope), running.origin, page)
    headers["content-length"] = "0"
    failed.note(headers, "silent", page)
    running.audit.refused("", _address(scope), "the provider does not answer")
    _log.error("nobody can log in: the provider of page.login.issuer does not answer. Next step: `ventes doctor`")


def _note_login(scope: Scope, set_cookies: list[str], running: RunningLogin, settings: Settings) -> failed.Why | None:
    """Why the provider's answer is no login; None if it is one, or nobody answered."""
    cookies: dict[str, str] = {}
    for header in set_cookies:
        try:
            cookies |= {name: morsel.value for name, morsel in SimpleCookie(header).items() if morsel.value}
        except CookieError:
            continue
    claims = claims_in(cookies, running.origin)
    if not claims:
        error = HTTPConnection(scope).query_params.get("error", "")
        if not error and "code" not in HTTPConnection(scope).query_params:
            return None
        if error == CANCELLED:
            running.audit.refused("", _address(scope), f"the login was cancelled at the provider ({error})")
            return "cancelled"
        running.audit.refused("", _address(scope), f"the provider's answer was not accepted {error[:100]}".strip())
        return "answer"
    found = running.judge(settings, claims, time.time())
    if isinstance(found, Person):
        running.audit.note("login", found.name, _address(scope), role=found.role)
    else:
        running.audit.refused(found.name, _address(scope), found.detail or found.why)
    return None


def _note_log_out(scope: Scope, running: RunningLogin, settings: Settings) -> None:
    claims = claims_in(HTTPConnection(scope).cookies, running.origin)
    if not claims:
        return
    found = running.judge(settings, claims, time.time())
    try:
        running.end(settings, claims)
    except OSError as error:
        _log.error("a log-out is not kept over a restart of the page: %s", error)
    running.audit.note("logout", found.name, _address(scope))


def _keep_to_tls(message: Message) -> None:
    """Add Secure to the cookies of a login: Streamlit leaves it out behind a proxy."""
    message["headers"] = [
        (name, value + b"; Secure")
        if name.lower() == b"set-cookie" and value.startswith(_LOGIN_COOKIES) and b"secure" not in value.lower()
        else (name, value)
        for name, value in message["headers"]
    ]


_LOGIN_COOKIES = (b"_streamlit_user", b"_streamlit_session", return_address.COOKIE.encode())
