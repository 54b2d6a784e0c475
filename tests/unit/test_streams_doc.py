"""docs/streams.md names every argument of a declaration, and the reserved names."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass

import pytest

from ventes import stream
from ventes.config import PROJECT
from ventes.stream.declared import RESERVED
from ventes.stream.grains import Grain
from ventes.stream.kinds import Field

TEXT = (PROJECT / "docs" / "streams.md").read_text(encoding="utf-8")
DECLARED = [
    part
    for name in stream.__all__
    if is_dataclass(part := getattr(stream, name)) and part.__module__ != "ventes.stream.page"  # docs/dashboard.md
]

GRAINS = [part for part in vars(stream).values() if isinstance(part, type) and issubclass(part, Grain)]


def documented() -> dict[str, set[str]]:
    """Class → its arguments in the table; "" → those of every field."""
    found: dict[str, set[str]] = {}
    classes: list[str] = []
    for line in TEXT.splitlines():
        cells = re.split(r" ?\| ?", line)
        if len(cells) < 6:
            continue
        classes = ([""] if cells[1] == "every field" else re.findall(r"`(\w+)`", cells[1])) if cells[1] else classes
        for one in classes:
            found.setdefault(one, set()).update(re.findall(r"`(\w+)`", cells[2]))
    return found


@pytest.mark.parametrize("part", DECLARED, ids=lambda part: part.__name__)
def test_every_argument_is_in_the_table(part: type) -> None:
    table = documented()
    known = table[part.__name__] | (table[""] if issubclass(part, Field) else set())
    arguments = {each.name for each in fields(part) if each.init}  # type: ignore[arg-type]
    assert arguments <= known, f"{part.__name__}: {arguments - known} not in docs/streams.md"


def test_grains_and_reserved_names_are_those_of_the_code() -> None:
    for part in GRAINS:
        assert f"`{part.unit}`" in TEXT
    (line,) = [line for line in TEXT.splitlines() if "These belong to the pipeline" in line]
    assert set(re.findall(r"`(\w+)`", line.split("These belong", 1)[1])) == RESERVED
