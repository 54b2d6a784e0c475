"""How the fast path types a field, in DuckDB's SQL: what the kinds share. Pure text.

A fast form may leave any value undecided, but must never take one that the kind's reader judges differently. No cast is
trusted: its result is converted back to text and must equal the original text. So blanks, signs, exponents, `1_000` and
other forms that a cast accepts never match.

Values that are not valid are told apart by outcomes. They run only for messages with something odd, so they may cost
more than the proof.

Names that begin with `_` are ours: no field has such a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from ventes.stream.sql_text import literal, quoted

OffsetOf = Callable[[str], str]
"""A column with a wall-clock time → SQL for its offset in seconds east of UTC in the source's zone, NULL = unknown."""


@dataclass(frozen=True)
class Member:
    """Expressions for a member of the message: its `value` as the form asks for it, and the type of the JSON value as
    json_type calls it (`kind`; NULL if it cannot be asked for), which costs a pass over the message."""

    value: str
    kind: str


@dataclass(frozen=True)
class Outcome:
    """What the reader makes of the values for which `when` is true, of those that no outcome before it takes.

    `reasons`: kinds of reasons, each with the condition under which it applies. `shown`: the value for Bronze.
    """

    when: str
    reasons: tuple[tuple[str, str], ...]
    shown: str = "NULL"


@dataclass(frozen=True)
class FastForm:
    """`steps`: levels of computed columns (name, expression); a level may use the columns of the levels before it.

    One of the columns is the field's, by its name. `proof`: a condition that is true only if the reader finds the value
    valid, and equal to that column. `absent`: a condition that is true only if the member is absent or null, in a
    message whose keys are all different. `asked`: the type that DuckDB's from_json is asked for, VARCHAR or JSON.
    `further`: columns for the outcomes, where the value is not proved.
    `blank`: a condition that is true only if the value is a text of nothing but white space; `blank_shown`: what Bronze
    shows of it if the field is required. `outcomes`: values that are present, not blank, and not proved.
    """

    asked: str
    steps: tuple[tuple[tuple[str, str], ...], ...]
    proof: str
    absent: str
    blank: str = "false"
    blank_shown: str = "NULL"
    outcomes: tuple[Outcome, ...] = ()
    further: tuple[tuple[str, str], ...] = ()


def of_text(
    field: str,
    member: str,
    steps: tuple[tuple[tuple[str, str], ...], ...],
    proof: str,
    outcomes: tuple[Outcome, ...] = (),
    further: tuple[tuple[str, str], ...] = (),
) -> FastForm:
    """A form that works on the text of the JSON value, column `text_of(field)`."""
    first = ((text_of(field), member),)
    text = quoted(text_of(field))
    return FastForm(
        "VARCHAR",
        (first, *steps),
        proof,
        f"{text} IS NULL",
        blank(text),
        outcomes=outcomes,
        further=further,
    )


def always(*kinds: str) -> tuple[tuple[str, str], ...]:
    """Reasons without a further condition."""
    return tuple((kind, "true") for kind in kinds)


def text_of(field: str) -> str:
    """The column with the text of a field's JSON value: a string without its quotes, a number as DuckDB writes it."""
    return f"_t_{field}"


# -- all values ---------------------------------------------------------------------------------

WHITE_SPACE = r"[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
"""The characters that `str.strip` removes, for RE2; a test compares them with Python's."""


def blank(text: str) -> str:
    """The condition that `text` is nothing but white space."""
    return f"regexp_full_match({text}, '{WHITE_SPACE}*')"


_NO_SCALAR = "[{\\[].*|-?(?i:nan|inf|infinity)"


def scalar_but(text: str, *forms: str) -> str:
    """The condition that `text` is that of a string, a JSON number, true or false, and has none of these forms; nor is
    it one of the constants that DuckDB takes for numbers (NaN, Infinity)."""
    return f"NOT regexp_full_match({text}, '(?s){'|'.join((_NO_SCALAR, *forms))}')"


# -- strings ------------------------------------------------------------------------------------

_SPACE_FREE = "({0} >= '!' AND {0} < chr(133)) OR ({0} >= '¡' AND {0} < 'ᙿ') OR {0} >= '、'"
"""The first character is certainly no white space of Unicode's. The bounds leave out some that are none, too."""


