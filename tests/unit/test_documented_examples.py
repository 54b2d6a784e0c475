"""Every public name of a declaration has an example in its docstring, and the examples are accepted."""

from __future__ import annotations

import inspect
import re
from decimal import Decimal

import pytest

import ventes.stream
from ventes.stream import DeclarationError

PARTS = [
    getattr(ventes.stream, name)
    for name in ventes.stream.__all__
    if inspect.isclass(getattr(ventes.stream, name)) and name != DeclarationError.__name__
]


def examples(part: type) -> list[str]:
    """The calls between backticks in its docstring that are whole."""
    text = " ".join((part.__doc__ or "").split())
    return [call for call in re.findall(r"`([A-Z]\w+\([^`]*\))`", text) if "(…" not in call]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_an_example_is_accepted(part: type) -> None:
    names = {**vars(ventes.stream), "Decimal": Decimal}
    made = [eval(call, names) for call in examples(part)]
    if part is not ventes.stream.Stream:  # its example has parts left out
        assert any(isinstance(one, part) for one in made)
