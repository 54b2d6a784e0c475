"""Names of columns for members of the events, and what the words of a name hint at. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable

from ventes.stream.declared import RESERVED
from ventes.stream.strict_json import is_unicode

LONGEST = 50
"""Leaves room for the endings of measures within the 63 characters of a name."""

_TIME, _BEST_TIME, _OTHER_TIME = (
    frozenset(text.split())
    for text in (
        "time times timestamp ts date datetime when epoch instant moment created updated modified occurred "
        "horodatage heure jour debut fin",
        "timestamp ts occurred created event horodatage",
        "updated modified deleted birth birthday due expires expiry until end fin valid",
    )
)
_MONEY, _NUMBER_OF, _ID = (
    frozenset(text.split())
    for text in (
        "amount amt montant price prix total subtotal cost cout fee fees frais revenue paid payment tax tva fare tip "
        "discount remise balance solde salary salaire charge usd eur gbp chf",
        "count nb number items quantity quantite qty units",
        "id ids uuid guid ulid ref reference number numero num no nr key code",
    )
)


def words(name: str) -> tuple[str, ...]:
    """The words of a name, in lower case and without accents: "createdAt" → created, at."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", _plain(name))
    return tuple(re.findall(r"[a-z0-9]+", split.lower()))


def like_a_time(name: str) -> bool:
    found = words(name)
    return not _TIME.isdisjoint(found) or found[-1:] == ("at",)


def time_rank(name: str) -> int:
    """How well the name fits the time of an event: 2 best, 0 another time of it, such as its last change."""
    found = set(words(name))
    if found & _OTHER_TIME:
        return 0
    return 2 if found & _BEST_TIME else 1


def like_money(name: str) -> bool:
    found = {*words(name), *(word.removesuffix("s") for word in words(name))}
    return not _MONEY.isdisjoint(found) and _NUMBER_OF.isdisjoint(found)


def id_rank(name: str, stream: str) -> int:
    """How well the name fits the id of an event of this stream: 3 best, 0 no id."""
    found = words(name)
    if not found or _ID.isdisjoint(found):
        return 0
    others = [word for word in found if word not in _ID]
    own = {stream.lower(), stream.lower().rstrip("s"), "event", "message", "record", "row", "data", "meta", "header"}
    if not others or set(others) <= own:
        return 3
    return 2 if found[-1] in _ID else 1


def noun_of(stream: str) -> str:
    """What one event is called, from the name of its stream: "orders" → "order"; "" for a name in the singular."""
    word = stream.replace("_", " ")
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if re.search("(ss|x|z|ch|sh)es$", word):
        return word[:-2]
    return word[:-1] if re.search("[a-z]{2}[^suiy0-9]s$", word) else ""


def why_not_a_path(keys: Iterable[str]) -> str:
    """Why no `path=` can name these members; "" if one can."""
    for key in keys:
        if not key:
            return "a member without a name"
        if "." in key:
            return "a point in a member's name: a path divides there"
        if not is_unicode(key):
            return "half of a surrogate pair in a member's name"
    return ""


def column_for(keys: tuple[str, ...], taken: Collection[str]) -> str:
    """A name for the column of this path that every engine takes and that is not in `taken` (lower case)."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", _plain("_".join(keys))).strip("_")
    if not name or not name[0].isalpha():
        name = f"champ_{name}".rstrip("_")
    name = name[:LONGEST].rstrip("_")
    if name.lower() in RESERVED:
        name = f"event_{name}"
    number, free = 1, name
    while free.lower() in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _plain(text: str) -> str:
    """Without accents: é → e."""
    return "".join(mark for mark in unicodedata.normalize("NFKD", text) if not unicodedata.combining(mark))
