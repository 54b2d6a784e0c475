"""The values of a path → the kind of a field. Pure.

The kinds' own readers decide: of the kinds that a path may have, the one that takes the most values is proposed, the
most specific one first. So a proposal and the verdict cannot disagree.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from ventes.propose import names
from ventes.propose.paths import Node
from ventes.stream.kinds import Boolean, Day, Decimals, Field, Instant, Integer, Json, Money, Text
from ventes.stream.strict_json import Number

LEAST_TAKEN = 0.8
"""Share of the values that a kind must take to be proposed; otherwise the member stays in `_extra`."""
ONE_FORM = 0.95
"""Share of the numbers that must have one unit to be times."""
MOST_DECIMALS = 9
FLOAT_ERROR = Decimal("1e-13")
"""Share of a number that is taken as float error: 59.97 computed in floats is 59.96999999999999."""
LARGEST = Decimal(9_999_999_999)
"""Decimals' own limit."""
LENGTHS = (200, 500, 1_000, 2_000, 5_000, 10_000)
"""Limits of a text that are proposed."""
MOSTLY_WHOLE = 0.99
"""Share of whole numbers from which the others are errors, and not a finer number; amounts may be whole often."""
FEW = 8
"""An enumeration has at most so many values, …"""
OFTEN = 10
"""… each at least so often, and in one message of a hundred."""

_CODE = re.compile(r"[a-z0-9_-]{1,20}|[A-Z0-9_-]{1,20}")
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_UTC = ZoneInfo("UTC")
_YEAR_2000, _YEAR_2100 = 946_684_800, 4_102_444_800
_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class Kind:
    """`field`: with its limits, without path and `optional`; None if no kind fits. `taken`: values it accepts."""

    field: Field | None
    taken: int
    remarks: tuple[str, ...] = ()


def kind_of(name: str, node: Node, always: bool) -> Kind:
    """The kind for the values of `node`, called `name`; `always`: whether all events have it."""
    values = node.values
    best, most = None, -1
    for field in _candidates(name, values, always):
        taken = accepted(field, values)
        if taken > most:
            best, most = field, taken
    if type(best) is Decimals and not names.like_money(name):
        whole = Integer(name)
        if (taken := accepted(whole, values)) >= MOSTLY_WHOLE * len(values):
            best, most = whole, taken
    if best is None or most < LEAST_TAKEN * len(values):
        return Kind(None, max(most, 0), (_why_none(values, max(most, 0)),))
    return Kind(best, most, tuple(_remarks(best, most, values)))


def accepted(field: Field, values: list[Any]) -> int:
    """How many of the values the field's own reader finds valid."""
    read = field.reader(_UTC)
    return sum(not read(value)[1] for value in values)


def as_instant(field: Field, values: list[Any], arrival: datetime) -> Instant | None:
    """The field as a time, if its numbers are times within ten years of `arrival` in one unit, whatever its name."""
    unit = _unit(values, ONE_FORM)
    if unit is None or not isinstance(field, Integer):
        return None
    instant = Instant(field.name, form=unit)
    read = instant.reader(_UTC)
    near = [moment for moment, wrong in map(read, values) if not wrong and abs(moment - arrival) < _TEN_YEARS]
    return instant if len(near) >= ONE_FORM * len(values) else None


_TEN_YEARS = timedelta(days=3653)


def _candidates(name: str, values: list[Any], always: bool) -> Iterator[Field]:
    """The kinds that a path of this name may have, the most specific first."""
    numbers = any(isinstance(value, Number) for value in values)
    yield Boolean(name)
    if names.like_a_time(name) and (unit := _unit(values, LEAST_TAKEN)) is not None:
        yield Instant(name, form=unit)
    if numbers:  # digits that are always sent as text are more often a code than a number
        yield Integer(name)
    yield Day(name)
    yield Instant(name)
    if numbers or names.like_money(name) or _one_scale(values):
        yield from _decimals(name, values)
    yield _text(name, values, always)
    yield Json(name)


def _decimals(name: str, values: list[Any]) -> Iterator[Field]:
    """An amount, or a decimal with as many decimals as the values have."""
    exact = [number for number in map(_decimal, values) if number is not None]
    scales = sorted(scale for scale in map(_scale_of, exact) if scale is not None)
    if not exact or len(scales) < LEAST_TAKEN * len(exact):
        return
    limit, scale = _limit(exact), scales[-1]
    # an amount with a third decimal now and then is an error, not a finer amount
    cents = sum(one <= 2 for one in scales)
    if names.like_money(name) and scale >= 1 and cents >= 0.99 * len(scales):
        scale = 2
        if accepted(Money(name), values) >= cents:
            yield Money(name)
    yield Decimals(name, scale=scale, least=-limit, most=limit)


