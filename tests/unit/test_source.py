"""The position where reading continues: for every difference between a topic and Bronze."""

from datetime import datetime, timezone

import pytest

from ventes.engines.source import Topic, differences, gaps_to_accept, resume
from ventes.errors import LakeDamaged, SourceChanged
from ventes.lake import accepted_gaps
from ventes.lake.accepted_gaps import AcceptedGaps, Gap

NOW = datetime(2026, 1, 5, 10, tzinfo=timezone.utc)


def topic(*ranges: tuple[int, int], kafka_id: str = "A") -> Topic:
    return Topic("ventes_stream", kafka_id, dict(enumerate(ranges)))


def test_the_first_start_reads_from_the_first_message():
    found = resume(topic((0, 7)), {}, AcceptedGaps(), NOW)
    assert (found.topic_id, found.offsets, found.unrecorded) == ("A", {0: 0}, ())


def test_messages_that_expired_before_the_first_start_are_recorded_not_refused():
    found = resume(topic((5, 7), (0, 2)), {}, AcceptedGaps(), NOW)
    assert found.offsets == {0: 5, 1: 0}
    assert [(gap.partition, gap.first, gap.last) for gap in found.unrecorded] == [(0, 0, 4)]
    again = resume(topic((5, 7), (0, 2)), {}, AcceptedGaps(found.unrecorded), NOW)
    assert (again.offsets, again.unrecorded) == ({0: 5, 1: 0}, ())


def test_an_expired_partition_without_a_row_does_not_stop_the_second_start():
    first = resume(topic((0, 7), (9, 9)), {}, AcceptedGaps(), NOW)
    found = resume(topic((0, 7), (9, 9)), {("A", 0): 6}, AcceptedGaps(first.unrecorded), NOW)
    assert found.offsets == {0: 7, 1: 9}


def test_a_known_topic_continues_after_the_last_row():
    assert resume(topic((3, 7)), {("A", 0): 4}, AcceptedGaps(), NOW).offsets == {0: 5}


def test_all_read_and_all_expired_is_no_loss():
    assert resume(topic((7, 7)), {("A", 0): 6}, AcceptedGaps(), NOW).offsets == {0: 7}


def test_added_partitions_are_read_from_their_first_message():
    assert resume(topic((0, 9), (0, 4), (0, 0)), {("A", 0): 4}, AcceptedGaps(), NOW).offsets == {0: 5, 1: 0, 2: 0}


@pytest.mark.parametrize(
    ("now", "table", "seen", "kind"),
    [
        (topic((0, 3), kafka_id="B"), {("A", 0): 6}, {}, "created_anew"),  # fewer records than were read
        (topic((0, 99), kafka_id="B"), {("A", 0): 6}, {}, "created_anew"),  # more records: offsets alone look fine
        (topic((8, 9)), {("A", 0): 6}, {}, "expired"),  # offset 7 was never read
        (topic((0, 9), (2, 5)), {("A", 0): 6}, {}, "expired"),  # an added partition lost its first messages
        (topic((0, 6)), {("A", 0): 6}, {}, "shrunk"),
        (topic((0, 9)), {("A", 0): 6, ("A", 1): 3}, {}, "shrunk"),  # a partition is gone
        (topic((0, 7)), {("A", 0): 6}, {("A", 0): 8}, "shrunk"),  # planned, never read, no longer there
    ],
)
def test_a_changed_topic_is_refused_until_recover_and_then_continues(now, table, seen, kind):
    assert [difference.kind for difference in differences(now, table, AcceptedGaps(), seen)] == [kind]
    with pytest.raises(SourceChanged, match="ventes recover"):
        resume(now, table, AcceptedGaps(), NOW, seen)
    mended = AcceptedGaps(tuple(gaps_to_accept(now, table, AcceptedGaps(), NOW, seen)))
    found = resume(now, table, mended, NOW, seen)
    for partition, offset in found.offsets.items():
        low, high = now.ranges[partition]
        assert low <= offset <= high
        assert (found.topic_id, partition) not in table or offset > table[found.topic_id, partition]


def test_a_recreated_topic_is_read_completely_with_its_own_id():
    now = topic((0, 3), kafka_id="B")
    mended = gaps_to_accept(now, {("A", 0): 6}, AcceptedGaps(), NOW)
    assert [gap.messages for gap in mended] == [0]
    found = resume(now, {("A", 0): 6}, AcceptedGaps(tuple(mended)), NOW)
    assert (found.topic_id, found.offsets) == ("B", {0: 0})


def test_expired_messages_are_counted():
    mended = gaps_to_accept(topic((8, 9)), {("A", 0): 4}, AcceptedGaps(), NOW)
    assert [(gap.first, gap.last, gap.messages) for gap in mended] == [(5, 7, 3)]


def test_offsets_assigned_again_get_a_new_label():
    table = {("A", 0): 6}
    mended = AcceptedGaps(tuple(gaps_to_accept(topic((0, 5)), table, AcceptedGaps(), NOW)))
    later = topic((0, 8))  # offsets 5..7 are new messages; Bronze holds others under them
    found = resume(later, table, mended, NOW)
    assert (found.topic_id, found.kafka_id, found.offsets) == ("A~2", "A", {0: 5})
    assert resume(later, {**table, ("A~2", 0): 7}, mended, NOW).offsets == {0: 8}
    twice = gaps_to_accept(topic((0, 4)), {**table, ("A~2", 0): 7}, mended, NOW)
    assert {gap.topic_id for gap in twice} == {"A~3"}


def test_recover_of_an_unchanged_topic_does_nothing():
    assert gaps_to_accept(topic((0, 7)), {("A", 0): 6}, AcceptedGaps(), NOW) == []


def test_the_ledger_survives_on_disk(tmp_path):
    gap = Gap("A", "A", 0, 5, 7, "expired before it was read", accepted_gaps.stamp(NOW))
    accepted_gaps.record(tmp_path, [gap])
    accepted_gaps.record(tmp_path, [])
    accepted_gaps.record(tmp_path, [Gap("B", "B", 0, 0, -1, "é", accepted_gaps.stamp(NOW))])
    accepted = accepted_gaps.read(tmp_path)
    assert accepted.gaps[0] == gap
    assert accepted.accepts("B")
    assert accepted.last("A", 0) == 7


def test_a_damaged_ledger_is_named_with_its_line(tmp_path):
    (tmp_path / accepted_gaps.NAME).write_text('{"topic_id": "A"}\n')
    with pytest.raises(LakeDamaged, match=r"gaps\.jsonl line 1"):
        accepted_gaps.read(tmp_path)
