"""A sale is known in one place: no other source names a field, measure or table of streams/ventes.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ventes.config import PROJECT, Settings
from ventes.contract import tables
from ventes.stream import Stream

COVERED = ("src/ventes", "streamlit_dashboard.py", "streams/vols.py")
EXCEPT = (
    "src/ventes/producer",  # its catalogue makes sales
    "src/ventes/propose/names.py",  # words by which `ventes stream init` guesses what a field means
    "src/ventes/settings/login.py",  # OpenID Connect has a client_id of its own
    "src/ventes/dashboard/login/running.py",
)
GENERAL = {"timestamp", "minute", "jour", "segment"}
"""Words that are also those of types, of columns that every stream has, and of Kafka."""


def names_of(stream: Stream) -> set[str]:
    fields = {name for field in stream.event.read for name in (field.name, field.clean_name)}
    measures = {measure.name for table in stream.tables for measure in table.measures}
    return (fields | {q.name for q in stream.event.quotients} | measures | set(tables.of_stream(stream).by_name)) - {
        *GENERAL,
        "bronze",
    }


def sources() -> list[Path]:
    return [
        path
        for place in COVERED
        for path in ((PROJECT / place).rglob("*.[pj][ys]*") if (PROJECT / place).is_dir() else [PROJECT / place])
        if path.suffix in (".py", ".js", ".json")
        if not str(path.relative_to(PROJECT)).startswith(EXCEPT)
    ]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_name_of_a_sale(path: Path) -> None:
    words = set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", path.read_text(encoding="utf-8")))
    assert not words & names_of(Settings().stream)


def test_the_names_are_those_of_a_sale() -> None:
    """The test above would pass with no names."""
    assert {"pays", "montant", "horodatage", "prix_unitaire", "total_depense", "ventes_clean"} <= names_of(
        Settings().stream
    )
