"""The reason codes of rejected messages as sentences. docs/data-contract.md has the exact rule of each.

A code is a kind, a kind and the field it is about (`not_json`, `negative:price`), or a rule's of the stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ventes.stream.declaration import Stream

OF_A_MESSAGE = {
    "empty": "The message is empty.",
    "bad_frame": "The bytes do not begin with the frame of a schema registry.",
    "not_utf8": "The bytes are not UTF-8.",
    "not_json": "The text is not JSON.",
    "not_object": "It is JSON, but not an object.",
    "trailing_data": "Something follows the object.",
    "duplicate_key": "A key occurs twice in one object.",
    "no_event": "The change has no state after it: a row was deleted, or the message is about something else.",
    "time_unreadable": "The timestamp is not an ISO 8601 date and time.",
    "time_out_of_range": "The timestamp is before the year 2000, or more than 24 hours after the message arrived.",
    "duplicate": "The same {noun} came before.",
    "conflict": "{A_noun} with this {id} and other content came before.",
}
OF_A_FIELD = {
    "missing": "{field} is missing, null or blank.",
    "type": "{field} is of the wrong kind.",
    "range": "{field} is outside of its limits.",
    "too_long": "{field} has more than {most} characters.",
    "not_allowed": "{field} is none of the allowed texts.",
    "pattern": "{field} does not have the form that its pattern asks for.",
    "too_precise": "{field} has too many decimals; numbers are not rounded.",
    "negative": "{field} is below zero: a refund is not {a_noun}.",
    "zero": "{field} is zero: {a_noun} has a price.",
    "not_cents": "{field} has a fraction of a cent; amounts are not rounded.",
    "time_unreadable": "{field} is not an ISO 8601 date and time.",
    "time_out_of_range": "{field} is beyond the years that the column can hold.",
}


def sentence(code: str, stream: Stream | None = None) -> str:
    """The sentence for a code of `stream`. A code that is unknown to this release is returned unchanged."""
    kind, _, field = code.partition(":")
    rule = next((rule for rule in stream.rules if rule.code == code), None) if stream else None
    if rule:
        return " · ".join(filter(None, (rule.en, rule.fr)))
    known = OF_A_FIELD.get(kind) if field else OF_A_MESSAGE.get(kind)
    return known.format(**_words(stream, field)) if known else code


def _words(stream: Stream | None, field: str) -> dict[str, str]:
    noun = stream.noun if stream else "event"
    a_noun = f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"
    declared = {kind.name: kind for kind in stream.event.read} if stream else {}
    most = getattr(declared.get(field), "most", None)
    return {
        "noun": noun,
        "a_noun": a_noun,
        "A_noun": a_noun.capitalize(),
        "id": stream.event.id if stream else "id",
        "field": field,
        "most": "the allowed" if most is None else str(most),
    }
