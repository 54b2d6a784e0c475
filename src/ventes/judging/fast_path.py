"""The fast path: the query that types the messages which it can prove to be valid. Composed from the kinds. Pure.

`_proven` = judging.verdict.judge would find the message valid, with exactly these values. Never NULL; false means
undecided: the message then goes to `judge`. Run by DuckDB, in both engines.

DuckDB's parser (yyjson) refuses trailing data, raw control characters and half surrogate pairs, as `judge` does, but
takes a comma before a closing brace, NaN, and keys more than once. So the query proves that the message is one object
with known keys, each once, and nothing else:

- it ends in `}` after a value, and nowhere else is a comma before a brace (such a text in a string is undecided);
- it has as many keys as fields that are not NULL; or its keys are different, and all declared. A field that is not
  optional is proved by its value, which is not NULL.

TRY, because one malformed message would otherwise fail the query for all.

Names that begin with `_` are ours: no field has such a name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from ventes.judging.verdict import Judging
from ventes.stream.fast_form import FastForm
from ventes.stream.kinds import Field
from ventes.stream.sql_text import literal, quoted
from ventes.stream.zones import local_steps, offset_case, utc_steps

YEARS_BACK = 10
"""Events older than this go to `judge` if the zone has daylight saving time."""
MOST_BYTES = 16_384
"""Larger messages go to `judge`."""

_Step: TypeAlias = tuple[tuple[str, str], ...]
_KEY = re.compile(r"[A-Za-z0-9_ -]+")
"""Keys on the way to a nested value that need no escape in a JSON path."""


@lru_cache(maxsize=16)
def query(judging: Judging, year: int) -> str | None:
    """A query in DuckDB over a relation `_messages` as of the calendar year `year`; None if no message can be proved.

    `_messages` has _row, _message (the value as text, without its frame; NULL if it is none) and kafka_ts (naive UTC).
    The result has _row, the typed fields (an Instant as naive UTC), `jour` and `_proven`.
    """
    event = judging.stream.event
    if event.envelope is not None:
        return None  # a key may be repeated anywhere in the rest of the envelope
    first, last = max(2000, year - YEARS_BACK), year + 1

    def offset_of(local: str) -> str:
        if judging.source_zone.key == "UTC":
            return "0"
        return offset_case(local, local_steps(judging.source_zone, first, last), last)

    forms = {field: field.fast(_member(field), offset_of) for field in event.read}
    known = {field: form for field, form in forms.items() if form is not None}
    root = _Node.of(known)
    if len(known) < len(forms) or root is None:
        return None
    at = quoted(event.at)
    steps: list[list[tuple[str, str]]] = []
    for form in known.values():
        for level, columns in enumerate(form.steps):
            steps += [[] for _ in range(level + 1 - len(steps))]
            steps[level] += columns
    steps[0].append(("_exact", "_exact"))
    steps.append([("jour", f"CAST({_local(judging, at, first, last)} AS DATE)")])
    proofs = [_proof(field, form) for field, form in known.items()]
    # Narrower than the rule by what a zone can shift, so that the day needs no check of its own.
    proofs.append(
        f"{at} BETWEEN TIMESTAMP '2000-01-03 00:00:00' AND kafka_ts + INTERVAL '12' HOUR AND jour IS NOT NULL"
    )
    fields = ", ".join(map(quoted, event.names))
    return (
        f"WITH {', '.join(_parsed(root))}, {_chain(steps)} "
        f"SELECT _row, {fields}, jour, coalesce(_exact AND {' AND '.join(proofs)}, false) AS _proven "
        f"FROM _step{len(steps) - 1}"
    )


def _proof(field: Field, form: FastForm) -> str:
    return f"({form.absent} OR ({form.proof}))" if field.optional else form.proof


def _local(judging: Judging, instant: str, first: int, last: int) -> str:
    """The wall-clock time of the instant in the business zone, NULL = unknown."""
    zone = judging.business_zone
    if zone.key == "UTC":
        return instant
    offset = offset_case(instant, utc_steps(zone, first, last), last)
    return f"({instant} + INTERVAL ({offset}) SECOND)"


def _chain(steps: list[list[tuple[str, str]]]) -> str:
    """One relation for each level, so that an expression is computed once, whoever uses it."""
    relations = []
    for level, columns in enumerate(steps):
        listed = ", ".join(f"{expression} AS {quoted(column)}" for column, expression in columns)
        source, kept = ("_parsed", "_row, kafka_ts") if level == 0 else (f"_step{level - 1}", "*")
        relations.append(f"_step{level} AS (SELECT {kept}, {listed} FROM {source})")
    return ", ".join(relations)


# -- the JSON text ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Node:
    """An object of the message: the types asked of its members, an object's for one on the way to nested values."""

    members: dict[str, str | _Node]
    optional: frozenset[str]

    @classmethod
    def of(cls, forms: dict[Field, FastForm], depth: int = 0) -> _Node | None:
        """The object that holds these fields; None if DuckDB could not tell its keys apart."""
        members: dict[str, str | _Node] = {}
        optional = set()
        for field, form in forms.items():
            key = field.keys[depth]
            if len(field.keys) == depth + 1:
                members[key] = form.asked
                optional |= {key} if field.optional else set()
            elif key not in members:
                inside = {other: forms[other] for other in forms if other.keys[: depth + 1] == field.keys[: depth + 1]}
                node = cls.of(inside, depth + 1)
                if node is None or not _KEY.fullmatch(key):
                    return None
                members[key] = node
                optional |= {key} if all(other.optional for other in inside) else set()
        if len({key.lower() for key in members}) < len(members):
            return None  # DuckDB's structures do not distinguish upper and lower case
        return cls(members, frozenset(optional))

    def structure(self) -> dict[str, object]:
        """For from_json."""
        return {key: asked if isinstance(asked, str) else asked.structure() for key, asked in self.members.items()}

    def inner(self) -> Iterator[tuple[tuple[str, ...], _Node]]:
        """The nested objects, each with its path."""
        for key, node in self.members.items():
            if isinstance(node, _Node):
                yield (key,), node
                yield from (((key, *path), below) for path, below in node.inner())


