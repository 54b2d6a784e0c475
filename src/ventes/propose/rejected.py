"""The messages that a declaration rejects, and why. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from ventes.propose.sample import Message
from ventes.propose.wrapping import Wrapping
from ventes.stream.declaration import Event
from ventes.stream.event_time import in_range
from ventes.stream.kinds import Reader
from ventes.stream.strict_json import Number, Refused, Repeated, has_repeated_key


@dataclass
class Reason:
    """How many messages have a reason, and where the first of them is."""

    code: str
    messages: int
    first: str


@dataclass(frozen=True)
class Rejected:
    """`messages`: how many have a reason; `reasons`: the most frequent first. A message may have several."""

    messages: int
    reasons: tuple[Reason, ...]


def rejected(event: Event, wrapping: Wrapping, messages: Iterable[Message], source_zone: ZoneInfo) -> Rejected:
    """What the event's kinds reject of these messages. Duplicates are found later, by Silver."""
    readers = {field.name: field.reader(source_zone) for field in event.read}
    found: dict[str, Reason] = {}
    count = 0
    for message in messages:
        codes = _codes(event, readers, wrapping, message)
        count += bool(codes)
        for code in codes:
            reason = found.setdefault(code, Reason(code, 0, message.place))
            reason.messages += 1
    return Rejected(count, tuple(sorted(found.values(), key=lambda reason: (-reason.messages, reason.code))))


def _codes(event: Event, readers: dict[str, Reader], wrapping: Wrapping, message: Message) -> set[str]:
    try:
        members = wrapping.open(message.value)
    except Refused as refusal:
        return {refusal.reason}
    codes = {"duplicate_key"} if has_repeated_key(members) else set()
    for field in event.read:
        try:
            item = _item(members, field.keys)
        except _NoValue as none:
            codes |= {f"{kind}:{field.name}" for kind in none.kinds}
            continue
        if item is None or (isinstance(item, str) and not isinstance(item, Number) and not item.strip()):
            codes |= set() if field.optional else {f"missing:{field.name}"}
            continue
        value, kinds = readers[field.name](item)
        if field.name == event.at and not kinds and not in_range(value, message.arrival):
            kinds = ("time_out_of_range",)
        suffix = f":{field.name}"
        codes |= {kind if field.name == event.at and kind.startswith("time_") else kind + suffix for kind in kinds}
    return codes


class _NoValue(Exception):
    """There is no value at a path. `kinds`: the reasons that the field itself gets."""

    def __init__(self, *kinds: str) -> None:
        super().__init__(*kinds)
        self.kinds = kinds


def _item(members: dict[str, Any], keys: tuple[str, ...]) -> Any:
    """The value at a path, None if it is missing. Raises _NoValue."""
    item: Any = members
    for key in keys:
        if item is None:
            return None
        if not isinstance(item, dict):
            raise _NoValue("type")
        if isinstance(item, Repeated) and key in item.keys_repeated:
            raise _NoValue  # duplicate_key reports it
        item = item.get(key)
    return item