def _decimal(value: Any) -> Decimal | None:
    """The number that a value is or is the text of."""
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        return None
    number = Decimal(value)
    return number if abs(number) < _HUGE else None


def _scale_of(number: Decimal) -> int | None:
    """The decimals of a number without float error, which is relative; None: more than MOST_DECIMALS."""
    noise = abs(number) * FLOAT_ERROR
    for scale in range(MOST_DECIMALS + 1):
        if abs(number - round(number, scale)) <= noise:
            return scale
    return None


_HUGE = Decimal(10) ** 16 - 1


def _limit(exact: list[Decimal]) -> Decimal:
    """Decimals' own limit, or the power of ten that has room for these numbers."""
    largest = max((abs(number) for number in exact), default=Decimal(0))
    limit = LARGEST
    while limit < largest and limit < _HUGE:
        limit = limit * 10 + 9
    return limit


def _text(name: str, values: list[Any], always: bool) -> Text:
    """A text with the limit that its values need, or an enumeration: only of what all events have, like a state.

    A code that only some have, such as a voucher's, gets new values too often to reject them.
    """
    texts = [value for value in values if isinstance(value, str) and not isinstance(value, Number)]
    longest = max(map(len, texts), default=0)
    most = next((limit for limit in LENGTHS if longest <= limit), LENGTHS[-1])
    times = Counter(texts)
    often = max(OFTEN, len(texts) / 100)
    few = (
        always
        and 2 <= len(times) <= FEW
        and all(count >= often and _CODE.fullmatch(text) for text, count in times.items())
    )
    return Text(name, most=most, values=tuple(sorted(times)) if few else ())


def _unit(values: list[Any], share: float) -> str | None:
    """The unit since 1970 that places this share of the values between the years 2000 and 2100."""
    units = Counter(_unit_of(value) for value in values)
    unit, times = max(units.items(), key=lambda item: item[1], default=(None, 0))
    return unit if unit is not None and times >= share * len(values) else None


def _unit_of(value: Any) -> str | None:
    if not isinstance(value, str) or not _WHOLE.fullmatch(value) or len(value) > 20:
        return None
    number = int(value)
    return next((unit for unit, by in _UNITS.items() if _YEAR_2000 * by <= number < _YEAR_2100 * by), None)


def _one_scale(values: list[Any]) -> bool:
    """Whether all values are texts of numbers with the same number of decimals, at least two of them."""
    found = {len(value.partition(".")[2]) for value in values if isinstance(value, str)}
    return len(found) == 1 and found.pop() >= 2


# -- remarks ----------------------------------------------------------------------------------


def _remarks(field: Field, taken: int, values: list[Any]) -> Iterator[str]:
    count = len(values)
    if taken < count:
        yield f"{count - taken:,} of {count:,} values are of another form: such messages are rejected"
    if isinstance(field, Text) and field.values:
        yield "few values: other ones are rejected; without values= all texts are taken"
    if isinstance(field, Text) and not field.values and accepted(Integer(field.name), values) == count:
        yield "sent as text, always a whole number: Integer would take it too"
    if isinstance(field, Text) and names.like_a_time(field.name) and _mostly_digits(values):
        yield "called like a time, but its form is not ISO 8601: kept as text"
    if isinstance(field, Integer) and names.like_money(field.name):
        yield "looks like money without decimals: whole units, or cents?"
    if isinstance(field, Money):
        yield "looks like money: Money rejects zero and negative amounts"
    if type(field) is Decimals and names.like_money(field.name) and field.scale == 2:
        yield "looks like money, but has amounts that Money would reject: zero, negative or too large"
    if type(field) is Decimals and names.like_a_time(field.name):
        yield "called like a time: seconds with a fraction are no form of Instant; kept as a number"


def _mostly_digits(values: list[Any]) -> bool:
    return sum(bool(re.search("[0-9]", str(value))) for value in values) >= ONE_FORM * len(values)


def _why_none(values: list[Any], taken: int) -> str:
    if all(isinstance(value, Number) for value in values):
        return f"left in _extra: numbers with more than {MOST_DECIMALS} decimals; no kind keeps them exactly"
    return f"left in _extra: mixed forms; the best kind takes {taken:,} of {len(values):,} values"


def with_options(field: Field, keys: tuple[str, ...], optional: bool) -> Field:
    """The field with the path of its value and whether it may be missing."""
    path = None if keys == (field.name,) else ".".join(keys)
    return replace(field, path=path, optional=optional)
