"""The kinds of fields. A kind owns the columns of a field, and how its JSON value is read.

A reader gets a JSON value as `strict_json` gives it (None, bool, str, Number, list, dict), never a missing one: None
and blank text are absent for every kind. It returns the value that Bronze shows, None if the column cannot hold it,
and the kinds of reasons why the value is not valid (docs/data-contract.md); no reason means valid.

The reader is the definition. `fast` gives the SQL that types the values which it can prove to be valid (fast_form.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_UP, Context, Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from ventes.stream import event_time, fast_form
from ventes.stream.arrow import instant, pa
from ventes.stream.declared import Declared
from ventes.stream.fast_form import FastForm, OffsetOf
from ventes.stream.sql_text import literal, quoted
from ventes.stream.strict_json import Number, is_unicode, to_text

Read = tuple[Any, tuple[str, ...]]
"""The value for Bronze, and the kinds of reasons for it."""
Reader = Callable[[Any], Read]

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_INT64 = range(-(2**63), 2**63)
_NEAREST = Context(prec=60)
_AWAY = Context(prec=60, rounding=ROUND_UP)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, kw_only=True)
class _Options(Declared):
    path: str | None = None
    """Where the value is in the JSON object: "customer.id" is the member `id` of the object `customer`.
    Default: the member that is called like the field."""
    optional: bool = False
    """Absent, null or blank is valid: the column is NULL."""
    dimension: bool = False
    """The page can filter and group by it."""
    column: str | None = None
    """The name in the table of clean events. Default: the field's name."""


@dataclass(frozen=True)
class _Named(Declared):
    name: str = ""


@dataclass(frozen=True)
class Field(_Options, _Named):
    """One field of an event; use one of its kinds. `name` is its column in Bronze.

    `Text("customer_city", path="customer.address.city", optional=True, column="city")` reads "Lyon" from
    {"customer": {"address": {"city": "Lyon"}}}, is NULL where any of the three is missing, and is the column `city` of
    the clean events. Raises DeclarationError, as all parts of a declaration do, with the line.
    """

    def check(self) -> None:
        self.require_own_name(self.name, "field")
        if self.column is not None:
            self.require_own_name(self.column, f"column of {self.name}")
        if not all(self.keys):
            raise self.refuse(f"field {self.name}: path {self.path!r} has an empty part")

    @property
    def keys(self) -> tuple[str, ...]:
        """The path of the value in the JSON object."""
        return tuple((self.path or self.name).split("."))

    @property
    def clean_name(self) -> str:
        return self.column or self.name

    @property
    def bronze_type(self) -> pa.DataType:
        """Of the column in Bronze: wide enough to show invalid values too."""
        raise NotImplementedError

    @property
    def clean_type(self) -> pa.DataType:
        """Of the column in the table of clean events."""
        return self.bronze_type

    @property
    def is_number(self) -> bool:
        """Whether it can be summed."""
        return isinstance(self, Integer | Decimals)

    def shown_blank(self, _item: Any) -> Any:
        """What Bronze shows for None or a blank text."""
        return None

    def reader(self, _source_zone: ZoneInfo) -> Reader:
        """The judge of this field; `_source_zone` is the zone of times without an offset."""
        raise NotImplementedError

    def fast(self, _value: fast_form.Member, _offset_of: OffsetOf) -> FastForm | None:
        """The SQL for a member's value; None if only the reader can judge it."""
        return None


