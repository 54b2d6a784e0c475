"""The fast path: a query that gives the verdict on the messages for which it can prove it. Composed from the kinds.

It types all messages and proves the plain ones: valid, with known keys only. Nearly all messages are, so what only the
others need (what is wrong with a message, its unknown members) is computed where `_plain` is not true: it costs a batch
of plain messages nothing but the planning, which is done once (deltalog.database.Prepared).

A message is decided where `_reasons` is not NULL: judging.verdict.judge would give it exactly these values and these
reasons; none (an empty text) is a valid event. All other messages go to `judge`. Run by DuckDB, in both engines. Pure.

How a message is proved to be one strict JSON object: judging/fast_json.py. TRY, because one malformed message would
otherwise fail the query for all. Names that begin with `_` are ours: no field has such a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TypeAlias

from ventes.judging import fast_json
from ventes.judging.fast_extra import Names
from ventes.judging.verdict import Judging, reason_codes
from ventes.stream.event_time import EARLIEST, LATEST_AHEAD
from ventes.stream.fast_form import FastForm
from ventes.stream.kinds import Field
from ventes.stream.sql_text import literal, quoted
from ventes.stream.zones import local_steps, offset_case, utc_steps

YEARS_BACK = 10
"""Events older than this go to `judge` if the zone has daylight saving time."""

_Columns: TypeAlias = "list[tuple[str, str]]"
"""Names and expressions of one step."""


@lru_cache(maxsize=64)
def query(judging: Judging, year: int, unknown: Names = ()) -> str | None:
    """The query in DuckDB, as of the calendar year `year`; None if no message can be decided.

    `unknown`: the members that no field reads which it can write; the others are left open.

    It reads a relation `_messages` with _row, _message (the value as text, without its frame; NULL if it is none) and
    kafka_ts (naive UTC). It gives _row and the fields as Bronze shows them (an Instant as naive UTC), `jour`, and:

    - `_reasons`: the codes, each followed by a comma, in no particular order; NULL if the message is undecided;
    - `_extra`: the unknown members as `judge` writes them, NULL if there are none;
    - `_extra_open`: whether there are some that only Python can write; then the message may also be no strict JSON.
    """
    event = judging.stream.event
    if event.envelope is not None:
        return None  # a key may be repeated anywhere in the rest of the envelope
    first, last = max(2000, year - YEARS_BACK), year + 1

    def offset_of(local: str) -> str:
        if judging.source_zone.key == "UTC":
            return "0"
        return offset_case(local, local_steps(judging.source_zone, first, last), last)

    forms = {field: field.fast(fast_json.member(field), offset_of) for field in event.read}
    known = {field: form for field, form in forms.items() if form is not None}
    root = fast_json.Node.of(known, unknown)
    if len(known) < len(forms) or root is None:
        return None
    names = event.names
    steps = [
        *_typing(known),
        [*((f"_p_{field.name}", _proof(field, form)) for field, form in known.items()), *_day(judging, first, last)],
        *root.unknown_steps(),
        [("_plain", _plain(judging, tuple(known), root))],
        *(_where_odd(step) for step in _odd(judging, known, root, first, last)),
    ]
    fields = ", ".join(
        f"CASE WHEN _plain THEN {quoted(name)} ELSE {quoted(f'_shown_{name}')} END AS {quoted(name)}" for name in names
    )
    return (
        f"WITH {', '.join(fast_json.parsed(root))}, {_chain(steps, '_parsed')} "
        f"SELECT _row, {fields}, CASE WHEN _plain THEN _day ELSE _jour END AS jour, "
        f"CASE WHEN _plain THEN '' ELSE {_reasons(judging, known, root)} END AS _reasons, {root.extra()} "
        f"FROM _step{len(steps) - 1}"
    )


def _chain(steps: list[_Columns], source: str) -> str:
    """One relation for each step, so that an expression is computed once, whoever uses it."""
    relations = []
    for level, columns in enumerate(steps):
        listed = "".join(f", {expression} AS {quoted(column)}" for column, expression in columns)
        relations.append(f"_step{level} AS (SELECT *{listed} FROM {source})")
        source = f"_step{level}"
    return ", ".join(relations)


# -- plain messages -----------------------------------------------------------------------------


def _typing(forms: dict[Field, FastForm]) -> list[_Columns]:
    steps: list[_Columns] = []
    for form in forms.values():
        for level, columns in enumerate(form.steps):
            steps += [[] for _ in range(level + 1 - len(steps))]
            steps[level] += columns
    return steps


def _proof(field: Field, form: FastForm) -> str:
    return f"({form.absent} OR ({form.proof}))" if field.optional else form.proof


def _plain(judging: Judging, fields: tuple[Field, ...], root: fast_json.Node) -> str:
    """That the message is valid, and its unknown members are written. The times are narrower than the rule by what a
    zone can shift, so that the day needs no check of its own."""
    at = quoted(judging.stream.event.at)
    proofs = [quoted(f"_p_{field.name}") for field in fields]
    in_time = f"{at} BETWEEN TIMESTAMP '2000-01-03 00:00:00' AND kafka_ts + INTERVAL '12' HOUR AND _day IS NOT NULL"
    return f"coalesce({root.exact()} AND {' AND '.join(proofs)} AND {in_time}, false)"


def _day(judging: Judging, first: int, last: int) -> _Columns:
    return [("_day", f"CAST({_local(judging, quoted(judging.stream.event.at), first, last)} AS DATE)")]


def _local(judging: Judging, instant: str, first: int, last: int) -> str:
    """The wall-clock time of the instant in the business zone, NULL = unknown."""
    zone = judging.business_zone
    if zone.key == "UTC":
        return instant
    offset = offset_case(instant, utc_steps(zone, first, last), last)
    return f"({instant} + INTERVAL ({offset}) SECOND)"


# -- odd messages -------------------------------------------------------------------------------

_VALID, _ABSENT, _BLANK, _FIRST_OUTCOME = range(4)
"""What a field's value is, column `_case_<field>`: these, and one number for each outcome of its form."""


