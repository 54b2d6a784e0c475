"""What is wrong with a value of the settings, and where it stands, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from ventes.settings.secret_keys import NEVER_SHOWN
from ventes.settings.sources import Environment, Place
from ventes.settings.value_types import shown
from ventes.settings.whole import Settings


@dataclass(frozen=True)
class Given:
    """The values of all sources, and where each stands."""

    path: Path
    values: dict[str, Any]
    environment: Environment
    flags: dict[str, Any]

    def origin(self, loc: Sequence[int | str], said: str = "") -> str:
        """The source of the value at `loc`. Of a section or a table: of the keys in it that `said` names."""
        place: Place = tuple(part for part in loc if isinstance(part, str))
        found = _at(self.values, place)
        named = [place]
        if isinstance(found, dict):
            named = [(*place, *key) for key in _keys_of(found) if _names(said, ".".join(key))]
        return " or ".join(dict.fromkeys(map(self._source, named))) or f"in {self.path}"

    def _source(self, place: Place) -> str:
        if _at(self.flags, place) is not _ABSENT:
            return "on the command line"
        if _at(self.environment.values, place) is not _ABSENT:
            variables = self.environment.variables
            lengths = (length for length in range(len(place), 0, -1) if place[:length] in variables)
            return f"in the environment variable {variables[place[: next(lengths)]]}"
        return f"in {self.path}"


_ABSENT = object()


def _at(values: Any, place: Place) -> Any:
    """What is at `place`, or around it where that is no table; _ABSENT if nothing is."""
    for key in place:
        if isinstance(values, dict):
            values = values.get(key, _ABSENT)
    return values


def _keys_of(table: dict[str, Any]) -> Iterator[Place]:
    """The places of all values below `table`."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from ((key, *rest) for rest in _keys_of(value))
        else:
            yield (key,)


def _names(text: str, key: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(key)}(?!\w)", text) is not None


_PLAIN = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "is_instance_of": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text, in quotes",
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a section with keys",
    "finite_number": "must be a finite number",
    "string_pattern_mismatch": "does not have the form that ventes.toml shows",
}
"""Our texts for pydantic's error types; other types keep the rest of pydantic's text."""
_NO_NUMBER = ("int_type", "float_type", "is_instance_of", "finite_number")


def explain(item: Any, given: Given) -> str:
    """One refused value. Shown only for a known key and a plain value: a table may hold secrets."""
    place = tuple(str(part) for part in item["loc"])
    key = ".".join(_by_name(place, given.values)) or "ventes.toml"
    origin = given.origin(item["loc"], item["msg"])
    if item["type"] == "extra_forbidden":
        return f"unknown key {key!r} ({origin})"
    value = item["input"]
    hidden = any(place[: len(table)] == table for table in NEVER_SHOWN)
    hidden |= not isinstance(value, str | int | float | Decimal | Path)
    hidden |= place[:1] == ("alerts",) and "://" in str(value)  # a channel's address in the wrong place
    # a value where a section is expected: it could be a secret of any of the section's keys
    hidden |= item["type"] == "model_type"
    said = item["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    why = _PLAIN.get(item["type"], said.replace("String should have", "must have"))
    if item["type"] in _NO_NUMBER:
        why += _limits(place)
    return f"{key}{'' if hidden else f' = {shown(value)}'}: {why} ({origin})"


def _by_name(place: Place, values: dict[str, Any]) -> Place:
    """`place` with the name of an alert for its number: ("alerts", "lag", "for")."""
    if place[:1] != ("alerts",) or len(place) < 2:
        return place
    with suppress(LookupError, TypeError, ValueError):
        name = values["alerts"][int(place[1])]["name"]
        if isinstance(name, str) and len(name) <= 64 and "://" not in name:
            return ("alerts", name, *place[2:])
    return ("alerts", f"number {int(place[1]) + 1}" if place[1].isdigit() else place[1], *place[2:])


def _limits(place: Place) -> str:
    """From where to where the numbers of a key go, as text; "" if it has no limits."""
    model: Any = Settings
    limits: list[Any] = []
    for key in place:
        fields = getattr(model, "model_fields", {})
        info = next((info for name, info in fields.items() if key in (name, info.alias)), None)
        if info is None:
            return ""
        model, limits = info.annotation, info.metadata
    bounds = {name: getattr(limit, name) for limit in limits for name in _BOUNDS if hasattr(limit, name)}
    return "".join(f", {words} {bounds[name]:,}" for name, words in _BOUNDS.items() if name in bounds)


_BOUNDS = {"gt": "more than", "ge": "at least", "le": "at most"}