@dataclass(frozen=True)
class Integer(Field):
    """A whole number, as a JSON number or its text, from `least` to `most`. Column: BIGINT.

    `Integer("items", least=1)`: 3 and "3" are valid; 0 is `range:items`, 1.5 and "03" are `type:items`.
    """

    least: int = -(2**63)
    most: int = 2**63 - 1

    def check(self) -> None:
        super().check()
        if self.least not in _INT64 or self.most not in _INT64 or self.least > self.most:
            raise self.refuse(f"field {self.name}: least and most must be in order and fit 64 bits")

    @property
    def bronze_type(self) -> pa.DataType:
        return pa.int64()

    def reader(self, _source_zone: ZoneInfo) -> Reader:
        least, most = self.least, self.most

        def read(item: Any) -> Read:
            if not isinstance(item, str) or not _INTEGER.fullmatch(item):
                return None, ("type",)
            if len(item) > 20:  # beyond int64 whatever the digits; int() refuses thousands of them
                return None, ("range",)
            number = int(item)
            return number if number in _INT64 else None, () if least <= number <= most else ("range",)

        return read

    def fast(self, member: fast_form.Member, _offset_of: OffsetOf) -> FastForm | None:
        value, text = quoted(self.name), quoted(fast_form.text_of(self.name))
        steps = (((self.name, f"TRY_CAST({text} AS BIGINT)"),),)
        proof = f"{value} BETWEEN {self.least} AND {self.most} AND CAST({value} AS TEXT) = {text}"
        outcomes = fast_form.integer_outcomes(self.name, self.least, self.most)
        return fast_form.of_text(self.name, member.value, steps, proof, outcomes)


@dataclass(frozen=True)
class Decimals(Field):
    """A decimal number with at most `scale` decimals, exact, as a JSON number or its text. Column: DECIMAL.

    A difference of at most 10^-(scale + 4) is float error and is removed; more decimals are `too_precise`.

    `Decimals("weight", scale=3, least=Decimal(0), most=Decimal(1000))`: 1.25, "1.250" and 1.2500000001 are 1.250.
    """

    scale: int = 2
    least: Decimal = Decimal(-9_999_999_999)
    most: Decimal = Decimal(9_999_999_999)

    def check(self) -> None:
        super().check()
        if not 0 <= self.scale <= 9:
            raise self.refuse(f"field {self.name}: scale must be 0 to 9")
        if not isinstance(self.least, Decimal) or not isinstance(self.most, Decimal) or self.least > self.most:
            raise self.refuse(f'field {self.name}: least and most must be Decimal("…") and in order')
        if max(abs(self.least), abs(self.most)) >= Decimal(10) ** 16:
            raise self.refuse(f"field {self.name}: at most 16 digits before the point")

    @property
    def bronze_type(self) -> pa.DataType:
        return pa.decimal128(16 + self.scale, self.scale)

    @property
    def clean_type(self) -> pa.DataType:
        digits = len(str(int(max(abs(self.least), abs(self.most)))))
        return pa.decimal128(digits + self.scale, self.scale)

    def reader(self, _source_zone: ZoneInfo) -> Reader:
        def read(item: Any) -> Read:
            if not isinstance(item, str) or not _NUMBER.fullmatch(item):
                return None, ("type",)
            try:
                exact = Decimal(item)
            except InvalidOperation:  # an exponent beyond anything
                return None, ("range",)
            rounded = self._rounded(exact)
            nearest = exact if rounded is None else rounded  # float error is not a reason
            precise = rounded is not None or exact.copy_abs() >= _BEYOND_COLUMN
            return rounded, self._problems(nearest, precise)

        return read

    def _problems(self, number: Decimal, precise: bool) -> tuple[str, ...]:
        broken = {"range": not self.least <= number <= self.most, "too_precise": not precise}
        return tuple(kind for kind, applies in broken.items() if applies)

    def _rounded(self, exact: Decimal) -> Decimal | None:
        """The number with `scale` decimals; None if it has more, or does not fit the column."""
        if exact.copy_abs() >= _BEYOND_COLUMN:
            return None
        rounded = _NEAREST.quantize(exact, Decimal(1).scaleb(-self.scale))
        # rounded away from zero: a difference that is too large in its last digit stays too large
        if _AWAY.subtract(exact, rounded).copy_abs() > Decimal(1).scaleb(-self.scale - 4):
            return None
        return rounded.copy_abs() if rounded.is_zero() else rounded

    def fast(self, member: fast_form.Member, _offset_of: OffsetOf) -> FastForm | None:
        steps = fast_form.decimal_steps(self.name, self.bronze_type.precision, self.scale)
        proof = fast_form.decimal_proof(self.name, self.scale, self.least, self.most)
        limits = (self.least, self.most, Decimal(0))
        outcomes = fast_form.decimal_outcomes(self.name, self.scale, limits, self._fast_problems)
        further = fast_form.long_decimal(self.name, self.scale)
        return fast_form.of_text(self.name, member.value, steps, proof, outcomes, further)

    def _fast_problems(self, number: str, precise: bool) -> tuple[tuple[str, str], ...]:
        """`_problems` as SQL."""
        limits = f"{fast_form.exactly(self.least)} AND {fast_form.exactly(self.most)}"
        outside = ("range", f"NOT {number} BETWEEN {limits}")
        return (outside,) if precise else (outside, ("too_precise", "true"))


