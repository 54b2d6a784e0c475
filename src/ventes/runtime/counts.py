"""Numbers of things as people read them."""

from __future__ import annotations


def counted(number: int, what: str) -> str:
    """ "1 row", "2,350 rows"; `what`: the word for one, whose plural ends in s."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
