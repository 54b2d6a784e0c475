"""ventes.toml documents every setting, with its default value."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from ventes import config
from ventes.config import PROJECT, Settings
from ventes.settings.alerts import MEASURES, Alert

SHIPPED = PROJECT / "ventes.toml"


pytestmark = pytest.mark.usefixtures("no_variables")


def keys(model: type[BaseModel] = Settings, prefix: str = "") -> list[str]:
    """Every key, dotted."""
    found = []
    for name, field in model.model_fields.items():
        if name == "config_file":
            continue
        kind = field.annotation
        key = prefix + (field.alias or name)
        if key == "alerts":
            found += [f"alerts.{inner.alias or part}" for part, inner in Alert.model_fields.items()]
        elif key == "alert_channels":
            found += ["alert_channels.ops", "alert_channels.hook"]  # its keys are the user's
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            found += keys(kind, f"{key}.")
        else:
            found.append(key)
    return found


def written() -> dict[str, str]:
    """Dotted key → its line, as the file has it; of what has no default, the example in comments."""
    section, lines = "", {}
    for line in SHIPPED.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"# \[+(alerts|alert_channels)\]", line):
            section = match[1] + "."
        if section.startswith("alert"):
            line = line.removeprefix("# ")
        if match := re.match(r"\[([\w.]+)\]", line):
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


def test_its_example_of_alerts_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    example = text[text.index("# [alert_channels]") :]
    path = tmp_path / "ventes.toml"
    path.touch(0o600)
    path.write_text(re.sub(r"^# ?", "", example, flags=re.M), encoding="utf-8")
    monkeypatch.setenv("VENTES_CONFIG", str(path))
    settings = config.load()
    assert [alert.name for alert in settings.alerts] == ["no-sale", "lag", "rejected", "small-sales"]
    assert list(settings.alert_channels) == ["ops", "hook"]
    assert settings.channel_urls()["hook"].startswith("json://")
    assert set(MEASURES) <= set(re.findall(r"\w+", example))


def test_an_example_that_is_no_default_says_so() -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    assert "What follows are examples, and no defaults" in text[: text.index("# [alert_channels]")]
    lines = written()
    for key in ("for", "every", "remind", "severity", "sentence"):
        assert "default" in lines[f"alerts.{key}"], key


def test_it_says_which_redirect_address_to_register() -> None:
    assert f"{Settings().page.redirect_address} (page.port)" in SHIPPED.read_text(encoding="utf-8")


def test_each_section_is_explained() -> None:
    commented = {key.split(".")[0] for key, line in written().items() if "#" in line}
    assert commented == {key.split(".")[0] for key in keys()}
