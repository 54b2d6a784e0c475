"""`ventes stream init`: from messages of four makes to a declaration. The oracle is what the test itself generated."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME

from ventes.config import Settings
from ventes.judging.verdict import Judging
from ventes.kafka import Connection
from ventes.propose.proposal import Proposal, propose
from ventes.propose.rejected import Rejected, rejected
from ventes.propose.sample import Message, Reading, from_file
from ventes.propose.source_text import source_text
from ventes.settings.kafka import Kafka
from ventes.stream import (
    Boolean,
    ByDay,
    ByMinute,
    Day,
    Decimals,
    Instant,
    Integer,
    Json,
    Mean,
    Money,
    Stream,
    Sum,
    Text,
)
from ventes.stream.loading import load

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
UTC = ZoneInfo("UTC")
COUNT = 1_000

BROKEN: dict[str, bytes | None] = {
    "empty": b"",
    "not_utf8": b'{"a":"\xe9"}',
    "not_json": b'{"a":',
    "not_object": b"[1]",
    "trailing_data": b"{} {}",
}


def order(number: int, rng: Random) -> dict[str, Any]:
    """A flat order: one of every kind."""
    made: dict[str, Any] = {
        "order_id": 5_000 + number,
        "placed_at": (NOW - timedelta(seconds=COUNT - number)).isoformat(),
        "amount": rng.randrange(1, 100_000) / 100,
        "weight": rng.randrange(1, 9_999) / 1_000,
        "quantity": rng.randrange(1, 9),
        "status": rng.choice(["new", "paid", "sent"]),
        "country": rng.choice(["France", "Québec", "Côte d'Ivoire"]),
        "note": f"note {rng.random()}",
        "gift": rng.random() < 0.5,
        "due": f"2026-03-{rng.randrange(10, 29)}",
        "tags": ["a"] * rng.randrange(3),
    }
    if number % 4 == 0:
        del made["note"]
    return made


def nested(number: int, rng: Random) -> dict[str, Any]:
    """A sensor's reading: objects in objects, names that no column can have, times in milliseconds."""
    made: dict[str, Any] = {
        "meta": {"uuid": f"{rng.getrandbits(64):016x}-{number}", "sent": {"ts": 1_772_000_000_000 + number * 60_000}},
        "capteur": {"Température °C": round(rng.uniform(-20, 40), 1), "étage": rng.choice(["rez", "un", "deux"])},
        "value": rng.randrange(100),
        "offset": rng.randrange(100),
        "fw.version": "1.2",
        "raw": rng.random() * 1e-6,
        "labels": {f"k{rng.randrange(300)}": 1},
    }
    if number % 10 == 0:
        made["capteur"]["étage"] = None
    return made


def messages_of(make: Callable[[int, Random], dict[str, Any]], wrap: Callable[[bytes], bytes] = bytes) -> list[Message]:
    rng = Random(7)
    return [
        Message(wrap(json.dumps(make(number, rng)).encode()), NOW + timedelta(hours=1), f"line {number + 1}")
        for number in range(COUNT)
    ]


def broken(wrap: Callable[[bytes], bytes] = bytes) -> list[Message]:
    return [Message(wrap(value) if value else value, NOW, f"broken {code}") for code, value in BROKEN.items()]


def proposed(name: str, messages: list[Message]) -> Proposal:
    found = propose(name, name, messages)
    assert found is not None
    return found


def rejected_by(stream: Stream, messages: list[Message]) -> Rejected:
    return rejected(Judging(stream, UTC, UTC), messages)


def written_and_loaded(proposal: Proposal, folder: Path) -> Stream:
    """The stream that the proposed file declares."""
    text = source_text(proposal, "a test")
    file = folder / f"{proposal.stream.name}.py"
    file.write_text(text, encoding="utf-8")
    return load(file)


def kinds(stream: Stream) -> dict[str, Any]:
    """path → kind."""
    return {".".join(field.keys): type(field) for field in stream.event.read}


def remarks(proposal: Proposal) -> str:
    return "\n".join(f"{name}: {remark}" for name, all_ in proposal.remarks.items() for remark in all_)


# -- four makes -------------------------------------------------------------------------------