def _where_odd(step: _Columns) -> _Columns:
    """The step where the message is not plain, NULL elsewhere. DuckDB evaluates a branch of CASE for its rows only."""
    return [(name, f"CASE WHEN NOT _plain THEN {expression} END") for name, expression in step]


def _odd(
    judging: Judging, forms: dict[Field, FastForm], root: fast_json.Node, first: int, last: int
) -> Iterator[_Columns]:
    """The steps from the typed fields to the reasons, and whether all keys are known."""
    yield [
        (name, f"CASE WHEN NOT coalesce({quoted(f'_p_{field.name}')}, false) THEN {expression} END")
        for field, form in forms.items()
        for name, expression in form.further
    ]
    yield [(f"_case_{field.name}", _case(field, form)) for field, form in forms.items()]
    yield [*((f"_shown_{field.name}", _shown(field, form)) for field, form in forms.items()), ("_known", root.known())]
    cases = " + ".join(quoted(f"_case_{field.name}") for field in forms)
    yield [*_time(judging, first, last), ("_cases", cases)]


def _case(field: Field, form: FastForm) -> str:
    """NULL if the value is undecided."""
    cases = [(form.absent, _ABSENT), (quoted(f"_p_{field.name}"), _VALID), (form.blank, _BLANK)]
    cases += [(outcome.when, number) for number, outcome in enumerate(form.outcomes, _FIRST_OUTCOME)]
    return f"CASE {' '.join(f'WHEN {condition} THEN {number}' for condition, number in cases)} END"


def _shown(field: Field, form: FastForm) -> str:
    case = quoted(f"_case_{field.name}")
    cases = [(_VALID, quoted(field.name))] + ([] if field.optional else [(_BLANK, form.blank_shown)])
    cases += [(number, outcome.shown) for number, outcome in enumerate(form.outcomes, _FIRST_OUTCOME)]
    return f"CASE {' '.join(f'WHEN {case} = {number} THEN {shown}' for number, shown in cases if shown != 'NULL')} END"


def _time(judging: Judging, first: int, last: int) -> _Columns:
    """`_late`: whether the event's time is out of range. `_jour`: as event_time.day_of; NULL if it is not known."""
    at = quoted(f"_shown_{judging.stream.event.at}")
    earliest = f"TIMESTAMP '{EARLIEST:%Y-%m-%d %H:%M:%S}'"
    hours = int(LATEST_AHEAD.total_seconds() // 3600)
    late = f"coalesce(NOT {at} BETWEEN {earliest} AND kafka_ts + INTERVAL '{hours}' HOUR, false)"
    arrival = f"CAST({_local(judging, 'kafka_ts', first, last)} AS DATE)"
    # a time so far away is on no usable day, whatever the zones
    far = f"{at} IS NULL OR {at} < {earliest} - INTERVAL '2' DAY OR {at} > kafka_ts + INTERVAL '4' DAY"
    usable = f"_day BETWEEN CAST({earliest} AS DATE) AND {arrival} + 1"
    jour = f"CASE WHEN {far} THEN {arrival} WHEN {usable} THEN _day WHEN NOT ({usable}) THEN {arrival} END"
    return [("_late", late), ("_jour", jour)]


def _reasons(judging: Judging, forms: dict[Field, FastForm], root: fast_json.Node) -> str:
    parts = [f"CASE WHEN _late THEN {literal('time_out_of_range,')} ELSE '' END"]
    parts += [_reasons_of(field, form, field.name == judging.stream.event.at) for field, form in forms.items()]
    # NULL if a case is: then a value is undecided
    some = f"CASE WHEN _cases = {_VALID} AND NOT _late THEN '' WHEN _cases IS NOT NULL THEN {' || '.join(parts)} END"
    return f"CASE WHEN {root.decided()} AND _jour IS NOT NULL THEN {some} END"


def _reasons_of(field: Field, form: FastForm, is_at: bool) -> str:
    codes = reason_codes(field.name, is_at)

    def text(kind: str) -> str:
        return literal(codes[kind] + ",")

    texts = {_VALID: "''", _ABSENT: "''" if field.optional else text("missing")}
    texts[_BLANK] = texts[_ABSENT]
    for number, outcome in enumerate(form.outcomes, _FIRST_OUTCOME):
        some = (
            text(kind) if when == "true" else f"CASE WHEN {when} THEN {text(kind)} ELSE '' END"
            for kind, when in outcome.reasons
        )
        texts[number] = " || ".join(some)
    return f"CASE {quoted(f'_case_{field.name}')} {' '.join(f'WHEN {n} THEN {t}' for n, t in texts.items())} END"
