"""Recognising the process of the page: the one of `ventes start`, and one started by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from ventes.config import PROJECT, Settings
from ventes.supervise import services


@dataclass
class Process:
    """As psutil describes it."""

    line: str
    variables: dict[str, str] = field(default_factory=dict)

    def cmdline(self) -> list[str]:
        return self.line.split()

    def environ(self) -> dict[str, str]:
        return self.variables


def by_hand(process: Process) -> bool:
    return services._is_by_hand(cast(Any, process))


def test_start_runs_the_server_that_has_the_downloads() -> None:
    command = services.PAGE.argv(Settings())
    assert command[1:5] == ["-m", "streamlit", "run", "streamlit_server.py"]
    assert (PROJECT / "streamlit_server.py").is_file()


@pytest.mark.parametrize("script", ["streamlit_server.py", "streamlit_dashboard.py"])
def test_the_page_by_hand_is_known_by_either_script(script: str) -> None:
    line = f"python -m streamlit run {script} --server.port 8502"
    assert by_hand(Process(line))
    assert not by_hand(Process(line, {"VENTES_SUPERVISED": "1"}))
    assert not by_hand(Process("python -m streamlit run other.py"))
