"""How the fast path types a field, in DuckDB's SQL: what the kinds share. Pure text.

A fast form may leave any value undecided, but must never take one that the kind's reader judges differently. No cast is
trusted: its result is converted back to text and must equal the original text. So blanks, signs, exponents, `1_000` and
other forms that a cast accepts never match.

Names that begin with `_` are ours: no field has such a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from ventes.stream.sql_text import literal, quoted

OffsetOf = Callable[[str], str]
"""A column with a wall-clock time → SQL for its offset in seconds east of UTC in the source's zone, NULL = unknown."""


@dataclass(frozen=True)
class FastForm:
    """`steps`: levels of computed columns (name, expression); a level may use the columns of the levels before it.

    One of the columns is the field's, by its name. `proof`: a condition that is true only if the reader finds the value
    valid, and equal to that column. `absent`: a condition that is true only if the member is absent or null, in a
    message whose keys are all known. `asked`: the type that DuckDB's from_json is asked for, VARCHAR or JSON.
    """

    asked: str
    steps: tuple[tuple[tuple[str, str], ...], ...]
    proof: str
    absent: str


def of_text(field: str, member: str, steps: tuple[tuple[tuple[str, str], ...], ...], proof: str) -> FastForm:
    """A form that works on the text of the JSON value, column `text_of(field)`."""
    first = ((text_of(field), member),)
    return FastForm("VARCHAR", (first, *steps), proof, f"{quoted(text_of(field))} IS NULL")


def text_of(field: str) -> str:
    """The column with the text of a field's JSON value: a string without its quotes, a number as DuckDB writes it."""
    return f"_t_{field}"


# -- strings ------------------------------------------------------------------------------------

_SPACE_FREE = "({0} >= '!' AND {0} < chr(133)) OR ({0} >= '¡' AND {0} < 'ᙿ') OR {0} >= '、'"
"""The first character is certainly no white space of Unicode's. The bounds leave out some that are none, too."""


def of_string(field: str, member: str, most: int, further: Iterable[str]) -> FastForm:
    """A JSON string of at most `most` characters. It is asked for as JSON, whose quote proves that it was a string.

    The column is NULL unless it begins with a character that is certainly no white space.
    """
    asked, unquoted = quoted(f"_j_{field}"), quoted(f"_n_{field}")
    string = f"""CASE WHEN starts_with({member}, '"') THEN TRY(from_json({member}, '"VARCHAR"')) END"""
    not_blank = f"CASE WHEN {_SPACE_FREE.format(unquoted)} THEN {unquoted} END"
    fits = f"bit_length({quoted(field)}) <= {8 * most}"  # so many bytes are at most so many characters
    steps = (((f"_j_{field}", member), (f"_n_{field}", string)), ((field, not_blank),))
    return FastForm("JSON", steps, " AND ".join([fits, *further]), f"{asked} IS NULL")


_LITERAL = r"[A-Za-z0-9_ @:/,;#%=~-]|\\[.+*?()\[\]{}|^$/\\-]"
_SAFE_PATTERN = re.compile(
    rf"(?:{_LITERAL}|\\[dws]|\.|\[(?:[A-Za-z0-9]-[A-Za-z0-9]|[A-Za-z0-9_ @:/,;#%=.+]|\\[dws.+*?\\-])+-?\]"
    r"|\((?:\?:)?|\)(?!\{)|\||[*+?](?![*+?])|\{[0-9]{1,2}(?:,(?:[0-9]{1,2})?)?\}(?![*+?]))*"
)
"""Patterns that RE2 takes for the same texts as Python's `re`, or for fewer: \\d, \\w and \\s are ASCII in RE2. Without
counts that multiply: RE2 refuses what becomes too large."""
_MOST_PATTERN = 200


def matches(text: str, pattern: str) -> str | None:
    """The condition that the whole `text` matches; None for a pattern that DuckDB may understand differently."""
    if len(pattern) > _MOST_PATTERN or not _SAFE_PATTERN.fullmatch(pattern):
        return None
    return f"regexp_full_match({text}, {literal(pattern)})"


# -- numbers ------------------------------------------------------------------------------------

_EXACT = Context(prec=60)


def decimal_steps(field: str, digits: int, scale: int) -> tuple[tuple[tuple[str, str], ...], ...]:
    return (((field, f"TRY_CAST({quoted(text_of(field))} AS DECIMAL({digits}, {scale}))"),),)


