"""The rules of [page.login]: who may come in, in which role, until when. No Streamlit, no network."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ventes.settings.login import Login

Role = Literal["viewer", "analyst"]

HEADER_CLAIM = "address"
"""The key of st.user that holds a trusted header."""
CLOCKS_DIFFER_SECONDS = 300.0
"""A login from the future by more than this is refused."""


@dataclass(frozen=True)
class Person:
    """Somebody who may come in."""

    name: str
    """The address, or the provider's name for an account without one; "" if the page has no login."""
    role: Role
    until: float
    """When the login ends, in seconds since 1970."""
    login: str = ""
    """Tells one login from the next one of the same person."""

    @property
    def analyst(self) -> bool:
        """Whether SQL and downloads are allowed."""
        return self.role == "analyst"


ANYONE = Person("", "analyst", math.inf)
"""Everybody, where the page has no login."""


@dataclass(frozen=True)
class Refused:
    """Why somebody may not come in. `name`: as for a person; "" if nobody is logged in."""

    why: Literal["not logged in", "ended", "not allowed", "no address", "not set up"]
    """no address: not allowed, and the provider did not say the address of which an entry may speak."""
    name: str = ""
    detail: str = ""


def judge(login: Login, claims: Mapping[str, Any], since: float, now: float) -> Person | Refused:
    """The person whom `claims` describe: those of the provider, or the trusted header's under HEADER_CLAIM.

    `since`: when this session of the page began, which counts where a proxy logs in; a provider tells the time itself.
    Times are seconds since 1970.
    """
    if login.header:
        name, began = _text(claims.get(HEADER_CLAIM)), since
        described: Mapping[str, Any] = {}
    else:
        if claims.get("is_logged_in") is not True:
            return Refused("not logged in")
        address = _text(claims.get(login.address_claim))
        name = address or _text(claims.get("sub"))
        began, described = _number(claims.get("iat")), claims
    if not name:
        return Refused("not logged in")
    until = began + login.session_hours * 3600
    if not began <= now + CLOCKS_DIFFER_SECONDS or now >= until:
        return Refused("ended", name)
    if claims.get("email_verified") in (False, "false") and login.address_claim == "email":
        return Refused("not allowed", name, "the provider has not verified this address")
    roles: tuple[tuple[Role, list[str]], ...] = (("analyst", login.analysts), ("viewer", login.viewers))
    address = name if login.header else _text(claims.get(login.address_claim))
    for role, whom in roles:
        if any(_fits(entry, address, described) for entry in whom):
            return Person(name, role, until, login_id(claims))
    if not address:
        claim = login.address_claim
        step = "set page.login.address_claim to the claim that has it, or ask for it in page.login.scopes"
        return Refused("no address", name, f"the login service gave no address (claim {claim}). Next step: {step}")
    return Refused("not allowed", name)


def login_id(claims: Mapping[str, Any]) -> str:
    """Tells one login from every other; shows nothing of it."""
    said = "\n".join(str(claims.get(key)) for key in ("iss", "sub", "iat", "nonce", HEADER_CLAIM))
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _fits(entry: str, address: str, claims: Mapping[str, Any]) -> bool:
    if entry == "*":
        return True
    if "=" in entry:
        claim, _, wanted = entry.partition("=")
        value = claims.get(claim.strip())
        values = value if isinstance(value, list) else [value]
        return wanted.strip() in [_claimed(one) for one in values if one is not None]
    asked = address.lower()
    if entry.startswith("@"):
        return asked.rpartition("@")[1:] == ("@", entry[1:].lower())
    return asked == entry.lower()


def _claimed(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _number(value: Any) -> float:
    """-inf for what is no number: such a login has ended long ago."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else -math.inf
