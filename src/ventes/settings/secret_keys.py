"""Which keys of the settings hold a secret, and that nobody else may read the file that has one."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

from ventes.errors import ConfigError
from ventes.settings.sources import Place
from ventes.settings.value_types import is_secret_name

_ALL_SECRET = ("alert_channels",)
"""The table whose values are all secrets: an address to which anybody could send."""
NEVER_SHOWN = (("kafka", "security"), ("spark", "conf"), ("page", "login"), _ALL_SECRET)
"""The tables of these types, and the section with the client secret: no value of them is shown."""


def require_private(path: Path, file: dict[str, Any]) -> None:
    """Refuse a ventes.toml that other users may write, and one with a secret that they may read."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return  # no file: nothing in it
    if mode & stat.S_IWOTH:
        raise ConfigError(
            f"every user of this machine may write {path} (mode {mode:04o}), and so decide what this pipeline runs",
            f"chmod go-w {path}",
        )
    secrets = secret_keys(file)
    if secrets and mode & 0o077:
        raise ConfigError(
            f"{path} holds a secret ({', '.join(secrets)}), and other users may read the file (mode {mode:04o})",
            f"chmod 600 {path}",
        )


def secret_keys(values: dict[str, Any]) -> list[str]:
    """The keys of these values that hold a secret, dotted."""
    return [
        ".".join((*place, key))
        for place in NEVER_SHOWN
        for key, value in _table(values, place).items()
        if value and (place == _ALL_SECRET or is_secret_name(key))
    ]


def _table(values: Any, place: Place) -> dict[str, Any]:
    for key in place:
        values = values.get(key) if isinstance(values, dict) else None
    return values if isinstance(values, dict) else {}
