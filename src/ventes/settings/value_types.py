"""Types of the settings that more than one section uses: what each accepts, and how a value is shown in an error.

Values keep the type that ventes.toml gives them: `true` is not a number, `"8501"` is not a port. Values in the
environment are text; sources.py converts them to the key's type first.
"""

from __future__ import annotations

import ipaddress
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from ventes.store.settings_of import FORM


class Section(BaseModel):
    """A table of ventes.toml: frozen, and strict about keys and types."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )


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

Target = Annotated[Decimal, BeforeValidator(_to_decimal), Field(gt=0, max_digits=28, decimal_places=6)]

Targets = dict[str, Target]
"""Label of a figure → what it is to reach in a day: more than 0."""

Number = Annotated[Decimal, BeforeValidator(_to_decimal), Field(max_digits=28)]
"""Any finite number, as it is written in ventes.toml."""

# -- durations --------------------------------------------------------------------------------

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_PART = r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?(s|min|h|d)"
DURATION_FORM = 'must be a duration such as "90 s", "2 min", "1 h 30 min" or "7 d"'
LONGEST_SECONDS = 3660 * 86_400.0
"""Ten years."""


def seconds_of(text: str) -> float:
    """The seconds of a duration written as '2 min' or '1 h 30 min'. Raises ValueError with the form that is allowed."""
    if not re.fullmatch(rf"{_PART}( {_PART})*", text.strip()):
        raise ValueError(DURATION_FORM)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PART, text))
    if seconds > LONGEST_SECONDS:
        raise ValueError("must be ten years at most")
    return seconds


def _to_seconds(value: Any) -> Any:
    if isinstance(value, float):  # a default
        return value
    if not isinstance(value, str):
        raise ValueError(f"{DURATION_FORM}, in quotes")
    return seconds_of(value)


Duration = Annotated[float, BeforeValidator(_to_seconds), Field(ge=0)]
"""Written as text with a unit, "2 min"; kept in seconds."""

# -- names ------------------------------------------------------------------------------------


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("unknown time zone; use a name such as 'UTC' or 'Europe/Paris'")
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]

_NAME = r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?"

Host = Annotated[str, Field(pattern=rf"^({_NAME}|[0-9A-Fa-f:.]+)$")]
"""A name or an IP address. No user, no password, no port."""

AUTHORITY = r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?"
"""Host and port in the pattern of an address."""

HostPattern = Annotated[str, Field(pattern=rf"^(\*\.)?{_NAME}$|^[0-9A-Fa-f:]+$")]
"""dash.example.com, *.example.com, an IP address. Not `*`: any web site could then send requests to the page."""


def _ip_address(text: str) -> str:
    if text != "localhost":
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise ValueError("must be an IP address of this machine, or localhost") from None
    return text


IpAddress = Annotated[str, AfterValidator(_ip_address)]
"""Where a process listens that must not wait for DNS."""

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

_BEGINS = re.compile(r"[a-z][a-z0-9+.-]*://")


def _lake(value: Any) -> Any:
    if isinstance(value, str) and _BEGINS.match(value):
        if "@" in value or "?" in value:
            raise ValueError("must hold no credentials and no query: they belong in the environment (docs/storage.md)")
        if not FORM.fullmatch(value):
            raise ValueError('must be a folder, or "s3://bucket/prefix" (also gs:// and az://)')
        return value.rstrip("/")
    return _folder(value)


Lake = Annotated[Path | str, BeforeValidator(_lake)]
"""A folder of this machine, or the address of a lake on an object store."""

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


def revealed(table: dict[str, SecretStr]) -> dict[str, str]:
    """Secret values in clear text. Never log or show them."""
    return {key: value.get_secret_value() for key, value in table.items()}
