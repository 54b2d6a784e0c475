"""The texts of the page that are translated: all calls in the sources, and the French catalog.

    python -m harness.catalog     # adds texts that fr.po does not have yet, without French; removes unused ones

tests/unit/test_language.py fails for a text without French.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from ventes.config import PROJECT
from ventes.dashboard.language import CATALOGS

SOURCES = (PROJECT / "src" / "ventes" / "dashboard", PROJECT / "streams", PROJECT / "src" / "ventes" / "cli")
FRENCH = CATALOGS / "fr.po"
HEADER = rb"""# The page in French: python -m harness.catalog adds and removes texts, a translator fills in msgstr.
msgid ""
msgstr ""
"Language: fr\n"
"Content-Type: text/plain; charset=utf-8\n"
"Plural-Forms: nplurals=2; plural=(n > 1);\n"

"""
ONE, SEVERAL = frozenset({"tr", "later", "marked"}), frozenset({"tr_n"})
Text = str | tuple[str, str]
"""A text, or its forms for one and for several."""


@cache
def texts() -> dict[Text, str]:
    """Every text of a call → where it is. Raises ValueError for one that is no literal."""
    return {text: place for file in _files() for text, place in _of(file)}


def _files() -> list[Path]:
    return sorted(file for folder in SOURCES for file in folder.rglob("*.py"))


def _of(file: Path) -> Iterator[tuple[Text, str]]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        if not isinstance(node, ast.Call) or name not in ONE | SEVERAL:
            continue
        place = f"{file.relative_to(PROJECT)}:{node.lineno}"
        forms = [arg.value for arg in node.args[: 2 if name in SEVERAL else 1] if isinstance(arg, ast.Constant)]
        if len(forms) != (2 if name in SEVERAL else 1):
            raise ValueError(f"{place}: {name}() needs a literal text, for the catalog")
        yield (str(forms[0]), str(forms[1])) if name in SEVERAL else str(forms[0]), place


def catalog() -> Catalog:
    with FRENCH.open("rb") as file:
        return read_po(file, "fr")


def placeholders(text: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in Formatter().parse(text) if name)


def write(french: Catalog) -> None:
    """Without Babel's header, which has the time of writing, and its rule for millions."""
    with FRENCH.open("wb") as target:
        target.write(HEADER)
        write_po(target, french, width=0, omit_header=True)


def without_french(french: Catalog) -> list[object]:
    return [message.id for message in french if message.id and not (message.string and all([*message.string]))]


def main() -> None:
    old = catalog()
    new = Catalog("fr", fuzzy=False)
    new.mime_headers = old.mime_headers
    for text in sorted(texts(), key=lambda text: text if isinstance(text, str) else text[0]):
        known = old.get(text if isinstance(text, str) else text[0])
        new.add(text, known.string if known else None)
    write(new)
    missing = without_french(new)
    print(f"{len(new)} texts, {len(missing)} without French")
    for untranslated in missing:
        print(f"  {untranslated}")


if __name__ == "__main__":
    main()
