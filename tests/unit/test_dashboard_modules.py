"""The map in the dashboard's docstring names every module there is, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from ventes import dashboard

FOLDER = Path(dashboard.__file__).parent


def test_the_map_is_complete_and_true() -> None:
    assert dashboard.__doc__ is not None
    listed = re.findall(r"^    (\w+)\s{2,}", dashboard.__doc__, re.MULTILINE)
    there = {path.stem for path in FOLDER.glob("*.py")} | {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    assert sorted(listed) == sorted(there - {"__init__"})
