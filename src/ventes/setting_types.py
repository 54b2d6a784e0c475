"""Types of the settings that more than one section uses: what each accepts, and how a value is shown in an error.

Values keep the type that ventes.toml gives them: `true` is not a number, `"8501"` is not a port. Values in the
environment are text; setting_sources.py converts them to the key's type first.
"""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field

# -- numbers ----------------------------------------------------------------------------------


def _from_decimal(value: Any) -> Any:
    """ventes.toml's fractions are read as decimals."""
    return float(value) if isinstance(value, Decimal) else value


def _to_decimal(value: Any) -> Any:
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


Port = Annotated[int, Field(ge=1, le=65535)]

Fraction = Annotated[float, BeforeValidator(_from_decimal)]
"""Any finite number: 2, 0.5."""

Seconds = Annotated[Fraction, Field(gt=0, le=86_400)]
"""More than 0, a day at most."""

Megabytes = Annotated[int, Field(le=1_000_000)]
"""A terabyte at most."""

Money = Annotated[Decimal, BeforeValidator(_to_decimal), Field(ge=0, max_digits=28, decimal_places=6)]
"""An amount, as it is written in ventes.toml: never a float."""

# -- names ------------------------------------------------------------------------------------


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("unknown time zone; use a name such as 'UTC' or 'Europe/Paris'")
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]

_NAME = r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?"

Host = Annotated[str, Field(pattern=rf"^({_NAME}|[0-9A-Fa-f:.]+)$")]
"""A name or an IP address. No user, no password, no port."""

HostPattern = Annotated[str, Field(pattern=rf"^(\*\.)?{_NAME}$|^[0-9A-Fa-f:]+$")]
"""dash.example.com, *.example.com, an IP address. Not `*`: any web site could then send requests to the page."""

# -- folders ----------------------------------------------------------------------------------

_QUOTED = '%\\"*?[]{},'
"""Characters that Delta's log, Spark or the logs' configuration read as more than a character of a name."""


def refused_in_path(path: str) -> str:
    """Why `path` cannot hold tables, logs or state; '' if it can."""
    if not path.strip():
        return "is empty"
    if "://" in path:
        return "is a URL; it must be a folder of this machine"
    if path.startswith("~"):
        return "begins with ~, which only a shell reads as the home folder: write the whole path"
    for character in path:
        if not character.isprintable():  # a line break, a control character, half a surrogate pair
            return f"holds the character {character!a}, which no path here may hold"
        if character in _QUOTED:
            return f"holds {character!r}, which Delta's log, Spark or a log's configuration reads as something else"
    return ""


def _folder(value: Any) -> Any:
    if isinstance(value, (str, Path)):
        if why := refused_in_path(str(value)):
            raise ValueError(why)
        return Path(value)
    return value


Folder = Annotated[Path, BeforeValidator(_folder)]
"""A folder of this machine; a relative one begins at the folder of ventes.toml."""

# -- secrets ----------------------------------------------------------------------------------

_SECRET = re.compile(
    r"(?i)pass(word|wd|phrase)?\b|pwd|secret|token|credential|jaas|private|(access|account|api)[._-]?key|keystore|sas\b"
)


def is_secret_name(name: str) -> bool:
    """Whether a setting of that name usually holds a secret: sasl.password, spark.hadoop.fs.s3a.secret.key."""
    return _SECRET.search(name) is not None


_SECRET_OPTION = re.compile(r"(?i)(pass(word|wd|phrase)|secret|token|credential)[^\s=]*=\S")


def has_secret_option(options: str) -> bool:
    """Whether a command line holds an option such as -Djavax.net.ssl.keyStorePassword=x."""
    return _SECRET_OPTION.search(options) is not None


def shown(value: object) -> str:
    """`value` for an error message, shortened, without what precedes an @ (the user and password of a URL)."""
    if isinstance(value, (bool, int, float, Decimal)) or value is None:
        return str(value).lower() if isinstance(value, bool) else str(value)
    text = str(value)
    if "@" in text:
        text = "…@" + text.rpartition("@")[2]
    if match := re.search(r"(?i)(pass\w*|pwd|secret|token|key)\s*[=:]", text):
        text = text[: match.end()] + "…"
    return repr(text if len(text) <= 200 else text[:200] + "…")
