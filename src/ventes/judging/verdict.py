"""The verdict on a message: bytes → the sale's fields, and every reason why it is not a valid sale. Pure.

This is the definition. The SQL in `fast_path.sql` handles only messages that it can prove to be valid here, with the
same values; all others come here. The rules, each with its reason, are in docs/data-contract.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_UP, Context, Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from ventes.contract.tables import EVENT_FIELDS
from ventes.stream import event_time
from ventes.stream.strict_json import Number, Refused, Repeated, has_repeated_key, is_unicode, parse_object, to_text

MAX_VENTE_ID = 2**53 - 1
"""The largest integer that JavaScript, and every program that reads JSON numbers as doubles, keeps exact."""
MAX_ID = 2**31 - 1
MAX_QUANTITE = 1_000_000
MAX_MONTANT = Decimal("9999999999.99")
MAX_NAME = 200
"""Characters, that is code points."""

NOISE = Decimal("0.000001")
"""Largest difference from a whole cent that is taken as float error: 59.97 computed in floats is 59.96999999999999."""


@dataclass(frozen=True)
class Verdict:
    """A message as Bronze shows it. `motifs` is sorted, each code once; () means a valid sale.

    The eleven fields are shown as far as their text fits the column, valid or not: integers as int64,
    `montant` as DECIMAL(18,2), `timestamp` aware in UTC. `extra` is a JSON object of the unknown
    members, None if there are none. `jour` is the Bronze partition.
    """

    vente_id: int | None
    client_id: int | None
    produit_id: int | None
    timestamp: datetime | None
    quantite: int | None
    montant: Decimal | None
    client_nom: str | None
    produit_nom: str | None
    categorie: str | None
    pays: str | None
    segment: str | None
    motifs: tuple[str, ...]
    extra: str | None
    jour: date


def judge(value: bytes | None, kafka_ts: datetime, source_zone: ZoneInfo, business_zone: ZoneInfo) -> Verdict:
    """Judge one message. Any bytes give a verdict, never an exception.

    `kafka_ts` (aware) is the arrival of the message; `source_zone` applies to times without an offset;
    `business_zone` is the zone whose midnight begins a `jour`.
    """
    try:
        members = parse_object(value)
    except Refused as refusal:
        nothing = dict.fromkeys(EVENT_FIELDS)
        return Verdict(**nothing, motifs=(refusal.reason,), extra=None, jour=_day(None, kafka_ts, business_zone))

    reasons: list[str] = []
    repeated: frozenset[str] = members.keys_repeated if isinstance(members, Repeated) else frozenset()
    if has_repeated_key(members):
        reasons.append("duplicate_key")

    shown: dict[str, Any] = {}
    for field, read in _READERS.items():
        item = members.get(field)
        if field in repeated:
            shown[field] = None  # the value is ambiguous; duplicate_key reports it
        elif item is None or (isinstance(item, str) and not item.strip()):
            reasons.append(f"missing:{field}")
            shown[field] = item if field in _NAMES else None
        else:
            shown[field], problems = read(item)
            reasons += [f"{problem}:{field}" for problem in problems]

    when = None
    if isinstance(shown["timestamp"], str):
        when, problem = _event_time(shown["timestamp"], kafka_ts, source_zone)
        if problem:
            reasons.append(problem)
    shown["timestamp"] = when

    extra = {key: item for key, item in members.items() if key not in _READERS}
    return Verdict(
        **shown,
        motifs=tuple(sorted(reasons)),
        extra=to_text(extra) if extra else None,
        jour=_day(when, kafka_ts, business_zone),
    )


_Read = tuple[Any, tuple[str, ...]]
"""The value for Bronze, and the kinds of reasons for it."""

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_INT64 = range(-(2**63), 2**63)
_CENT = Decimal("0.01")
_BEYOND_COLUMN = Decimal(10) ** 16
_NEAREST = Context(prec=40)
_AWAY = Context(prec=40, rounding=ROUND_UP)


def _integer(largest: int) -> Callable[[Any], _Read]:
    def read(item: Any) -> _Read:
        if not isinstance(item, str) or not _INTEGER.fullmatch(item):
            return None, ("type",)
        if len(item) > 20:  # beyond int64 whatever the digits; int() refuses thousands of them
            return None, ("range",)
        number = int(item)
        return number if number in _INT64 else None, () if 1 <= number <= largest else ("range",)

    return read


def _amount(item: Any) -> _Read:
    if not isinstance(item, str) or not _NUMBER.fullmatch(item):
        return None, ("type",)
    try:
        exact = Decimal(item)
    except InvalidOperation:  # an exponent beyond anything
        return None, ("range",)
    amount = _cents(exact)
    nearest = exact if amount is None else amount  # float error is not a reason
    broken = {
        "negative": nearest < 0,
        "zero": nearest.is_zero(),
        "range": nearest.copy_abs() > MAX_MONTANT,
        "not_cents": amount is None and exact.copy_abs() < _BEYOND_COLUMN,
    }
    return amount, tuple(kind for kind, applies in broken.items() if applies)


def _cents(exact: Decimal) -> Decimal | None:
    """The number as whole cents; None if it is none, or does not fit DECIMAL(18,2)."""
    if exact.copy_abs() >= _BEYOND_COLUMN:
        return None
    cents = _NEAREST.quantize(exact, _CENT)
    # rounded away from zero: a difference that is too large in its thousandth digit stays too large
    if _AWAY.subtract(exact, cents).copy_abs() > NOISE:
        return None
    return cents.copy_abs() if cents.is_zero() else cents


def _name(item: Any) -> _Read:
    if isinstance(item, Number) or not isinstance(item, str):
        return to_text(item), ("type",)
    if "\0" in item or not is_unicode(item):
        return None, ("type",)
    return item, ("too_long",) if len(item) > MAX_NAME else ()


def _time_text(item: Any) -> _Read:
    if isinstance(item, Number) or not isinstance(item, str):
        return None, ("type",)
    return item, ()


def _event_time(text: str, kafka_ts: datetime, source_zone: ZoneInfo) -> tuple[datetime | None, str | None]:
    try:
        when = event_time.read(text, source_zone)
    except OverflowError:
        return None, "time_out_of_range"
    except ValueError:
        return None, "time_unreadable"
    return when, None if event_time.in_range(when, kafka_ts) else "time_out_of_range"


_day = event_time.day_of

_NAMES = frozenset({"client_nom", "produit_nom", "categorie", "pays", "segment"})

_READERS: dict[str, Callable[[Any], _Read]] = {
    "vente_id": _integer(MAX_VENTE_ID),
    "client_id": _integer(MAX_ID),
    "produit_id": _integer(MAX_ID),
    "timestamp": _time_text,
    "quantite": _integer(MAX_QUANTITE),
    "montant": _amount,
    "client_nom": _name,
    "produit_nom": _name,
    "categorie": _name,
    "pays": _name,
    "segment": _name,
}
