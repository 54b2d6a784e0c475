"""Files, modules and links that documents and comments name exist."""

from __future__ import annotations

import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from functools import cache

import pytest

from ventes.config import PROJECT

ROOMS = {path.name for path in (PROJECT / "src" / "ventes").iterdir() if (path / "__init__.py").is_file()}
SETTINGS = {"kafka", "producer", "page", "check", "settings"}
"""Rooms whose name is also that of a section of ventes.toml, or a common name of a variable."""
EXAMPLES = {"streams/orders.py", "streams/NAME.py", "tabs/weather.py", "hand.py", "essai.py"}
"""Files that a user would have."""
_FILE = re.compile(r"(?<![\w/.<*-])((?:[\w.-]+/)*[\w-]+\.(?:py|sql))\b(?!\()")
_MODULE = re.compile(rf"(?<![\w./-])({'|'.join(sorted(ROOMS - SETTINGS))})\.([a-z_]+)\b(?!\()")
_LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")


@cache
def tracked() -> list[str]:
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if (PROJECT / line).is_file()]


def documents() -> list[str]:
    """All except decisions and the change log, which may name removed files."""
    return [name for name in tracked() if name.endswith(".md") and "decisions" not in name and name != "CHANGELOG.md"]


def named_file(name: str) -> bool:
    if name == "spark.sql" or name in EXAMPLES:  # a method
        return True
    name = name.removeprefix("../")
    return any(("/" + file).endswith("/" + name) for file in tracked())


def words(source: str) -> Iterator[tuple[int, str]]:
    """Line number and text of each comment and docstring of a Python file."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and token.string.startswith('"""')):
            yield token.start[0], token.string


@pytest.mark.parametrize("name", documents())
def test_a_document_names_files_that_exist(name: str) -> None:
    text = (PROJECT / name).read_text(encoding="utf-8")
    missing = [file for file in _FILE.findall(text) if not named_file(file)]
    assert missing == []
    for target, _ in _LINK.findall(text):
        if "://" not in target and not target.startswith("mailto:"):
            assert (PROJECT / name).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("folder", ["src", "harness", "tests", "bench"])
def test_comments_name_files_and_modules_that_exist(folder: str) -> None:
    wrong = []
    for name in tracked():
        if not (name.startswith(folder + "/") and name.endswith(".py")) or name == "tests/unit/test_maps.py":
            continue
        for line, text in words((PROJECT / name).read_text(encoding="utf-8")):
            wrong += [f"{name}:{line} {file}" for file in _FILE.findall(text) if not named_file(file)]
            for room, module in _MODULE.findall(text):
                place = PROJECT / "src" / "ventes" / room / module
                if not (place.is_dir() or place.with_suffix(".py").is_file()):
                    wrong.append(f"{name}:{line} {room}.{module}")
    assert wrong == []


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_that_lists_its_modules_lists_all_of_them(room: str) -> None:
    """A map in the docstring of `__init__`: lines of `name   what it is`."""
    folder = PROJECT / "src" / "ventes" / room
    docstring = (folder / "__init__.py").read_text(encoding="utf-8").partition('"""')[2].partition('"""')[0]
    listed = set(re.findall(r"^ {0,4}([a-z_]+)(?:, [a-z_]+)*  +\S", docstring, re.MULTILINE))
    for line in docstring.splitlines():
        if match := re.match(r"^ {0,4}([a-z_]+(?:, [a-z_]+)+)  +\S", line):
            listed |= set(match[1].split(", "))
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    modules |= {path.name for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"}
    if listed:
        assert listed == modules


def test_the_list_of_rooms_is_whole() -> None:
    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `src/ventes/(\w+)` \|", text, re.MULTILINE)) == ROOMS


@pytest.mark.parametrize("folder", ["src", "harness", "bench", "supply_chain", "docs"])
def test_only_tests_import_tests(folder: str) -> None:
    pattern = re.compile(r"^\s*(?:from|import) tests\b", re.MULTILINE)
    files = [name for name in tracked() if name.startswith(folder + "/") and name.endswith(".py")]
    assert [name for name in files if pattern.search((PROJECT / name).read_text(encoding="utf-8"))] == []