_BEYOND_COLUMN = Decimal(10) ** 16


@dataclass(frozen=True)
class Money(Decimals):
    """An amount in whole cents from `least`, more than zero, to `most`; as a JSON number or its text. Column: DECIMAL.

    `currency`: its sign or code on the page; default: page.currency of ventes.toml.

    `Money("total", currency="EUR")`: 59.97 and "59.97" are valid; 0 is `zero:total`, -5 `negative:total`, 1.005
    `not_cents:total`.
    """

    least: Decimal = Decimal("0.01")
    most: Decimal = Decimal("9999999999.99")
    currency: str | None = None

    def check(self) -> None:
        super().check()
        if self.scale != 2:
            raise self.refuse(f"field {self.name}: money has 2 decimals; use Decimals for another scale")
        if self.least <= 0:
            raise self.refuse(f"field {self.name}: money is more than zero; use Decimals for other numbers")

    def _problems(self, number: Decimal, precise: bool) -> tuple[str, ...]:
        broken = {
            "negative": number < 0,
            "zero": number.is_zero(),
            "range": number.copy_abs() > self.most or (precise and 0 < number < self.least),
            "not_cents": not precise,
        }
        return tuple(kind for kind, applies in broken.items() if applies)

    def _fast_problems(self, number: str, precise: bool) -> tuple[tuple[str, str], ...]:
        sign = ("negative", f"{number} < 0"), ("zero", f"{number} = 0")
        above = f"abs({number}) > {fast_form.exactly(self.most)}"
        if not precise:
            return (*sign, ("range", above), ("not_cents", "true"))
        return (*sign, ("range", f"{above} OR (0 < {number} AND {number} < {fast_form.exactly(self.least)})"))


@dataclass(frozen=True)
class Text(Field):
    """A JSON string of 1 to `most` characters (code points), not only white space. Column: STRING.

    `values`: the only texts allowed. `pattern`: a regular expression that the whole text must match, in the subset that
    Python and RE2 share.

    `Text("status", values=("new", "paid"), dimension=True)`: "lost" is `not_allowed:status`, 7 is `type:status`.
    """

    most: int = 200
    values: tuple[str, ...] = ()
    pattern: str | None = None

    def check(self) -> None:
        super().check()
        if not 1 <= self.most <= 10_000:
            raise self.refuse(f"field {self.name}: most must be 1 to 10,000 characters")
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise self.refuse(
                f"field {self.name}: pattern {self.pattern!r} is no regular expression: {error}"
            ) from None

    @property
    def bronze_type(self) -> pa.DataType:
        return pa.string()

    def shown_blank(self, item: Any) -> Any:
        return item

    def reader(self, _source_zone: ZoneInfo) -> Reader:
        most, values, pattern = self.most, frozenset(self.values), re.compile(self.pattern) if self.pattern else None

        def read(item: Any) -> Read:
            if isinstance(item, Number) or not isinstance(item, str):
                return to_text(item), ("type",)
            if "\0" in item or not is_unicode(item):
                return None, ("type",)
            if len(item) > most:
                return item, ("too_long",)
            if values and item not in values:
                return item, ("not_allowed",)
            if pattern is not None and not pattern.fullmatch(item):
                return item, ("pattern",)
            return item, ()

        return read

    def fast(self, member: fast_form.Member, _offset_of: OffsetOf) -> FastForm | None:
        value, allowed, matching = quoted(self.name), None, None
        if self.values:
            texts = [literal(text) for text in self.values if is_unicode(text) and "\0" not in text]
            allowed = f"{value} IN ({', '.join(texts)})" if texts else "false"
        if self.pattern is not None:
            matching = fast_form.matching(value, self.pattern)
            if matching is None:
                return None
        return fast_form.of_string(self.name, member, self.most, allowed, matching)


