"""Unusual and invalid events with their expected verdict: tests/corpus/events.jsonl, one per line.

A line has a `name`, what it teaches (`why`), the bytes (`text`, `base64`, or `tombstone`), the expected
`motifs`, and where it matters: `shown` (fields as Bronze shows them; times in UTC, amounts as text),
`extra`, `jour`, `source_zone`, `business_zone`, `kafka_ts`. `expand: [unit, times]` puts unit × times in
place of `@@`, so that a long message fits a readable line.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

from ventes.config import PROJECT

FILE = PROJECT / "tests" / "corpus" / "events.jsonl"
ARRIVAL = datetime(2026, 1, 5, 10, 0, tzinfo=timezone.utc)
"""The arrival of an event, unless its line has another one."""


@dataclass(frozen=True)
class Event:
    name: str
    why: str
    value: bytes | None
    motifs: tuple[str, ...]
    shown: Mapping[str, Any]
    """Expected fields, typed as in Bronze; only those the line names."""
    expects_extra: bool
    extra: str | None
    jour: date | None
    """None if the line has no such key."""
    source_zone: str
    business_zone: str
    kafka_ts: datetime

    @property
    def default_zones(self) -> bool:
        return self.source_zone == self.business_zone == "UTC"


def load() -> list[Event]:
    """Every event of the corpus, in the order of the file."""
    return [_event(json.loads(line)) for line in FILE.read_text(encoding="utf-8").splitlines()]


def _event(line: dict[str, Any]) -> Event:
    return Event(
        name=line["name"],
        why=line["why"],
        value=_bytes(line),
        motifs=tuple(line["motifs"]),
        shown={field: _typed(field, item) for field, item in line.get("shown", {}).items()},
        expects_extra="extra" in line,
        extra=line.get("extra"),
        jour=date.fromisoformat(line["jour"]) if "jour" in line else None,
        source_zone=line.get("source_zone", "UTC"),
        business_zone=line.get("business_zone", "UTC"),
        kafka_ts=_moment(line["kafka_ts"]) if "kafka_ts" in line else ARRIVAL,
    )


def _bytes(line: dict[str, Any]) -> bytes | None:
    if line.get("tombstone"):
        return None
    if "base64" in line:
        return base64.b64decode(line["base64"])
    unit, times = line.get("expand", ("", 0))
    return str(line["text"]).replace("@@", unit * times).encode()


def _typed(field: str, item: Any) -> Any:
    if item is None:
        return None
    if field == "montant":
        return Decimal(item)
    return _moment(item) if field == "timestamp" else item


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)
