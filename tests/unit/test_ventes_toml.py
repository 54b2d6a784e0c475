"""ventes.toml documents every setting, with its default value."""

from __future__ import annotations

import os
import re

import pytest
from pydantic import BaseModel

from ventes import config
from ventes.config import PROJECT, Settings

SHIPPED = PROJECT / "ventes.toml"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("VENTES_")]:
        monkeypatch.delenv(name)


def keys() -> list[str]:
    """Every key, dotted."""
    found = []
    for name, field in Settings.model_fields.items():
        if name == "config_file":
            continue
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += [f"{name}.{field.alias or key}" for key, field in kind.model_fields.items()]
        else:
            found.append(field.alias or name)
    return found


def written() -> dict[str, str]:
    """Dotted key → its line, as the file has it."""
    section, lines = "", {}
    for line in SHIPPED.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"\[(\w+)\]", line):
            section = match[1] + "."
        elif match := re.match(r"(\w+) = ", line):
            lines[section + match[1]] = line
    return lines


def test_it_has_every_key_and_no_other() -> None:
    assert sorted(written()) == sorted(keys())


def test_its_values_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = config.load()
    monkeypatch.setattr(config, "config_path", lambda: PROJECT / "no such file.toml")
    assert config.load().model_dump() == shipped.model_dump()
    assert shipped.config_file == SHIPPED


def test_each_section_is_explained() -> None:
    commented = {key.split(".")[0] for key, line in written().items() if "#" in line}
    assert commented == {key.split(".")[0] for key in keys()}
