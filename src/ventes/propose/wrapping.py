"""What is around the event in a message: the frame of a schema registry, the envelope of Debezium. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ventes.judging.verdict import FRAME_BYTES, state_after, unframed
from ventes.stream.strict_json import Refused, parse_object


@dataclass(frozen=True)
class Wrapping:
    """`frame`: None or "registry". `envelope`: None or "debezium". The arguments of Event with these names."""

    frame: str | None = None
    envelope: str | None = None

    def open(self, value: bytes | None) -> dict[str, Any]:
        """The event in a message, as strict_json gives an object. Raises Refused with the reason."""
        members = parse_object(unframed(value) if self.frame is not None else value)
        if self.envelope is None:
            return members
        event, _ = state_after(members)
        if event is None:
            raise Refused("no_event")
        return event


def wrapping_of(values: Iterable[bytes | None]) -> Wrapping:
    """The wrapping that most of the messages have."""
    filled = [value for value in values if value]
    frame = "registry" if sum(map(_framed, filled)) * 2 > len(filled) else None
    objects = []
    for value in filled:
        try:
            objects.append(Wrapping(frame).open(value))
        except Refused:
            continue
    enveloped = sum(map(_is_envelope, objects))
    return Wrapping(frame, "debezium" if enveloped * 2 > len(objects) else None)


def _framed(value: bytes) -> bool:
    return len(value) > FRAME_BYTES and value[0] == 0


def _is_envelope(members: dict[str, Any]) -> bool:
    """Whether it is a change event of Debezium: its payload has `op`, and the row before or after the change."""
    payload = _payload(members)
    return isinstance(payload.get("op"), str) and ("after" in payload or "before" in payload)


def _payload(members: dict[str, Any]) -> dict[str, Any]:
    """The change itself: with schemas in the messages it is the member `payload`."""
    payload = members.get("payload")
    return payload if "after" not in members and isinstance(payload, dict) else members
