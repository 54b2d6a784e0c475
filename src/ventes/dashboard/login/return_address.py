"""What a person asked for in the address of the page (tab, filters) is kept while the provider logs the person in.

The request for a login names the page it comes from (Referer, which the page's Referrer-Policy allows). Its query goes
into a cookie for the time of the login, and behind the address to which the browser then returns.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection

COOKIE = "_ventes_address"
LARGEST = 2_000
"""Characters of a query that is kept: a cookie has at most 4,096."""
SECONDS = 600


def keep(request: HTTPConnection, headers: MutableHeaders, origin: str, path: str) -> None:
    """Into the answer to a request for a login: the cookie. `path`: of the page, ending in a slash."""
    if query := _asked(request, origin):
        headers.append("set-cookie", _cookie(quote(query, safe=""), SECONDS, path))


def of(request: HTTPConnection, origin: str, path: str) -> str:
    """The address of the page, below `origin`, from which a request for a login came."""
    query = _asked(request, origin)
    return f"{path}?{query}" if query else path


def _asked(request: HTTPConnection, origin: str) -> str:
    """The query of the page from which the request came; empty for a page of another site, or one that is too long."""
    came_from = urlsplit(request.headers.get("referer", ""))
    query = urlencode(parse_qsl(came_from.query))
    return query if f"{came_from.scheme}://{came_from.netloc}" == origin and len(query) <= LARGEST else ""


def restore(request: HTTPConnection, headers: MutableHeaders, path: str) -> None:
    """Into the answer after a login, which sends the browser to the page: the query behind the address."""
    kept = request.cookies.get(COOKIE)
    if not kept:
        return
    headers.append("set-cookie", _cookie("", 0, path))
    goal = headers.get("location", "")
    query = urlencode(parse_qsl(unquote(kept)[:LARGEST]))
    if goal and not urlsplit(goal).query and query:
        headers["location"] = f"{goal}?{query}"


def _cookie(value: str, seconds: int, path: str) -> str:
    return f"{COOKIE}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax"
