"""[page]: who may reach the page, and what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from ventes.settings.login import CALLBACK, READ_AT_START, Login, is_safe_url
from ventes.settings.value_types import (
    AUTHORITY,
    Folder,
    Fraction,
    Host,
    HostPattern,
    Megabytes,
    Port,
    Section,
    Targets,
)


class Page(Section):
    address: Host = "127.0.0.1"
    hosts: list[HostPattern] = Field(default_factory=list)
    """Names by which people reach the page, beside localhost and `address`; another name is refused."""
    port: Port = 8501
    url: str = Field("", pattern=rf"^(https?://{AUTHORITY}(/[A-Za-z0-9._~-]+)*/?)?$")
    """The address by which people open the page, if it is another than that of the port: behind a proxy."""
    refresh_seconds: int = Field(5, ge=5, le=30)
    quiet_minutes: Fraction = Field(10, ge=0, le=525_600)
    """After so long without an event the page is amber, though every part is ready; 0: never."""
    currency: str = Field("$", min_length=1, max_length=5)
    language: Literal["auto", "en", "fr"] = "auto"
    """Of the page; auto: the browser's. Names of the data and `ventes status` stay as they are."""
    wall_seconds: int = Field(20, ge=5, le=3600)
    """How long the wall view (`?view=wall`) shows each tab."""
    sql: bool = True
    """Whether the page offers the SQL tab."""
    sql_seconds: Fraction = Field(2.0, gt=0, le=60)
    sql_rows: int = Field(10_000, ge=1, le=10_000_000)
    sql_memory_mb: Megabytes = Field(512, ge=64)
    tabs: Folder = Path("dashboard_tabs")
    """A folder whose *.py files each add a tab."""
    targets: Targets = Field(default_factory=dict)
    """Label of a figure → what it is to reach in a business day."""
    login: Login = Login()

    @property
    def base(self) -> str:
        """The path of `url`, without slashes at its ends: the page is served under it."""
        return urlsplit(self.url).path.strip("/")

    @property
    def public_url(self) -> str:
        """`url`, by default that of the port on this machine; without a slash at its end."""
        return self.url.rstrip("/") or f"http://localhost:{self.port}"

    @property
    def redirect_address(self) -> str:
        """Where the provider of the login sends people back to: it must know this address."""
        return f"{self.public_url}{CALLBACK}"

    @model_validator(mode="after")
    def _login_over_tls(self) -> Page:
        if self.login.issuer and not is_safe_url(self.public_url):
            raise ValueError(
                "with login.issuer, url must begin with https:// (or name localhost): "
                "without TLS others on the network could read the cookie of a login"
            )
        return self


PAGE_READ_AT_START: Any = {"address": True, "hosts": True, "port": True, "url": True, "login": READ_AT_START}
"""What the page's process reads when it starts, and not again."""
