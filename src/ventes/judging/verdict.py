"""The verdict on a message: bytes → the event's fields, and every reason why it is not a valid event. Pure.

This is the definition, composed from the declared kinds. The SQL of `fast_path` handles only messages of which it can
prove the verdict that they would get here; all others come here. The rules, each with its reason, are in
docs/data-contract.md. A stream's own rules (`Stream.rules`) are applied afterwards, to whole batches: judging/rules.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from ventes.config import Settings
from ventes.stream import event_time
from ventes.stream.declaration import Stream
from ventes.stream.kinds import Field
from ventes.stream.strict_json import (
    Refused,
    Repeated,
    has_repeated_key,
    parse_object,
    plain_object,
    sorted_text,
    to_text,
)

FRAME_BYTES = 5
"""A schema registry's frame: a zero byte, then the number of the schema in four bytes."""


@dataclass(frozen=True)
class Judging:
    """All that a verdict depends on, beside the message and its arrival.

    `source_zone` applies to times without an offset; `business_zone` is the zone whose midnight begins a `jour`.
    """

    stream: Stream
    source_zone: ZoneInfo
    business_zone: ZoneInfo

    @classmethod
    def of(cls, settings: Settings) -> Judging:
        return cls(settings.stream, settings.source_zone, settings.business_zone)


@dataclass(frozen=True)
class Verdict:
    """A message as Bronze shows it. `motifs` is sorted, each code once; () means a valid event.

    `values` are the fields in the order of `event.names`, shown as far as they fit the column, valid or not. `extra` is
    a JSON object of the members that no field reads, None if there are none. `jour` is the Bronze partition.
    """

    values: tuple[Any, ...]
    motifs: tuple[str, ...]
    extra: str | None
    jour: date


@lru_cache(maxsize=8)
def judge_of(judging: Judging) -> Judge:
    """The judge of a stream in its zones; made once per process."""
    return Judge(judging)


class Judge:
    """Judges the messages of one stream. Any bytes give a verdict, never an exception."""

    def __init__(self, judging: Judging) -> None:
        event = judging.stream.event
        self._zone = judging.business_zone
        self._framed = event.frame is not None
        self._enveloped = event.envelope is not None
        self._fields = tuple(_Prepared(field, judging.source_zone, field.name == event.at) for field in event.read)
        self._at = event.names.index(event.at)
        self._tree = _tree(field.keys for field in event.read)
        self._nested = any(len(field.keys) > 1 for field in event.read)
        self._nothing = (None,) * len(self._fields)

    def __call__(self, value: bytes | None, kafka_ts: datetime) -> Verdict:
        """Judge one message that arrived at `kafka_ts` (aware)."""
        try:
            members = parse_object(unframed(value) if self._framed else value)
        except Refused as refusal:
            return self._without_event((refusal.reason,), kafka_ts)
        repeated = ["duplicate_key"] if has_repeated_key(members) else []
        if not self._enveloped:
            return self._event(members, repeated, kafka_ts)
        found, ambiguous = state_after(members)
        if found is None:
            return self._without_event(tuple(repeated if ambiguous else [*repeated, "no_event"]), kafka_ts)
        return self._event(found, repeated, kafka_ts)

    def extra(self, value: bytes | None) -> str | None:
        """`Verdict.extra` alone, of a stream without an envelope. Raises Refused where it is no strict JSON object."""
        value = unframed(value) if self._framed else value
        try:
            return sorted_text(self.unread(plain_object(value))) or None
        except ValueError:
            members = parse_object(value)
        if has_repeated_key(members):
            raise Refused("duplicate_key")
        return self._extra(members)

    def _event(self, members: dict[str, Any], reasons: list[str], kafka_ts: datetime) -> Verdict:
        keys_repeated = members.keys_repeated if isinstance(members, Repeated) else ()
        shown: list[Any] = []
        for field in self._fields:
            if field.first in keys_repeated:
                shown.append(None)  # the value is ambiguous; duplicate_key reports it
                continue
            item = members.get(field.first)
            if field.further:
                item, problem = _below(item, field.further)
                if problem is not None:
                    reasons += [field.codes[problem]] if problem else []
                    shown.append(None)
                    continue
            if item is None or (isinstance(item, str) and not item.strip()):
                if field.optional:
                    shown.append(None)
                else:
                    reasons.append(field.codes["missing"])
                    shown.append(field.shown_blank(item))
                continue
            value, problems = field.read(item)
            shown.append(value)
            if problems:
                reasons += [field.codes[problem] for problem in problems]
        when = shown[self._at]
        if when is not None and not event_time.in_range(when, kafka_ts):
            reasons.append("time_out_of_range")
        return Verdict(
            values=tuple(shown),
            motifs=tuple(sorted(reasons)),
            extra=self._extra(members),
            jour=event_time.day_of(when, kafka_ts, self._zone),
        )

    def unread(self, members: dict[str, Any]) -> dict[str, Any]:
        """The members that no field reads, those of a nested object inside their object."""
        if self._nested:
            return _unread(members, self._tree)
        return {key: item for key, item in members.items() if key not in self._tree}

    def _extra(self, members: dict[str, Any]) -> str | None:
        extra = self.unread(members)
        return to_text(extra) if extra else None

    def _without_event(self, reasons: tuple[str, ...], kafka_ts: datetime) -> Verdict:
        return Verdict(self._nothing, reasons, None, event_time.day_of(None, kafka_ts, self._zone))


