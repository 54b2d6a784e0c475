"""ventes.toml and the environment, read as nested values; for each value of the environment, which variable it is.

Only the form is checked here: encoding, TOML, JSON. config.py checks the values. An error names the file or the
variable, and never repeats its content.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel

from ventes.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

PREFIX = "VENTES_"
Place = tuple[str, ...]
"""Where a value stands: ("page", "port")."""


@dataclass(frozen=True)
class Environment:
    """The values of the VENTES_* variables, and for each value its variable."""

    values: dict[str, Any] = field(default_factory=dict)
    variables: dict[Place, str] = field(default_factory=dict)


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """One nested mapping; where two layers have the same key, the later layer's value is used."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            there = result.get(key)
            both = isinstance(there, Mapping) and isinstance(value, Mapping)
            result[key] = merged(there, value) if both else value  # type: ignore[arg-type]
    return result


# -- ventes.toml ------------------------------------------------------------------------------


def read_file(path: Path) -> dict[str, Any]:
    """The values of a TOML file, fractions as decimals; {} if there is no file. Raises ConfigError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", "let this user read it") from None
    text, wrong = _decoded(data)
    if not wrong:
        try:
            values: dict[str, Any] = tomllib.loads(text, parse_float=Decimal)
            return values
        except tomllib.TOMLDecodeError as error:
            wrong = f"is no TOML: {error}"
        except RecursionError:
            wrong = "is nested too deeply"
    raise ConfigError(f"{path} {wrong}", "correct the file; the ventes.toml of the project shows the form of each key")


def _decoded(data: bytes) -> tuple[str, str]:
    """(text, what is wrong with it). A UTF-8 byte order mark, which editors on Windows write, is taken off."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4]:
        return "", "is encoded as UTF-16: save it as UTF-8"
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return "", f"is not UTF-8: line {line} holds the byte 0x{data[error.start]:02x} (Latin-1?): save it as UTF-8"


# -- environment ------------------------------------------------------------------------------


def read_environment(environ: Mapping[str, str], model: type[BaseModel], others: frozenset[str]) -> Environment:
    """The variables VENTES_<SECTION>__<KEY> as values of the types that `model` declares. Raises ConfigError.

    A list, a table and a whole section are JSON. An entry of a table may have a variable of its own, with _ for a
    point: VENTES_KAFKA__SECURITY__SASL_PASSWORD. `others` are names with our prefix that are no settings.
    """
    found = Environment()
    named = [name for name in environ if name.startswith(PREFIX) and name not in others]
    # an entry has precedence over the table that contains it
    for name in sorted(named, key=lambda name: name.count("__")):
        place, annotation = _place(name, model)
        inner = found.values
        for key in place[:-1]:
            inner = inner.setdefault(key, {})
        value = _typed(environ[name], annotation, name)
        there = inner.get(place[-1])
        inner[place[-1]] = merged(there, value) if isinstance(there, dict) and isinstance(value, dict) else value
        found.variables[place] = name
    return found


def _place(name: str, model: type[BaseModel]) -> tuple[Place, Any]:
    """Where the value of a variable belongs, and the type there (None: there is no such key; config.py refuses it)."""
    section, *rest = name.removeprefix(PREFIX).split("__")
    fields = dict(_fields(model))
    if section != section.upper() or section.lower() not in fields:
        raise ConfigError(
            f"environment variable {name} is no setting of this pipeline",
            "settings are VENTES_<SECTION>__<KEY>, for example VENTES_PAGE__PORT=8502",
        )
    place: Place = (section.lower(),)
    annotation = fields[section.lower()]
    if rest:
        key = rest[0].lower()
        inner = dict(_fields(annotation)) if _is_section(annotation) else {}
        place, annotation = (*place, key), inner.get(key)
    if len(rest) > 1 and _is_section(annotation):
        key = rest[1].lower()
        return (*place, key), dict(_fields(annotation)).get(key) if len(rest) == 2 else None
    if len(rest) > 1:
        entry = "__".join(rest[1:])
        if "." not in entry:  # a shell can set no variable with a point in its name
            entry = entry.replace("_", ".")
        if place == ("kafka", "security"):
            entry = entry.lower()
        place, annotation = (*place, entry), None if get_origin(annotation) is not dict else str
    return place, annotation


def _fields(model: Any) -> Iterator[tuple[str, Any]]:
    """Key as it is written → type, without its limits."""
    for name, info in model.model_fields.items():
        yield info.alias or name, info.annotation


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


_SWITCH = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_WHOLE = re.compile(r"[+-]?[0-9][0-9_]*")


def _typed(text: str, annotation: Any, name: str) -> Any:
    """The text of a variable as the type of its key; unchanged where it cannot be converted."""
    if _is_section(annotation) or get_origin(annotation) in (list, dict):
        return _json(text, annotation, name)
    if annotation is bool:
        return _SWITCH.get(text.strip().lower(), text)
    if annotation is int and _WHOLE.fullmatch(text.strip()):
        with suppress(ValueError):  # int() refuses thousands of digits
            return int(text)
    if annotation in (float, Decimal):
        with suppress(InvalidOperation):
            return Decimal(text.strip())
    return text


def _json(text: str, annotation: Any, name: str) -> Any:
    wanted, example = (list, '["a", "b"]') if get_origin(annotation) is list else (dict, '{"key": "value"}')
    try:
        value = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, wanted):
        kind = "list" if wanted is list else "table"
        raise ConfigError(f"environment variable {name} must be a {kind} in JSON", f"for example {name}='{example}'")
    return value
