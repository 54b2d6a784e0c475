"""Endpoint, region and credentials of an object store: the usual variables of the environment, or a file with them.

The file has lines NAME=value with the same names (AWS_ACCESS_KEY_ID, AZURE_STORAGE_ACCOUNT_KEY, …); what it holds
counts before the environment. Its mode is 0600: another one is refused. No value is ever shown.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ventes.errors import ConfigError

FORM = re.compile(r"(s3|gs|az)://([A-Za-z0-9][A-Za-z0-9._-]*)((?:/[A-Za-z0-9_=.-]+)*)/?")
"""A lake on a store: the kind, the bucket (az: the container), the prefix."""
PREFIXES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT", "GOOGLE_BASE_URL")
_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|SAS|CREDENTIAL")


@dataclass(frozen=True)
class Options:
    """What an object store is opened with."""

    url: str
    file: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    @property
    def kind(self) -> str:
        return self._parts()[0]

    @property
    def bucket(self) -> str:
        return self._parts()[1]

    @property
    def prefix(self) -> str:
        """Without slashes at its ends; may be empty."""
        return self._parts()[2]

    @property
    def where(self) -> str:
        """Where the credentials come from, for an error."""
        return f"the file of store.credentials, {self.file}" if self.file else f"the {PREFIXES[self.kind]}* variables"

    def values(self) -> dict[str, str]:
        """Name → value of this kind of store; never log or show it. Raises ConfigError."""
        begins = PREFIXES[self.kind]
        values = {name: value for name, value in self.environment.items() if name.startswith(begins) and value}
        return values | self.of_file()

    def of_file(self) -> dict[str, str]:
        """Those of the file alone. Raises ConfigError."""
        return _read(self.file) if self.file else {}

    def endpoint(self) -> str:
        """The address of a store that is not the provider's own; "" for that."""
        values = self.values()
        return next((values[name] for name in _ENDPOINTS if name in values), "")

    def secrets(self) -> list[str]:
        """The values that may be secrets, for redaction only."""
        return [value for name, value in self.values().items() if _SECRET.search(name) and len(value) > 3]

    def _parts(self) -> tuple[str, str, str]:
        match = FORM.fullmatch(self.url)
        if match is None:
            raise ConfigError(f"{self.url!r} is no lake on a store", "write s3://bucket/prefix, gs://… or az://…")
        return match[1], match[2], match[3].strip("/")


def _read(file: Path) -> dict[str, str]:
    try:
        if (mode := stat.S_IMODE(file.stat().st_mode)) & 0o077:
            raise ConfigError(
                f"store.credentials = {file}: other users may read it (mode {mode:04o})", f"chmod 600 {file}"
            )
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"store.credentials = {file} cannot be read: {why}", "correct the setting") from None
    values = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip().removeprefix("export ").strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not re.fullmatch(r"[A-Z][A-Z0-9_]*", name.strip()):
            raise ConfigError(
                f"store.credentials = {file}: line {number} is not NAME=value", "write for example AWS_REGION=eu-west-3"
            )
        values[name.strip()] = value.strip().strip("\"'")
    return values