class _Codes(dict[str, str]):
    """A kind of reason → its code for one field."""

    def __init__(self, field: str, bare: Iterable[str]) -> None:
        super().__init__((kind, kind) for kind in bare)
        self._field = field

    def __missing__(self, kind: str) -> str:
        self[kind] = f"{kind}:{self._field}"
        return self[kind]


def reason_codes(field: str, is_at: bool) -> dict[str, str]:
    """A kind of reason → its code for a field; `is_at`: for the time of the event, which has two to itself."""
    return _Codes(field, ("time_unreadable", "time_out_of_range") if is_at else ())


class _Prepared:
    """A field and what the judge needs of it for each message."""

    __slots__ = ("codes", "first", "further", "optional", "read", "shown_blank")

    def __init__(self, field: Field, source_zone: ZoneInfo, is_at: bool) -> None:
        self.first, *further = field.keys
        self.further = tuple(further)
        self.optional = field.optional
        self.read = field.reader(source_zone)
        self.shown_blank = field.shown_blank
        self.codes = reason_codes(field.name, is_at)


def _below(item: Any, keys: tuple[str, ...]) -> tuple[Any, str | None]:
    """The value at the end of a path that goes on in `item`, and what is wrong on the way.

    None: nothing. "": a key on the way occurs twice, which duplicate_key reports. "type": no object where one must be.
    """
    for key in keys:
        if item is None:
            return None, None
        if not isinstance(item, dict):
            return None, "type"
        if isinstance(item, Repeated) and key in item.keys_repeated:
            return None, ""
        item = item.get(key)
    return item, None


def unframed(value: bytes | None) -> bytes | None:
    """A message without the frame of a schema registry; an empty one as it is. Raises Refused."""
    if not value:
        return value
    if len(value) < FRAME_BYTES or value[0] != 0:
        raise Refused("bad_frame")
    return value[FRAME_BYTES:]


def state_after(members: dict[str, Any]) -> tuple[dict[str, Any] | None, bool]:
    """The event in Debezium's envelope, with or without a schema beside it; and whether a repeated key hides it."""
    if "payload" in members and "after" not in members:
        way: tuple[str, ...] = ("payload", "after")
    else:
        way = ("after",)
    here: Any = members
    for key in way:
        if not isinstance(here, dict) or here.get("op") == "d":
            return None, False
        if isinstance(here, Repeated) and key in here.keys_repeated:
            return None, True
        here = here.get(key)
    return (here, False) if isinstance(here, dict) else (None, False)


_Tree: TypeAlias = "dict[str, _Tree | None]"
"""The keys that the fields read; None where a value is read, a tree where the path goes on."""


def _tree(paths: Iterable[tuple[str, ...]]) -> _Tree:
    tree: _Tree = {}
    for *way, last in paths:
        here = tree
        for key in way:
            here = here.setdefault(key, {})  # type: ignore[assignment]  # no path ends where another goes on
        here[last] = None
    return tree


def _unread(members: dict[str, Any], tree: _Tree) -> dict[str, Any]:
    """The members that no field reads, those of a nested object inside their object."""
    unread = {}
    for key, item in members.items():
        if key not in tree:
            unread[key] = item
            continue
        below = tree[key]
        if below is None or item is None:
            continue
        left = _unread(item, below) if isinstance(item, dict) else item
        if left or not isinstance(item, dict):
            unread[key] = left
    return unread