def _member(field: Field) -> str:
    """The value of a field in the parsed structure `_f`."""
    return ".".join(["_f", *map(quoted, field.keys)])


def _parsed(root: _Node) -> list[str]:
    """The relations up to `_parsed`: the structure `_f` with the asked members, and `_exact`."""
    inner = list(root.inner())
    proofs = [_exact_keys("_keys", root, "_f")]
    keys = ["TRY(json_keys(_message)) AS _keys"]
    for number, (path, node) in enumerate(inner):
        place = literal("$." + ".".join(quoted(key) for key in path))
        member = ".".join(["_f", *map(quoted, path)])
        kind = f"TRY(json_type(_message, {place}))"
        keys.append(f"CASE WHEN {kind} = 'OBJECT' THEN TRY(json_keys(_message, {place})) END AS _keys{number}")
        keys.append(f"coalesce({kind}, 'NULL') AS _kind{number}")
        proofs.append(
            f"(_kind{number} = 'NULL' OR _kind{number} = 'OBJECT' AND {_exact_keys(f'_keys{number}', node, member)})"
        )
    no_comma = " AND NOT regexp_matches(_message, ',[ \\t\\n\\r]*[}]')" if inner else ""
    return [
        f"""_objects AS (
  SELECT _row, kafka_ts,
    CASE WHEN strlen(_message) <= {MOST_BYTES} AND starts_with(_message, '{{')
          AND suffix(_message, '}}')
          AND NOT (suffix(_message, ',}}') OR suffix(_message, ' }}') OR suffix(_message, chr(9) || '}}')
                   OR suffix(_message, chr(10) || '}}') OR suffix(_message, chr(13) || '}}'))
          AND NOT contains(_message, '\\u0000'){no_comma}
         THEN _message END AS _message
  FROM _messages
)""",
        f"""_read AS (
  SELECT _row, kafka_ts, TRY(from_json(_message, {literal(json.dumps(root.structure(), ensure_ascii=False))})) AS _f,
    {", ".join(keys)}
  FROM _objects
)""",
        f"_parsed AS (SELECT _row, kafka_ts, _f, {' AND '.join(proofs)} AS _exact FROM _read)",
    ]


def _exact_keys(keys: str, node: _Node, structure: str) -> str:
    """That the object has known keys only, each at most once."""
    count = len(node.members)
    if not node.optional:
        return f"len({keys}) = {count}"
    present = " + ".join(f"({structure}.{quoted(key)} IS NOT NULL)::INT" for key in sorted(node.optional))
    known = ", ".join(map(literal, node.members))
    return (
        f"CASE WHEN len({keys}) = {count - len(node.optional)} + {present} THEN true"
        f" ELSE len(list_distinct({keys})) = len({keys}) AND list_has_all([{known}], {keys}) END"
    )