def test_flat_messages(tmp_path: Path) -> None:
    messages = messages_of(order)
    for number in (17, 500, 900):  # mixed types in 3 of 1,000
        event = json.loads(messages[number].value or b"")
        messages[number] = Message(json.dumps({**event, "quantity": "many"}).encode(), NOW, f"line {number + 1}")
    proposal = proposed("orders", messages + broken())
    stream = written_and_loaded(proposal, tmp_path)
    assert kinds(stream) == {
        "order_id": Integer, "placed_at": Instant, "amount": Money, "weight": Decimals, "quantity": Integer,
        "status": Text, "country": Text, "note": Text, "gift": Boolean, "due": Day, "tags": Json,
    }  # fmt: skip
    event = stream.event
    assert (event.id, event.at) == ("order_id", "placed_at")
    assert [field.name for field in event.read if field.optional] == ["note"]
    assert [field.name for field in event.read if field.dimension] == ["status", "country"]
    assert event.field("status") == Text("status", dimension=True, values=("new", "paid", "sent"))
    assert event.field("country") == Text("country", dimension=True)  # names of countries: no closed list
    assert event.field("weight") == Decimals("weight", scale=3)
    assert [table.key for table in stream.tables] == [("status",), ("country",), ("minute",)]
    assert isinstance(stream.tables[2].by[0], ByMinute)
    assert {type(measure) for measure in stream.tables[0].measures} >= {Sum, Mean}
    assert "quantity: 3 of 1,000 values are of another form" in remarks(proposal)

    found = rejected_by(stream, messages + broken())
    assert found.messages == 3 + len(BROKEN)
    assert {reason.code: (reason.messages, reason.first) for reason in found.reasons} == {
        "type:quantity": (3, "line 18"), **{code: (1, f"broken {code}") for code in BROKEN},
    }  # fmt: skip


def test_nested_messages_with_names_that_no_column_can_have(tmp_path: Path) -> None:
    proposal = proposed("mesures", messages_of(nested))
    stream = written_and_loaded(proposal, tmp_path)
    assert {field.name: (".".join(field.keys), type(field)) for field in stream.event.read} == {
        "meta_uuid": ("meta.uuid", Text),
        "meta_sent_ts": ("meta.sent.ts", Instant),
        "capteur_Temperature_C": ("capteur.Température °C", Decimals),
        "capteur_etage": ("capteur.étage", Text),
        "event_value": ("value", Integer),  # the pipeline has columns of these names
        "event_offset": ("offset", Integer),
        "labels": ("labels", Json),
    }
    event = stream.event
    assert (event.id, event.at) == ("meta_uuid", "meta_sent_ts")
    assert event.field("meta_sent_ts") == Instant("meta_sent_ts", path="meta.sent.ts", form="ms")
    assert event.field("capteur_etage").optional
    assert event.field("capteur_etage").dimension
    said = remarks(proposal)
    assert "fw.version: left in _extra: a point in a member's name" in said
    assert "raw: left in _extra: numbers with more than 9 decimals" in said
    assert rejected_by(stream, messages_of(nested)).messages == 0


def change(number: int, rng: Random) -> dict[str, Any]:
    """A row's change as Debezium sends it, without schemas; every tenth is a delete."""
    row = {
        "id": number,
        "created_at": 1_680_000_000_000_000 + number * 86_400_000_000,
        "price": "12.50",
        "city": "Lyon",
    }
    deleted = number % 10 == 9
    return {
        "before": row if deleted else None,
        "after": None if deleted else {**row, "price": f"{rng.randrange(100, 9_999) / 100:.2f}"},
        "source": {"table": "orders"},
        "op": "d" if deleted else "c",
        "ts_ms": 1_770_000_000_000,
    }


@pytest.mark.parametrize("schemas", [False, True])
def test_debezium_envelopes(schemas: bool, tmp_path: Path) -> None:
    def make(number: int, rng: Random) -> dict[str, Any]:
        made = change(number, rng)
        return {"schema": {"type": "struct"}, "payload": made} if schemas else made

    messages = messages_of(make)
    proposal = proposed("rows", messages)
    assert (proposal.stream.event.frame, proposal.stream.event.envelope) == (None, "debezium")
    assert '\n        envelope="debezium",\n' in source_text(proposal, "a test")
    stream = written_and_loaded(proposal, tmp_path)
    assert kinds(stream) == {"id": Integer, "created_at": Instant, "price": Money, "city": Text}
    assert (stream.event.id, stream.event.at) == ("id", "created_at")
    assert stream.event.field("created_at") == Instant("created_at", form="us")
    assert isinstance(stream.tables[-1].by[0], ByDay)  # an event a day
    found = rejected_by(stream, messages)
    assert {reason.code: reason.messages for reason in found.reasons}["no_event"] == found.messages == COUNT // 10