_SURE = (("A", "I"), ("J", "N"), ("O", "["), ("a", "f"), ("g", "i"), ("j", "n"), ("o", "t"), ("u", "{"))
"""From a first character up to another one: with none of these begins the text of a JSON number, true, false, a list or
an object, nor of a constant that DuckDB takes for a number (NaN, inf, Infinity)."""
_NO_STRING = r"^(?:[{\[]|(?:true|false|-?(?i:nan|inf|infinity)|[-+.]?[0-9][-+.0-9eE]*)\z)"
"""Texts that may be a JSON value other than a string. Of a string they are few."""


def of_string(field: str, member: Member, most: int, allowed: str | None, pattern: Matching | None) -> FastForm:
    """A JSON string of at most `most` characters, asked for as its text: what looks like another JSON value is asked
    for its type, which costs a pass over the message.

    Where it cannot be asked for its type, it is asked for as JSON, whose quote proves that it was a string. That takes
    0.07 µs more, as each string is read twice.

    The column is NULL unless it has a character that is no white space. `allowed`: a condition on the column.
    """
    as_text = member.kind != "NULL"
    asked = f"_t_{field}" if as_text else f"_j_{field}"
    found, unquoted, value = quoted(asked), quoted(f"_n_{field}"), quoted(field)
    if as_text:
        ranges = [f"({found} >= '{low}' AND {found} < '{above}')" for low, above in _SURE]
        sure = " OR ".join([*ranges, f"{found} >= '~'"])
        string = (
            f"CASE WHEN {sure} THEN {found} WHEN NOT regexp_matches({found}, '{_NO_STRING}') THEN {found}"
            f" WHEN {member.kind} = 'VARCHAR' THEN {found} END"
        )
    else:
        string = f"""CASE WHEN starts_with({found}, '"') THEN TRY(from_json({found}, '"VARCHAR"')) END"""
    not_blank = (
        f"CASE WHEN {_SPACE_FREE.format(unquoted)} THEN {unquoted} WHEN NOT ({blank(unquoted)}) THEN {unquoted} END"
    )
    # so many bytes are at most so many characters
    fits = f"CASE WHEN bit_length({value}) <= {8 * most} THEN true ELSE length({value}) <= {most} END"
    proofs = [fits]
    outcomes = [
        Outcome(
            f"{unquoted} IS NULL AND ({found} IN ('true', 'false') OR regexp_full_match({found}, '-?[1-9][0-9]*'))",
            always("type"),
            f"CAST({found} AS TEXT)",
        ),
        Outcome(f"length({value}) > {most}", always("too_long"), value),
    ]
    if allowed is not None:
        proofs.append(allowed)
        outcomes.append(Outcome(f"NOT ({allowed})", always("not_allowed"), value))
    if pattern is not None:
        proofs.append(pattern.matches)
        known = allowed or "true"
        outcomes.append(Outcome(f"{known} AND {pattern.never}", always("pattern"), value))
    return FastForm(
        "VARCHAR" if as_text else "JSON",
        (
            ((asked, member.value),),
            ((f"_n_{field}", string),),
            ((field, not_blank),),
        ),
        " AND ".join(proofs),
        f"{found} IS NULL",
        blank(unquoted),
        unquoted,
        tuple(outcomes),
    )


_LITERAL = r"[A-Za-z0-9_ @:/,;#%=~-]|\\[.+*?()\[\]{}|^$/\\-]"
_SAFE_PATTERN = re.compile(
    rf"(?:{_LITERAL}|\\[dws]|\.|\[(?:[A-Za-z0-9]-[A-Za-z0-9]|[A-Za-z0-9_ @:/,;#%=.+]|\\[dws.+*?\\-])+-?\]"
    r"|\((?:\?:)?|\)(?!\{)|\||[*+?](?![*+?])|\{[0-9]{1,2}(?:,(?:[0-9]{1,2})?)?\}(?![*+?]))*"
)
"""Patterns that RE2 takes for the same texts as Python's `re`, or for fewer: \\d, \\w and \\s are ASCII in RE2. Without
counts that multiply: RE2 refuses what becomes too large."""
_MOST_PATTERN = 200


@dataclass(frozen=True)
class Matching:
    """Conditions on a text: `matches` is true only if the whole text matches a pattern, `never` only if it does not."""

    matches: str
    never: str


def matching(text: str, pattern: str) -> Matching | None:
    """None for a pattern that DuckDB may understand differently."""
    if len(pattern) > _MOST_PATTERN or not _SAFE_PATTERN.fullmatch(pattern):
        return None
    matches = f"regexp_full_match({text}, {literal(pattern)})"
    # of printable ASCII characters both have the same classes
    return Matching(matches, f"NOT {matches} AND regexp_full_match({text}, '[ -~]*')")