@dataclass(frozen=True)
class Boolean(Field):
    """JSON's true or false, or their text "true" and "false". Column: BOOLEAN.

    `Boolean("gift", optional=True)`: 1 and "yes" are `type:gift`.
    """

    @property
    def bronze_type(self) -> pa.DataType:
        return pa.bool_()

    def reader(self, _source_zone: ZoneInfo) -> Reader:
        def read(item: Any) -> Read:
            if isinstance(item, bool):
                return item, ()
            if isinstance(item, str) and item in ("true", "false") and not isinstance(item, Number):
                return item == "true", ()
            return None, ("type",)

        return read

    def fast(self, member: fast_form.Member, _offset_of: OffsetOf) -> FastForm | None:
        text = quoted(fast_form.text_of(self.name))
        steps = (((self.name, f"{text} = 'true'"),),)
        proof = f"{text} IN ('true', 'false')"
        outcomes = (fast_form.Outcome(fast_form.scalar_but(text, "true", "false"), fast_form.always("type")),)
        return fast_form.of_text(self.name, member.value, steps, proof, outcomes)


@dataclass(frozen=True)
class Instant(Field):
    """A point in time. Column: TIMESTAMP, in UTC, cut to microseconds.

    `form`: "iso" (a string; event_time has the exact forms), or "s", "ms", "us", "ns": a whole number of such units
    since 1970-01-01T00:00:00Z, as a JSON number or its text.

    `Instant("created_at", form="ms")`: 1764352860000 is 2025-11-28T18:01:00Z; `Instant("at")` reads that text.
    """

    form: str = "iso"

    def check(self) -> None:
        super().check()
        if self.form not in ("iso", *UNITS):
            raise self.refuse(f'field {self.name}: form {self.form!r} is not one of "iso", "s", "ms", "us", "ns"')

    @property
    def bronze_type(self) -> pa.DataType:
        return instant()

    def reader(self, source_zone: ZoneInfo) -> Reader:
        return self._epoch if self.form in UNITS else lambda item: self._iso(item, source_zone)

    def _iso(self, item: Any, source_zone: ZoneInfo) -> Read:
        if isinstance(item, Number) or not isinstance(item, str):
            return None, ("type",)
        try:
            return event_time.read(item, source_zone), ()
        except OverflowError:
            return None, ("time_out_of_range",)
        except ValueError:
            return None, ("time_unreadable",)

    def _epoch(self, item: Any) -> Read:
        if not isinstance(item, str) or not _INTEGER.fullmatch(item):
            return None, ("type",)
        if len(item) > 20 or int(item) not in _INT64:
            return None, ("time_out_of_range",)
        try:
            return _EPOCH + timedelta(microseconds=UNITS[self.form](int(item))), ()
        except OverflowError:
            return None, ("time_out_of_range",)

    def fast(self, member: fast_form.Member, offset_of: OffsetOf) -> FastForm | None:
        """Its column is a naive TIMESTAMP in UTC."""
        if self.form == "iso":
            steps, proof = fast_form.iso_steps(self.name, offset_of), f"{quoted(self.name)} IS NOT NULL"
            outcomes = fast_form.iso_outcomes(self.name, member.kind)
        else:
            per_second = 10 ** {"s": 0, "ms": 3, "us": 6, "ns": 9}[self.form]
            steps = fast_form.epoch_steps(self.name, _MICROSECONDS_SQL[self.form])
            proof = fast_form.epoch_proof(self.name, per_second)
            outcomes = fast_form.epoch_outcomes(self.name, per_second)
        return fast_form.of_text(self.name, member.value, steps, proof, outcomes)