def test_registry_frames(tmp_path: Path) -> None:
    def framed(value: bytes) -> bytes:
        return b"\0\0\0\0\x2a" + value

    unframed = [Message(b'{"order_id":1}', NOW, "line 2000")]
    messages = messages_of(order, framed) + unframed
    proposal = proposed("orders", messages)
    assert (proposal.stream.event.frame, proposal.stream.event.envelope) == ("registry", None)
    assert '\n        frame="registry",\n' in source_text(proposal, "a test")
    assert kinds(written_and_loaded(proposal, tmp_path)) == kinds(proposed("orders", messages_of(order)).stream)
    found = rejected_by(proposal.stream, messages)
    assert [(reason.code, reason.messages, reason.first) for reason in found.reasons] == [("bad_frame", 1, "line 2000")]


# -- doubts -----------------------------------------------------------------------------------


def events(*made: dict[str, Any]) -> list[Message]:
    return [Message(json.dumps(event).encode(), NOW, f"line {line}") for line, event in enumerate(made, 1)]


def at(number: int) -> str:
    return (NOW + timedelta(seconds=number)).isoformat()


def test_an_id_that_is_not_unique_is_named(tmp_path: Path) -> None:
    made = [{"id": n if n < 96 else n - 96, "at": at(n)} for n in range(100)]
    assert sum(times > 1 for times in Counter(event["id"] for event in made).values()) == 4
    proposal = proposed("x", events(*made))
    assert proposal.stream.event.id == "id"
    assert "id: not unique: 4 values occur again" in remarks(proposal)
    assert "# remark: not unique: 4 values" in source_text(proposal, "a test")
    assert written_and_loaded(proposal, tmp_path) == proposal.stream


def test_without_a_time_or_an_id_the_file_loads_and_says_so(tmp_path: Path) -> None:
    messages = events(*({"colour": "red"} for _ in range(50)))
    proposal = proposed("x", messages)
    assert written_and_loaded(proposal, tmp_path) == proposal.stream
    said = remarks(proposal)
    assert "at: no field looks like a time" in said
    assert "id: no field looks like an id" in said
    assert rejected_by(proposal.stream, messages).messages == 50


def test_an_id_that_is_sometimes_missing_is_required_and_its_absence_counted() -> None:
    made: list[dict[str, Any]] = [{"id": n, "at": at(n)} for n in range(100)]
    del made[40]["id"]
    proposal = proposed("x", events(*made))
    assert not proposal.stream.event.field("id").optional
    found = rejected_by(proposal.stream, events(*made))
    assert [(reason.code, reason.messages, reason.first) for reason in found.reasons] == [("missing:id", 1, "line 41")]


def test_the_time_of_the_event_is_the_one_that_ascends_with_the_best_name() -> None:
    rng = Random(1)
    made = [
        {"id": n, "birthday_at": at(-n * 10**6), "updated_at": at(rng.randrange(999)), "created_at": at(n)}
        for n in range(100)
    ]
    assert proposed("x", events(*made)).stream.event.at == "created_at"


def test_a_time_without_a_name_is_found_by_its_magnitude() -> None:
    second = int(NOW.timestamp())
    made = [{"id": n, "t0": second + n, "size": n} for n in range(100)]
    proposal = proposed("x", events(*made))
    assert proposal.stream.event.field("t0") == Instant("t0", form="s")
    assert proposal.stream.event.at == "t0"
    assert "by its magnitude alone" in remarks(proposal)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2.5, -3.25], Decimals("amount", scale=2)),  # a refund: Money would reject it
        ([1, 2.5, 3.25], Money("amount")),
        (["1.00", "2.50"], Money("amount")),
        ([1, 2, 3], Integer("amount")),
        ([1.5, 2.123456], Decimals("amount", scale=6)),
        ([12e10, 0.5], Decimals("amount", scale=2, least=Decimal(-999_999_999_999), most=Decimal(999_999_999_999))),
    ],
)
def test_amounts(values: list[Any], expected: Decimals) -> None:
    made = [{"id": n, "at": at(n), "amount": values[n % len(values)]} for n in range(60)]
    assert proposed("x", events(*made)).stream.event.field("amount") == expected