# -- numbers ------------------------------------------------------------------------------------

_EXACT = Context(prec=60)
_INTEGER = "-?(?:0|[1-9][0-9]*)"
_NUMBER = "-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?(?:[eE][+-]?[0-9]+)?"
"""The forms of the readers. A whole number keeps its digits in DuckDB, however many; another one is written as a double
is, with a point or an exponent. So the text of a JSON number has the first form only if it was sent so."""


def beyond_64_bits(value: str, text: str) -> str:
    """The condition that `text`, whose cast to BIGINT is `value`, is a whole number that does not fit it."""
    return f"{value} IS NULL AND regexp_full_match({text}, '-?[1-9][0-9]{{18,}}')"


def integer_outcomes(field: str, least: int, most: int) -> tuple[Outcome, ...]:
    value, text = quoted(field), quoted(text_of(field))
    same = f"CAST({value} AS TEXT) = {text}"
    return (
        Outcome(f"{same} AND NOT {value} BETWEEN {least} AND {most}", always("range"), value),
        Outcome(beyond_64_bits(value, text), always("range")),
        Outcome(scalar_but(text, _INTEGER), always("type")),
    )


def decimal_steps(field: str, digits: int, scale: int) -> tuple[tuple[tuple[str, str], ...], ...]:
    return (((field, f"TRY_CAST({quoted(text_of(field))} AS DECIMAL({digits}, {scale}))"),),)


def decimal_proof(field: str, scale: int, least: Decimal, most: Decimal) -> str:
    """That the text is the number in column `field`, or differs from it by float error only; and its limits.

    DuckDB reads a JSON number with a fraction as a double and writes the shortest text of that double. So the number
    must be small enough that the distance of two neighbouring doubles, by which that text can be off, stays within the
    difference that the reader takes as float error, 10^-(scale + 4).
    """
    exact = Decimal(_exact_in_double(scale))
    unit = Decimal(1).scaleb(-scale)
    low = max(least, -exact).quantize(unit, ROUND_CEILING, _EXACT)
    high = min(most, exact).quantize(unit, ROUND_FLOOR, _EXACT)
    sign = "-?" if least < 0 else ""
    return f"{quoted(field)} BETWEEN {low:f} AND {high:f} AND {_same_number(field, scale, sign, least <= 0)}"


def _same_number(field: str, scale: int, sign: str, with_zero: bool) -> str:
    value, text = quoted(field), quoted(text_of(field))
    forms = [text, *(f"{text} || '{'0' * zeros}'" for zeros in range(1, scale)), f"{text} || '.{'0' * scale}'"]
    written = f"CAST({value} AS TEXT)"
    same = f"{written} IN ({', '.join(forms)})" if scale else f"{text} IN ({written}, {written} || '.0')"
    # Float error: at most a tenth of what the reader takes as such away from the number, so that it still holds where
    # the parser has been through a double; the digits before the point keep that double's own error below it.
    whole = f"(0|[1-9][0-9]{{0,{10 - scale}}})"
    error = f"regexp_matches({text}, '^{sign}{whole}[.][0-9]{{{scale}}}(00000|99999)[0-9]{{0,12}}\\z')"
    # A number too small for a double is zero in DuckDB; with an exponent beyond a decimal's it is none for the reader.
    zero = f"WHEN {text} = '0.0' THEN NOT regexp_matches(_message, '[0-9][eE]-[0-9]') " if with_zero else ""
    return f"CASE {zero}WHEN {same} THEN true ELSE {error} END"


def _long(field: str) -> str:
    return f"_long_{field}"


def long_decimal(field: str, scale: int) -> tuple[tuple[str, str], ...]:
    """A number with more decimals than `scale`, as a double; casts to wide decimals take microseconds."""
    text = quoted(text_of(field))
    has_more = f"regexp_full_match({text}, '-?(?:0|[1-9][0-9]{{0,9}})[.][0-9]{{{scale + 1},17}}')"
    return ((_long(field), f"CASE WHEN {has_more} THEN TRY_CAST({text} AS DOUBLE) END"),)


Problems = Callable[[str, bool], tuple[tuple[str, str], ...]]
"""A number's expression, and whether it has no more decimals than allowed → a kind's reasons, with their conditions."""


