"""[page.login]: who may come in to the page, and how the page knows who asks.

Two ways: OpenID Connect (`issuer`), or a proxy in front that has logged the person in and sends the name in a header
(`header`, `proxies`). Without either there is no login.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from ventes.errors import ConfigError
from ventes.settings.value_types import Fraction, Section

WHERE_THE_SECRET_BELONGS = (
    "export VENTES_PAGE__LOGIN__CLIENT_SECRET in this shell, or set client_secret in [page.login] of ventes.toml and "
    "`chmod 600` it"
)
DISCOVERY = "/.well-known/openid-configuration"
READ_AT_START = {"issuer", "client_id", "scopes", "header", "proxies"}
"""Keys that the page's process reads when it starts, and not again; the secret is left out."""
CALLBACK = "/oauth2callback"
"""Streamlit's route for the provider's answer."""

_ADDRESS = re.compile(r"[^\s@=]*@[^\s@=]+\.?[^\s@=]+")
_CLAIM = re.compile(r"\S[^=]*=\s*\S.*")


def _whom(entry: str) -> str:
    if entry == "*" or _CLAIM.fullmatch(entry) or _ADDRESS.fullmatch(entry):
        return entry
    raise ValueError(
        'each entry is an address ("anna@example.com"), a domain ("@example.com"), a claim and its value '
        '("groups=sales"), or "*" for everyone who can log in'
    )


def _network(entry: str) -> str:
    try:
        wide = ip_network(entry).num_addresses > 65_536
    except ValueError:
        raise ValueError('each entry is an IP address or a network: "127.0.0.1", "10.0.3.0/24"') from None
    if wide:
        raise ValueError("a network of more than 65,536 addresses names no proxy")
    return entry


Whom = Annotated[str, AfterValidator(_whom)]
Network = Annotated[str, AfterValidator(_network)]


def is_safe_url(url: str) -> bool:
    """Whether nobody on the network can read what is sent there: https, or this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or _is_this_machine(parts.hostname or "")


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class Login(Section):
    issuer: str = Field("", pattern=r"^(https?://[^\s?#@]+)?$")
    """The provider's address: <issuer>/.well-known/openid-configuration describes it."""
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    scopes: list[str] = Field(default_factory=lambda: ["openid", "email", "profile"])
    """What the provider is asked for; some give groups only for a scope of its own."""
    address_claim: str = "email"
    """The claim that holds a person's address."""
    header: str = Field("", pattern=r"^([A-Za-z][A-Za-z0-9-]*)?$")
    """The header in which a proxy in front sends the address of the person that it has logged in."""
    proxies: list[Network] = Field(default_factory=list)
    """From where that header is taken; from everywhere else it is removed."""
    viewers: list[Whom] = Field(default_factory=list)
    """Who may see the page."""
    analysts: list[Whom] = Field(default_factory=list)
    """Who may also use SQL and downloads."""
    session_hours: Fraction = Field(12, gt=0, le=720)
    """After so long a person has to log in again."""
    contact: str = Field("", max_length=200)
    """Whom to ask for access; shown to those who have none."""

    @property
    def on(self) -> bool:
        return bool(self.issuer or self.header)

    @property
    def metadata_url(self) -> str:
        return self.issuer.removesuffix(DISCOVERY).rstrip("/") + DISCOVERY

    @property
    def secret_is_missing(self) -> bool:
        """Whether this process does not have the secret that the provider asks for. Only the page needs it: other
        commands work in a shell whose environment does not have it."""
        return bool(self.issuer) and not self.client_secret.get_secret_value()

    def require_secret(self) -> None:
        """Raises ConfigError if it is missing."""
        if self.secret_is_missing:
            raise ConfigError(
                "page.login.client_secret is missing: the page cannot log anybody in", WHERE_THE_SECRET_BELONGS
            )

    @model_validator(mode="after")
    def _complete(self) -> Login:
        if not self.on:
            given = sorted(self.model_fields_set - {"issuer", "header"})
            if given and self != Login():
                raise ValueError(
                    f"set issuer (OpenID Connect) or header (a proxy's login) beside {', '.join(given)}: "
                    "without, there is no login"
                )
            return self
        if self.issuer and self.header:
            raise ValueError("issuer and header exclude each other: remove one of them")
        if problem := self._wrong_with_issuer() or self._wrong_with_header():
            raise ValueError(problem)
        if not self.viewers and not self.analysts:
            raise ValueError('nobody may come in: name them in viewers or analysts, for example ["@example.com"]')
        return self

    def _wrong_with_issuer(self) -> str:
        """What is wrong with the settings of OpenID Connect; "" if nothing is."""
        if not self.issuer:
            return ""
        if not is_safe_url(self.issuer):
            return "issuer must begin with https:// (http:// only for a provider on this machine)"
        if re.search(r"login\.microsoftonline\.com/(common|organizations|consumers)\b", self.issuer):
            return "that issuer lets in accounts of every organisation: name your tenant instead of common"
        if "openid" not in self.scopes:
            return 'scopes must contain "openid"'
        if not self.client_id:
            return "client_id is missing: the provider gave it when the page was registered there"
        if self.proxies:
            return "proxies belongs to header: remove it"
        return ""

    def _wrong_with_header(self) -> str:
        """The same for those of a proxy's login."""
        if not self.header:
            return ""
        if not self.proxies:
            return "proxies is empty: name the proxy's address, or anyone could send that header"
        if self.client_id or self.client_secret.get_secret_value():
            return "client_id and client_secret belong to issuer: remove them"
        if any("=" in entry for entry in (*self.viewers, *self.analysts)):
            return "a header tells an address and no claims: name addresses or domains in viewers and analysts"
        return ""