@pytest.mark.parametrize(("odd", "expected"), [(2, Integer("pieces")), (3, Decimals("pieces", scale=1))])
def test_a_rare_fraction_among_whole_numbers_is_an_error(odd: int, expected: Decimals | Integer) -> None:
    made = [{"id": n, "at": at(n), "pieces": 1.5 if n < odd else n} for n in range(200)]
    proposal = proposed("x", events(*made))
    assert proposal.stream.event.field("pieces") == expected
    assert ("2 of 200 values are of another form" in remarks(proposal)) == (odd == 2)


def test_codes_that_only_some_events_have_are_no_enumeration() -> None:
    made = [{"id": n, "at": at(n), "state": "ab"[n % 2], "voucher": "XY"[n % 2]} for n in range(200)]
    del made[5]["voucher"]
    event = proposed("x", events(*made)).stream.event
    assert event.field("state") == Text("state", dimension=True, values=("a", "b"))
    assert event.field("voucher") == Text("voucher", dimension=True, optional=True)


@pytest.mark.parametrize("name", ["totals_net", "shipping_fees", "prices"])
def test_amounts_in_the_plural_have_cents(name: str) -> None:
    made = [{"id": n, "at": at(n), name: (0, 4.9, 9.9)[n % 3]} for n in range(60)]
    assert proposed("x", events(*made)).stream.event.field(name) == Decimals(name, scale=2)


def test_what_all_events_have_is_summed_before_what_some_have() -> None:
    made = [{"id": n, "at": at(n), "fee": 1.25, "weight": n / 4} for n in range(60)]
    for number in range(30):
        del made[number]["fee"]
    stream = proposed("x", events(*made)).stream
    assert [measure.name for measure in stream.tables[0].measures[1:]] == [
        "weight_total", "weight_moyenne", "fee_total", "fee_moyenne",
    ]  # fmt: skip
    assert [figure.label for figure in stream.shown.figures] == ["Total Records", "Total Weight", "Mean Weight"]


@pytest.mark.parametrize(
    ("name", "noun", "title"),
    [
        ("orders", "order", "Orders, live"),
        ("deliveries", "delivery", "Deliveries, live"),
        ("boxes", "box", "Boxes, live"),
        ("iot_events", "iot event", "Iot events, live"),
        ("status", "event", "Events, live"),
        ("access", "event", "Events, live"),
    ],
)
def test_an_event_is_called_like_its_stream(name: str, noun: str, title: str, tmp_path: Path) -> None:
    proposal = proposed(name, events({"id": 1, "at": at(1)}))
    loaded = written_and_loaded(proposal, tmp_path)
    assert (loaded.noun, loaded.shown.title) == (noun, title)


def test_texts_of_digits_stay_texts_and_long_texts_get_room() -> None:
    made = [{"id": n, "at": at(n), "zip": f"{75_000 + n}", "body": "x" * 400} for n in range(60)]
    event = proposed("x", events(*made)).stream.event
    assert event.field("zip") == Text("zip")
    assert event.field("body") == Text("body", most=500)


def test_a_value_where_an_object_is_expected_is_counted() -> None:
    made: list[dict[str, Any]] = [{"id": n, "at": at(n), "shop": {"city": "Lyon"}} for n in range(100)]
    made[7]["shop"] = "Lyon"
    proposal = proposed("x", events(*made))
    assert proposal.stream.event.field("shop_city") == Text("shop_city", path="shop.city", optional=True)
    assert "shop: 1 values are no objects" in remarks(proposal)
    found = rejected_by(proposal.stream, events(*made))
    assert [(reason.code, reason.first) for reason in found.reasons] == [("type:shop_city", "line 8")]


def test_rare_and_very_many_members_stay_in_extra() -> None:
    made: list[dict[str, Any]] = [  # m0 … m11 are in every fifth event only
        {"id": n, "at": at(n), **{f"m{member}": 1 for member in range(110) if n % 5 == 0 or member > 11}}
        for n in range(500)
    ]
    made[3]["once"] = 1
    proposal = proposed("x", events(*made))
    assert proposal.stream.event.names == ("id", "at", *(f"m{member}" for member in range(12, 110)))
    said = remarks(proposal)
    assert "once: left in _extra: only 1 of 500 events have it" in said
    assert "12 more members stay in _extra" in said