UNITS: dict[str, Callable[[int], int]] = {
    "s": lambda n: n * 1_000_000,
    "ms": lambda n: n * 1_000,
    "us": lambda n: n,
    "ns": lambda n: n // 1_000,
}
"""Unit of a number → microseconds."""
_MICROSECONDS_SQL = {"s": "{} * 1000000", "ms": "{} * 1000", "us": "{}", "ns": "{} // 1000"}
"""The same in DuckDB's SQL, for numbers that are not negative."""


@dataclass(frozen=True)
class Day(Field):
    """A date without a time, "2026-01-05", from year 1 on. Column: DATE.

    `Day("due", optional=True)`: "2026-02-30" is `range:due`, "5.1.2026" is `type:due`.
    """

    @property
    def bronze_type(self) -> pa.DataType:
        return pa.date32()

    def reader(self, _source_zone: ZoneInfo) -> Reader:
        def read(item: Any) -> Read:
            if isinstance(item, Number) or not isinstance(item, str) or not _DAY.fullmatch(item):
                return None, ("type",)
            try:
                return date.fromisoformat(item), ()
            except ValueError:
                return None, ("range",)

        return read

    def fast(self, member: fast_form.Member, _offset_of: OffsetOf) -> FastForm | None:
        value, text = quoted(self.name), quoted(fast_form.text_of(self.name))
        steps = (((self.name, f"TRY_CAST({text} AS DATE)"),),)
        # ten characters: DuckDB also has the dates infinity, and years of more digits
        proof = f"length({text}) = 10 AND CAST({value} AS TEXT) = {text}"
        return fast_form.of_text(self.name, member.value, steps, proof, fast_form.day_outcomes(self.name))


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class Json(Field):
    """A JSON object or list, kept as its JSON text: keys sorted, numbers as sent. Column: STRING.

    `Json("lines")`: [{"sku": "A", "qty": 2}] is '[{"qty":2,"sku":"A"}]', which SQL takes apart; 7 is `type:lines`.
    """

    most: int = 100_000
    """Characters of the text."""

    @property
    def bronze_type(self) -> pa.DataType:
        return pa.string()

    def reader(self, _source_zone: ZoneInfo) -> Reader:
        def read(item: Any) -> Read:
            text = to_text(item)
            if not isinstance(item, dict | list):
                return text, ("type",)
            return text, () if len(text) <= self.most else ("too_long",)

        return read

    def fast(self, member: fast_form.Member, _offset_of: OffsetOf) -> FastForm | None:
        """Only for messages without the value: DuckDB does not keep numbers as they were sent."""
        if not self.optional:
            return None
        asked = f"_j_{self.name}"
        steps = (((asked, member.value), (self.name, "CAST(NULL AS TEXT)")),)
        return FastForm("JSON", steps, "false", f"{quoted(asked)} IS NULL")


@dataclass(frozen=True)
class Quotient(Declared):
    """A column of the clean events that is computed: `amount` / `count`, half up to cents. Column: the amount's.

    `amount` is a Money field, `count` an Integer field of at least 1.

    `Quotient("unit_price", amount="total", count="items")`: 10.00 / 3 is 3.33, 0.05 / 2 is 0.03.
    """

    name: str = ""
    amount: str = ""
    count: str = ""

    def check(self) -> None:
        self.require_own_name(self.name, "quotient")
