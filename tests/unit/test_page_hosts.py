"""The host names under which the page answers: never all names."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ventes.config import Page, Settings
from ventes.supervise.services import page_hosts


def hosts(**page: object) -> list[str]:
    return page_hosts(Settings(page=page))  # type: ignore[arg-type]


def test_this_machine_always_and_what_the_settings_name() -> None:
    assert hosts() == ["localhost", "127.0.0.1"]
    assert hosts(address="0.0.0.0") == ["localhost", "127.0.0.1"]
    assert hosts(address="192.168.1.7", hosts=["dash.example.com"]) == [
        "localhost", "127.0.0.1", "192.168.1.7", "dash.example.com",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["*", "", "a b", "http://x", "*.", "a,b", "x:80/"])
def test_every_name_at_once_or_none_at_all_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Page(hosts=[name])