def test_a_repeated_key_is_rejected_and_no_value_is_guessed() -> None:
    messages = [*events(*({"id": n, "at": at(n)} for n in range(50))), Message(b'{"id":1,"id":2}', NOW, "line 51")]
    proposal = proposed("x", messages)
    assert remarks(proposal) == ""
    found = rejected_by(proposal.stream, messages)
    assert [(reason.code, reason.messages) for reason in found.reasons] == [("duplicate_key", 1), ("missing:at", 1)]


def test_times_out_of_range_are_counted() -> None:
    made = [{"id": n, "at": at(n)} for n in range(98)]
    made += [{"id": 98, "at": "1999-12-31T23:59:59Z"}, {"id": 99, "at": at(25 * 3_600)}]
    proposal = proposed("x", events(*made))
    found = rejected_by(proposal.stream, events(*made))
    assert [(reason.code, reason.messages, reason.first) for reason in found.reasons] == [
        ("time_out_of_range", 2, "line 99")
    ]


def test_hostile_names_cannot_leave_their_comment_or_string(tmp_path: Path) -> None:
    hostile = 'x"\n), exit() #\u202e'
    made = [{"id": n, "at": at(n), hostile: n, f"{hostile}.": n, "": n} for n in range(20)]
    proposal = proposed("x", events(*made))
    stream = written_and_loaded(proposal, tmp_path)
    assert stream == proposal.stream
    assert hostile in {field.path for field in stream.event.read}
    assert all(line.isprintable() for line in source_text(proposal, "a test").split("\n"))


def test_messages_without_an_event_give_no_proposal() -> None:
    assert propose("x", "x", broken()) is None


# -- a topic that falls silent ----------------------------------------------------------------


class Record:
    """A message as the Kafka client gives it."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def error(self) -> None:
        return None

    def value(self) -> bytes:
        return b"x" * 1_000

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_LOG_APPEND_TIME, 1_700_000_000_000


class Silent:
    """An open consumer that gives some messages, and then nothing any more."""

    def __init__(self, messages: int) -> None:
        self.client = self
        self.connection = Connection()
        self._left = [Record(offset) for offset in range(messages)]

    def assign(self, topic: str, offsets: Mapping[int, int]) -> None:
        assert (topic, dict(offsets)) == ("orders", {0: 0})

    def consume(self, _most: int, _seconds: float) -> list[Record]:
        given, self._left = self._left[:1], self._left[1:]
        return given


def test_a_topic_that_falls_silent_ends_at_the_deadline_with_what_it_gave() -> None:
    reading = Reading(Settings(kafka=Kafka(topic="orders")), 10, time.monotonic() + 0.2, lambda _: None)
    reading.read(Silent(3), {0: (0, 10)})
    assert [message.place for message in reading.messages] == ["0:0", "0:1", "0:2"]
    assert reading.messages[0].arrival == datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc)
    assert reading.remarks == ["the broker fell silent after 3 messages"]


def test_a_topic_of_large_messages_ends_at_the_limit_of_bytes() -> None:
    reading = Reading(Settings(kafka=Kafka(topic="orders")), 10, time.monotonic() + 60, lambda _: None, 5_500)
    reading.read(Silent(10), {0: (0, 10)})
    assert len(reading.messages) == 5
    assert reading.remarks == ["only 5 messages were read: more would exceed 0.0055 MB"]


# -- files ------------------------------------------------------------------------------------


def lines(count: int) -> Iterator[bytes]:
    return (b'{"n":%d}' % number for number in range(1, count + 1))


def test_a_file_gives_its_oldest_lines_and_some_of_its_newest(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(lines(500_000)) + b"\n\n")
    taken = [json.loads(message.value or b"")["n"] for message in from_file(file, 100).messages]
    assert taken == [*range(1, 81), *range(499_981, 500_001)]


def test_a_line_that_began_before_the_end_that_is_read_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join([*lines(80), b'{"n":"%s"}' % (b"x" * 5_000_000), *lines(3)]))
    taken = [json.loads(message.value or b"")["n"] for message in from_file(file, 100).messages]
    assert taken == [*range(1, 81), 1, 2, 3]


def test_a_short_file_gives_every_line_once(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\r\n".join(lines(90)))
    taken = from_file(file, 100)
    assert [json.loads(message.value or b"")["n"] for message in taken.messages] == list(range(1, 91))
    assert [message.place for message in taken.messages] == [f"line {number}" for number in range(1, 91)]
