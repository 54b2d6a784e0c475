"""The login with which this process was started.

The web server gets provider, client and secrets at its start and keeps them; who may come in is read from the settings
each time. So a process that was started with a login never shows the page without one, whatever ventes.toml says by
then, and one that was started without never accepts one.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ventes.config import Settings
from ventes.dashboard.login.audit import Audit
from ventes.dashboard.login.people import Person, Refused, judge, login_id
from ventes.errors import InstallError, UnsafePlace
from ventes.runtime.files import write_atomically
from ventes.runtime.redaction import keep_secret
from ventes.settings.login import Login

_at_start: RunningLogin | None = None


class RunningLogin:
    """What the process of the page keeps about its login."""

    def __init__(self, settings: Settings) -> None:
        self._started = _fixed(settings)
        self.url = settings.page.public_url
        self.header, self.proxies = settings.page.login.header, settings.page.login.proxies
        self.origin = "{0.scheme}://{0.netloc}".format(urlsplit(self.url))
        self.audit = Audit(settings)
        self.ended = EndedLogins(settings.state / "login" / "ended.json")

    def fits(self, settings: Settings) -> bool:
        """Whether the settings still ask for the login that the web server has."""
        return self._started == _fixed(settings)

    def judge(self, settings: Settings, claims: Mapping[str, Any], since: float) -> Person | Refused:
        """people.judge, for now; a login that ended by a log-out is none any more."""
        if not self.fits(settings):
            return Refused("not set up")
        found = judge(settings.page.login, claims, since, time.time())
        if isinstance(found, Person) and found.login in self.ended:
            return Refused("not logged in")
        return found

    def end(self, settings: Settings, claims: Mapping[str, Any]) -> None:
        """End the login that `claims` belong to. Raises OSError if it could not be kept for the next process."""
        self.ended.add(login_id(claims), time.time() + settings.page.login.session_hours * 3600)


def start(settings: Settings) -> dict[str, Any]:
    """Note that this process has a login, if the settings ask for one; returns what Streamlit must be told (`secrets`).

    Raises OSError, UnsafePlace, ConfigError, and InstallError.
    """
    global _at_start
    login = settings.page.login
    if not login.on:
        return {}
    login.require_secret()
    if login.issuer:
        _require_client()
    folder = settings.state / "login"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _at_start = RunningLogin(settings)
    return {"auth": _auth(settings.page.redirect_address, login, cookie_secret(folder))} if login.issuer else {}


def _require_client() -> None:
    """Streamlit imports it when somebody logs in, who would then read `Internal Server Error`."""
    try:
        import_module("authlib.integrations.starlette_client")
    except ImportError as error:
        raise InstallError(
            f"the login needs the package {error.name or 'Authlib'}, which is not installed",
            "bash start_pipeline.sh installs what is missing",
        ) from None


def at_start() -> RunningLogin | None:
    """None if this process was started without a login."""
    return _at_start


def _fixed(settings: Settings) -> tuple[Any, ...]:
    """What cannot change while the process runs."""
    return settings.login_fingerprint(), settings.page.login.client_secret


def _auth(redirect: str, login: Login, cookie: str) -> dict[str, Any]:
    """[auth] of Streamlit's secrets. It stays in memory."""
    return {
        "redirect_uri": redirect,
        "cookie_secret": cookie,
        "client_id": login.client_id,
        "client_secret": login.client_secret.get_secret_value(),
        "server_metadata_url": login.metadata_url,
        "client_kwargs": {"scope": " ".join(login.scopes), "prompt": "select_account"},
    }


def cookie_secret(folder: Path) -> str:
    """The key that signs the cookies; made once, so that a login outlives a restart of the page.

    Without its file every login ends. Raises UnsafePlace if others may read it.
    """
    path = folder / "cookie_secret"
    with suppress(FileExistsError):
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(made, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48))
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), encoding="ascii") as file:
        info, found = os.fstat(file.fileno()), file.read().strip()
    if info.st_mode & 0o077 or info.st_uid != os.geteuid() or len(found) < 32:
        raise UnsafePlace(
            f"the key of the logins, {path}, may be read by others or is damaged",
            "remove it: the next start makes a new one, and everyone has to log in again",
        )
    keep_secret([found])
    return found


class EndedLogins:
    """Logins that ended by a log-out before their time: a copy of such a cookie is worth nothing. Threads may share it.

    `path`: a file that keeps them over a restart.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._until: dict[str, float] = {}
        with suppress(OSError, ValueError):
            self._until = {str(key): float(value) for key, value in json.loads(path.read_text("utf-8")).items()}

    def add(self, login: str, until: float) -> None:
        """`until`: when it would have ended by itself, in seconds since 1970. Raises OSError."""
        with self._guard:
            now = time.time()
            self._until = {key: value for key, value in self._until.items() if value > now} | {login: until}
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(self._path, json.dumps(self._until))

    def __contains__(self, login: str) -> bool:
        return login in self._until
