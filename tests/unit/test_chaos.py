"""The pure parts of `make chaos`: the schedule, the ledger's comparison, the checks of status and logs."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from harness.chaos import ledger
from harness.chaos.honesty import Said, Sample, complaints
from harness.chaos.hygiene import LINES, SAME_LINE, flood
from harness.chaos.ledger import Ledger, Row, compare
from harness.chaos.schedule import COMMANDS, EDITS, ENGINES, JVMS, RUBBISH, TARGETS, Step, kinds, schedule
from harness.cluster_chaos import schedule as cluster

# -- the schedule ---------------------------------------------------------------------------------


def first(count: int, seed: int, engine: str) -> list[Step]:
    return list(itertools.islice(schedule(seed, engine), count))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_seed_is_a_schedule(engine: str) -> None:
    assert first(200, 7, engine) == first(200, 7, engine)
    assert first(200, 7, engine) != first(200, 8, engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("seed", range(5))
def test_every_kind_of_step_is_in_the_first_deck(engine: str, seed: int) -> None:
    steps = first(
        sum(kinds(engine).values()) + 15, seed, engine
    )  # and the steps that start what another one has stopped
    assert {step.kind for step in steps} == set(kinds(engine))
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))


@pytest.mark.parametrize("engine", ENGINES)
def test_every_target_signal_command_and_edit_comes(engine: str) -> None:
    steps = first(600, 1, engine)
    killed = {(step.options["target"], step.options["signal"]) for step in steps if step.kind == "kill"}
    targets = TARGETS if engine == "embedded" else TARGETS + JVMS
    assert killed == set(itertools.product(targets, ("KILL", "TERM", "STOP")))
    for kind, variants in (("command", COMMANDS), ("rubbish", RUBBISH), ("edit", EDITS)):
        assert {step.options["what"] for step in steps if step.kind == kind} == set(variants)


def test_a_seed_of_the_cluster_is_a_schedule_in_which_each_part_is_lost_in_each_way() -> None:
    def steps(seed: int, count: int = 300) -> list[Step]:
        return list(itertools.islice(cluster.schedule(seed), count))

    assert steps(7) == steps(7) != steps(8)
    assert {step.kind for step in steps(1, sum(cluster.CARDS.values()))} == set(cluster.CARDS)
    ways = {(step.kind, step.options.get("which"), step.options.get("signal")) for step in steps(1)}
    assert ways >= set(itertools.product(["broker"], (1, 2, 3), ("KILL", "STOP")))
    assert ways >= set(itertools.product(["worker"], (1, 2), ("KILL", "STOP")))
    assert ways >= set(itertools.product(["executor"], ("bronze", "silver"), ("KILL", "STOP")))
    assert {step.options["how"] for step in steps(1) if step.kind == "store"} == set(cluster.STORE)
    killed = [step.options for step in steps(1) if step.kind == "kill"]
    assert {(one["target"], one["signal"]) for one in killed} == set(cluster.KILLS)
    assert {one["then"] for one in killed if one["target"] == "supervisor"} == {"start"}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_pipeline_that_is_stopped_is_soon_started_again(engine: str) -> None:
    steps = first(600, 3, engine)
    stops = [step.number for step in steps[:-5] if "stop" in (step.options.get("then"), step.options.get("what"))]
    assert stops
    for number in stops:
        following = steps[number : number + 3]
        ends = number % 10 in (0, 8, 9)  # the check after every tenth step starts it too
        assert ends or any(
            step.kind in ("command", "switch", "topic") or step.options.get("then") for step in following
        ), number


def test_only_runs_with_spark_have_its_steps() -> None:
    assert {"checkpoint", "switch"}.isdisjoint(kinds("embedded"))
    assert "checkpoint" in kinds("spark")
    assert "switch" not in kinds("spark")
    assert {"checkpoint", "switch"} <= set(kinds("both"))


# -- the ledger -----------------------------------------------------------------------------------


@pytest.fixture
def book() -> Ledger:
    """Messages 1 to 4 acknowledged, 5 attempted only, 6 aborted."""
    return Ledger(
        attempted={number: 100 + number for number in range(1, 7)},
        acknowledged={1: (0, 0), 2: (1, 0), 3: (0, 1), 4: (1, 1)},
        aborted={6},
    )


def row(number: int, partition: int, offset: int, topic: str = "t") -> Row:
    return Row(number, topic, partition, offset, 100 + number)


ALL = [row(1, 0, 0), row(2, 1, 0), row(3, 0, 1), row(4, 1, 1)]


def test_what_was_acknowledged_is_there_once(book: Ledger) -> None:
    assert compare(book, ALL) == []
    assert compare(book, ALL, acknowledged_before=len(book.acknowledged) - 1) == []
    silent = ["no message was acknowledged since the last check"]
    assert compare(book, ALL, acknowledged_before=len(book.acknowledged)) == silent
    assert compare(Ledger(), []) == silent


def test_what_was_only_attempted_may_be_there(book: Ledger) -> None:
    assert compare(book, [*ALL, row(5, 0, 2)]) == []


def test_a_lost_message_is_found(book: Ledger) -> None:
    assert compare(book, ALL[:3]) == ["1 message(s) acknowledged, not in Bronze: 4 at 1:1"]


def test_a_message_may_be_gone_with_its_topic(book: Ledger) -> None:
    assert compare(book, ALL[:3], gone=frozenset({4})) == []
    assert compare(book, ALL, gone=frozenset({4})) == []
    assert compare(book, ALL[:2], gone=frozenset({4})) == ["1 message(s) acknowledged, not in Bronze: 3 at 0:1"]


def test_a_doubled_message_is_found(book: Ledger) -> None:
    assert compare(book, [*ALL, ALL[2]]) == ["1 message(s) in Bronze more than once, at the same position: 3 × 2"]
    assert compare(book, [*ALL, row(3, 0, 9)]) == [
        "1 message(s) in Bronze more than once, at different positions: 3 × 2"
    ]
    read_again = row(3, 0, 1, topic="t~2")  # the same offset under another label
    assert compare(book, [*ALL, read_again]) == ["1 message(s) in Bronze more than once, at different positions: 3 × 2"]


def test_a_message_at_another_place_is_found(book: Ledger) -> None:
    (sentence,) = compare(book, [*ALL[:3], row(4, 1, 7)])
    assert "at another position than acknowledged: 4, acknowledged at 1:1" in sentence


def test_other_bytes_are_found(book: Ledger) -> None:
    assert compare(book, [*ALL[:3], replace(ALL[3], crc=5)]) == [
        "1 message(s) in Bronze with other bytes than were sent: 4"
    ]


def test_aborted_messages_in_bronze_are_found(book: Ledger) -> None:
    assert compare(book, [*ALL, row(6, 0, 2)]) == ["1 message(s) of an aborted transaction, in Bronze: 6"]
    assert compare(book, [*ALL, row(77, 0, 2)]) == ["1 message(s) in Bronze, never attempted: 77"]


def test_a_ledger_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    writer = ledger.Writer(path)
    writer.attempted(1, b"sale")
    writer.attempted(2, None)
    writer.attempted(3, b"x")
    writer.acknowledged(1, 0, 41)
    writer.aborted(3)
    writer.close()
    with path.open("a", encoding="utf-8") as file:
        file.write('["k", 2, 0, 4')  # is being written
    found = Ledger.read(path, tmp_path / "none")
    assert found == Ledger({1: ledger.crc(b"sale"), 2: None, 3: ledger.crc(b"x")}, {1: (0, 41)}, {3})
    assert [ledger.number_of(key) for key in (ledger.key(7), b"7", b"chaos-x", None)] == [7, None, None, None]


# -- answers of status ----------------------------------------------------------------------------

RUNS = Said("running", True, "", pid=1, batch=5, lag_messages=0, lag_seconds=0.0, rows=100)


def samples(*of_bronze: Said, every: float = 2.0) -> list[Sample]:
    return [Sample(number * every, {"bronze": said}) for number, said in enumerate(of_bronze)]


def growing(count: int, **changes: object) -> list[Said]:
    """A job without progress while its lag grows."""
    return [replace(RUNS, lag_messages=10 * (number + 1), **changes) for number in range(count)]  # type: ignore[arg-type]


def test_a_job_that_stands_still_is_not_running_and_ready() -> None:
    (sentence,) = complaints(samples(RUNS, *growing(10)))
    assert "bronze was called running and ready from 0 s to 20 s" in sentence
    assert "0 to 100 messages" in sentence


def test_a_reason_is_enough_and_so_is_progress() -> None:
    assert complaints(samples(*growing(10, reason="waits for the broker"))) == []
    assert complaints(samples(*growing(10, state="waiting"))) == []
    moving = [replace(said, batch=number) for number, said in enumerate(growing(10))]
    assert complaints(samples(*moving)) == []
    assert complaints(samples(*growing(7))) == [], "12 s"
    assert complaints(samples(*[replace(RUNS, lag_messages=3)] * 10)) == [], "its lag does not grow"
    assert complaints(samples(*growing(3), every=10)) == [], "too few samples: the machine stood still"


def test_a_job_that_stood_still_at_the_end_is_seen_too() -> None:
    assert len(complaints(samples(*[RUNS] * 20, *growing(9)))) == 1


def test_no_reason_is_a_complaint() -> None:
    down = replace(RUNS, state="down", ready=False)
    (sentence,) = complaints(samples(RUNS, *[down] * 5, RUNS))
    assert "bronze was down and not ready from 2 s to 10 s, and no reason given" in sentence
    assert complaints(samples(*[replace(down, reason="killed")] * 5)) == []
    (sentence,) = complaints(samples(*[replace(RUNS, lag_messages=None)] * 9))
    assert "lag was not known" in sentence


def test_an_untrue_reason_is_reported_once() -> None:
    failed = replace(RUNS, state="failed", ready=False, reason="crashed 8 times")
    assert complaints(samples(RUNS, failed, failed)) == ["at 2 s bronze was failed: 'crashed 8 times'"]
    lost = replace(RUNS, reason="partition 0 had offsets up to 7, now it ends before 6: its end was lost")
    (sentence,) = complaints(samples(RUNS, lost))
    assert "its end was lost" in sentence
    assert complaints(samples(RUNS, failed, lost), excused=[(1.0, 4.0)]) == []


# -- logs -----------------------------------------------------------------------------------------


def lines(count: int, text: str = "INFO    the same") -> list[str]:
    """Two lines per second."""
    return [f"2026-01-05T10:{number // 120:02}:{number // 2 % 60:02}.{number % 2}00Z {text}" for number in range(count)]


def test_a_line_that_is_repeated_is_a_flood() -> None:
    (sentence,) = flood("x.log", lines(SAME_LINE + 1), 10.0)
    assert f"x.log has a line {SAME_LINE + 1} times within a minute: INFO    the same" in sentence
    assert flood("x.log", lines(SAME_LINE), 10.0) == []
    assert flood("x.log", [line + f" {number}" for number, line in enumerate(lines(500))], 10.0) == []
    spread = lines(4 * SAME_LINE)[::4]
    assert flood("x.log", spread, 10.0) == []


def test_many_lines_are_a_flood_and_so_are_lines_without_a_time() -> None:
    assert "grew by" in flood("x.log", [f"line {number}" for number in range(LINES + 1)], 1.0)[0]
    assert "without a time" in flood("x.out", ["Traceback"] * (SAME_LINE + 1), 1.0)[0]
    assert flood("x.out", ["Traceback"] * SAME_LINE, 1.0) == []
