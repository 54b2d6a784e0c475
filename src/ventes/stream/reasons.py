"""The reason codes of rejected messages as sentences. docs/data-contract.md has the exact rule of each.

A code is a kind, or a kind and the field it is about: `not_json`, `negative:montant`.
"""

from __future__ import annotations

OF_A_MESSAGE = {
    "empty": "The message is empty.",
    "not_utf8": "The bytes are not UTF-8.",
    "not_json": "The text is not JSON.",
    "not_object": "It is JSON, but not an object.",
    "trailing_data": "Something follows the object.",
    "duplicate_key": "A key occurs twice in one object.",
    "time_unreadable": "The timestamp is not an ISO 8601 date and time.",
    "time_out_of_range": "The timestamp is before the year 2000, or more than 24 hours after the message arrived.",
    "duplicate": "The same sale came before.",
    "conflict": "A sale with this vente_id and other content came before.",
}
OF_A_FIELD = {
    "missing": "{} is missing, null or blank.",
    "type": "{} is of the wrong kind.",
    "range": "{} is outside of its limits.",
    "too_long": "{} has more than 200 characters.",
    "negative": "{} is below zero: a refund is not a sale.",
    "zero": "{} is zero: a sale has a price.",
    "not_cents": "{} has a fraction of a cent; amounts are not rounded.",
}


def sentence(code: str) -> str:
    """The sentence for a code. A code that is unknown to this release is returned unchanged."""
    kind, _, field = code.partition(":")
    if field:
        return OF_A_FIELD[kind].format(field) if kind in OF_A_FIELD else code
    return OF_A_MESSAGE.get(code, code)
