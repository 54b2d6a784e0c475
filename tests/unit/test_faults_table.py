"""docs/faults.md: every line names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from ventes.config import PROJECT

DOCUMENT = PROJECT / "docs" / "faults.md"
_NAMED = re.compile(r"`((?:[\w-]+/)+test_\w+\.py)::(test_\w+)(?:\[[^]]*\])?`")


def rows() -> list[list[str]]:
    """The cells of each line of a table, without heads and rulers."""
    lines = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[0] not in ("fault", "---|---|---")]


@cache
def functions_of(name: str) -> frozenset[str]:
    """The tests of a file in tests/; empty if there is no such file."""
    path = PROJECT / "tests" / name
    if not path.is_file():
        return frozenset()
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:60])
def test_a_line_names_tests_that_exist(row: list[str]) -> None:
    assert len(row) == 3, "a line is: fault, what a user sees, tests"
    fault, seen, proof = row
    assert fault
    assert seen
    named = _NAMED.findall(proof)
    assert named
    assert _NAMED.sub("", proof).replace(",", "").strip() == "", "only tests stand here"
    assert [f"{file}::{test}" for file, test in named if test not in functions_of(file)] == []