def decimal_proof(field: str, scale: int, least: Decimal, most: Decimal) -> str:
    """That the text is the number in column `field`, or differs from it by float error only; and its limits.

    DuckDB reads a JSON number with a fraction as a double and writes the shortest text of that double. So the number
    must be small enough that the distance of two neighbouring doubles, by which that text can be off, stays within the
    difference that the reader takes as float error, 10^-(scale + 4).
    """
    value, text = quoted(field), quoted(text_of(field))
    exact = Decimal(_exact_in_double(scale))
    unit = Decimal(1).scaleb(-scale)
    low = max(least, -exact).quantize(unit, ROUND_CEILING, _EXACT)
    high = min(most, exact).quantize(unit, ROUND_FLOOR, _EXACT)
    forms = [text, *(f"{text} || '{'0' * zeros}'" for zeros in range(1, scale)), f"{text} || '.{'0' * scale}'"]
    written = f"CAST({value} AS TEXT)"
    same = f"{written} IN ({', '.join(forms)})" if scale else f"{text} IN ({written}, {written} || '.0')"
    # Float error: at most a tenth of what the reader takes as such away from the number, so that it still holds where
    # the parser has been through a double; the digits before the point keep that double's own error below it.
    whole = f"(0|[1-9][0-9]{{0,{10 - scale}}})"
    sign = "-?" if least < 0 else ""
    error = f"regexp_matches({text}, '^{sign}{whole}[.][0-9]{{{scale}}}(00000|99999)[0-9]{{0,12}}\\z')"
    return f"{value} BETWEEN {low:f} AND {high:f} AND CASE WHEN {same} THEN true ELSE {error} END"


def _exact_in_double(scale: int) -> int:
    """The largest power of two below which two neighbouring doubles differ by at most 10^-(scale + 4)."""
    power = 53
    while Decimal(2) ** (power - 53) > Decimal(10) ** -(scale + 4):
        power -= 1
    return int(2**power - 1)


# -- times --------------------------------------------------------------------------------------

_ISO = (
    r"^2[0-9]{3}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?\z"
)


def iso_steps(field: str, offset_of: OffsetOf) -> tuple[tuple[tuple[str, str], ...], ...]:
    """The naive UTC instant of an ISO 8601 text of the years 2000 to 2999, in column `field`; NULL if unknown."""
    text = quoted(text_of(field))
    iso, length, local, offset = (f"_{part}_{field}" for part in ("iso", "zone_length", "local", "offset"))
    sign = f"substring({text}, -6, 1)"
    zone_length = f"CASE WHEN ends_with({text}, 'Z') THEN 1 WHEN {sign} IN ('+', '-') THEN 6 ELSE 0 END"
    # 26 characters reach to the microsecond: further digits are cut, not rounded
    cut = f"left({text}, least(26, length({text}) - {quoted(length)}))"
    minutes = f"60 * TRY_CAST(substring({text}, -5, 2) AS INT) + TRY_CAST(right({text}, 2) AS INT)"
    seconds = (
        f"CASE WHEN {quoted(length)} = 1 OR right({text}, 6) = '+00:00' THEN 0"
        f" WHEN {quoted(length)} = 6 AND {quoted(iso)} THEN (CASE WHEN {sign} = '-' THEN -60 ELSE 60 END) * ({minutes})"
        f" WHEN {quoted(length)} = 0 THEN {offset_of(quoted(local))} END"
    )
    there = quoted(local)
    instant = f"CASE WHEN {quoted(offset)} = 0 THEN {there} ELSE {there} + INTERVAL (-{quoted(offset)}) SECOND END"
    return (
        ((iso, f"regexp_matches({text}, {literal(_ISO)})"), (length, zone_length)),
        ((local, f"CASE WHEN {quoted(iso)} THEN TRY_CAST({cut} AS TIMESTAMP) END"),),
        ((offset, seconds),),
        ((field, instant),),
    )


EPOCH_END = 32_503_680_000
"""Seconds from 1970 to the year 3000: later, and earlier than 1970, is left to the reader."""


def epoch_steps(field: str, microseconds: str) -> tuple[tuple[tuple[str, str], ...], ...]:
    """The naive UTC instant of a whole number of units since 1970; `microseconds`: an expression of `{}` units."""
    units = f"_units_{field}"
    instant = f"TRY(make_timestamp({microseconds.format(quoted(units))}))"
    return (((units, f"TRY_CAST({quoted(text_of(field))} AS BIGINT)"),), ((field, instant),))


def epoch_proof(field: str, units_per_second: int) -> str:
    units, text = quoted(f"_units_{field}"), quoted(text_of(field))
    return f"{units} BETWEEN 0 AND {EPOCH_END * units_per_second - 1} AND CAST({units} AS TEXT) = {text}"