def decimal_outcomes(field: str, scale: int, limits: tuple[Decimal, ...], problems: Problems) -> tuple[Outcome, ...]:
    """`limits`: the numbers that `problems` compares with, by `exactly`."""
    if any(limit != limit.quantize(_LAST_DIGIT, context=_EXACT) for limit in limits):
        return ()
    value, text = quoted(field), quoted(text_of(field))
    exact = _exact_in_double(scale)
    long = quoted(_long(field))
    # Ten times what the reader takes as float error away from each number that decides. Two doubles below `exact`, and
    # their difference, are off by less than half of that.
    away = f"{10 ** -(scale + 3):.{scale + 3}f}"
    far = [f"abs({long} - {number}) > {away}" for number in (value, *map(exactly, limits))]
    in_double = f"abs({value}) <= {exact}"
    beyond = f"CASE WHEN starts_with({text}, '-') THEN {-_BEYOND_COLUMN:f} ELSE {_BEYOND_COLUMN:f} END"
    return (
        Outcome(f"{in_double} AND {_same_number(field, scale, '-?', True)}", problems(value, True), value),
        Outcome(f"regexp_full_match({text}, '-?(?:0|[1-9][0-9]{{0,15}})')", problems(value, True), value),
        Outcome(f"regexp_full_match({text}, '-?[1-9][0-9]{{16,}}')", problems(beyond, True)),
        Outcome(f"{in_double} AND {' AND '.join(far)}", problems(long, False)),
        Outcome(scalar_but(text, _NUMBER), always("type")),
    )


_BEYOND_COLUMN = Decimal(10) ** 16
"""No column of decimals holds it, and every limit is nearer to zero."""


_LAST_DIGIT = Decimal(1).scaleb(-18)


def exactly(number: Decimal) -> str:
    """A limit as a literal; it has at most 18 decimals."""
    return f"{number:f}"


def _exact_in_double(scale: int) -> int:
    """The largest power of two below which two neighbouring doubles differ by at most 10^-(scale + 4)."""
    power = 53
    while Decimal(2) ** (power - 53) > Decimal(10) ** -(scale + 4):
        power -= 1
    return int(2**power - 1)


# -- times --------------------------------------------------------------------------------------

_ISO = (
    r"^[12][0-9]{3}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?\z"
)


_ANY_ISO = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
    r"(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
"""What event_time.read matches."""


def iso_outcomes(field: str, kind: str) -> tuple[Outcome, ...]:
    """`kind`: an expression for the type of the JSON value, as DuckDB's json_type calls it."""
    text = quoted(text_of(field))
    # a date or an hour that does not exist; the seconds are there if a colon precedes them
    no_date = f"TRY_CAST(left({text}, 10) AS DATE) IS NULL"
    no_time = (
        f"substring({text}, 12, 2) > '23' OR substring({text}, 15, 2) > '59'"
        f" OR (substring({text}, 17, 1) = ':' AND substring({text}, 18, 2) > '59')"
    )
    unreadable = f"CASE WHEN regexp_full_match({text}, '{_ANY_ISO}') THEN {no_date} OR {no_time} ELSE true END"
    either = f"regexp_full_match({text}, 'true|false|{_NUMBER}')"
    no_string = f"CASE WHEN {either} THEN {kind} <> 'VARCHAR' ELSE false END"
    string = f"CASE WHEN {either} THEN {kind} = 'VARCHAR' ELSE {scalar_but(text)} END"  # NULL if the kind is unknown
    return (
        Outcome(no_string, always("type")),
        Outcome(f"{string} AND {unreadable}", always("time_unreadable")),
    )


def iso_steps(field: str, offset_of: OffsetOf) -> tuple[tuple[tuple[str, str], ...], ...]:
    """The naive UTC instant of an ISO 8601 text of the years 1000 to 2999, in column `field`; NULL if unknown."""
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


_YEAR_10000 = 253_402_300_800
"""Seconds from 1970 to the end of what a timestamp of Python can hold."""


def epoch_outcomes(field: str, units_per_second: int) -> tuple[Outcome, ...]:
    text = quoted(text_of(field))
    units = f"TRY_CAST({text} AS BIGINT)"
    beyond = _YEAR_10000 * units_per_second
    late = [f"{units} >= {beyond} AND CAST({units} AS TEXT) = {text}"] if beyond < 2**63 else []
    return (
        *(Outcome(condition, always("time_out_of_range")) for condition in (*late, beyond_64_bits(units, text))),
        Outcome(scalar_but(text, _INTEGER), always("type")),
    )


_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"


def day_outcomes(field: str) -> tuple[Outcome, ...]:
    value, text = quoted(field), quoted(text_of(field))
    return (
        Outcome(f"regexp_full_match({text}, '{_DAY}') AND {value} IS NULL", always("range")),
        Outcome(scalar_but(text, _DAY), always("type")),
    )
