"""Whether a Spark checkpoint may be continued, for each case of the decision, on hand-made folders."""

import json
import zlib

import pytest

from ventes.engines.source import Resume
from ventes.engines.spark import checkpoint
from ventes.engines.spark.checkpoint import Continue, NewEpoch

TOPIC = "ventes_stream"


def write(path, text, crc=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if crc:
        data = text.encode()
        chunks = [data[i : i + 512] for i in range(0, len(data), 512)]
        body = b"crc\0" + (512).to_bytes(4, "big") + b"".join(zlib.crc32(c).to_bytes(4, "big") for c in chunks)
        path.with_name(f".{path.name}.crc").write_bytes(body)


def offsets(values):
    return "v1\n" + json.dumps({"batchWatermarkMs": 0, "conf": {"x": "y" * 600}}) + "\n" + json.dumps({TOPIC: values})


@pytest.fixture
def epoch(tmp_path):
    """Epoch 3 on topic A: batches 0 → 10 and 1 → 25, both committed."""
    folder = tmp_path / "epoch-0003"
    write(folder / "epoch.json", json.dumps({"topic_id": "A"}), crc=False)
    write(folder / "metadata", '{"id":"q-1"}')
    write(folder / "sources" / "0" / "0", "\0v1\n" + json.dumps({TOPIC: {"0": 0}}))
    for batch, end in enumerate((10, 25)):
        write(folder / "offsets" / str(batch), offsets({"0": end}))
        write(folder / "commits" / str(batch), 'v1\n{"nextBatchWatermarkMs":0}')
    return folder


def decide(tmp_path, table, topic_id="A"):
    """The decision; `table`: the next offsets for Bronze, {partition: offset}."""
    found = checkpoint.newest(tmp_path, TOPIC)
    return checkpoint.decide(tmp_path, found, Resume(topic_id, topic_id, table))


def remove_commit(epoch, batch):
    (epoch / "commits" / str(batch)).unlink()
    (epoch / "commits" / f".{batch}.crc").unlink()


def test_no_checkpoint_starts_the_first_epoch(tmp_path):
    assert decide(tmp_path, {0: 0}) == NewEpoch(tmp_path / "epoch-0001", "A", {0: 0}, "there is no checkpoint")


def test_equal_positions_continue(tmp_path, epoch):
    assert decide(tmp_path, {0: 25}) == Continue(epoch, None)


def test_the_newest_epoch_counts(tmp_path, epoch):
    write(tmp_path / "epoch-0002" / "metadata", '{"id":"q-0"}')
    (tmp_path / "epoch-0004.removed").mkdir()
    assert decide(tmp_path, {0: 25}) == Continue(epoch, None)


def test_crash_between_table_and_checkpoint_continues(tmp_path, epoch):
    remove_commit(epoch, 1)
    assert decide(tmp_path, {0: 25}) == Continue(epoch, 1)


def test_crash_before_the_table_continues(tmp_path, epoch):
    remove_commit(epoch, 1)
    assert decide(tmp_path, {0: 10}) == Continue(epoch, 1)


def test_crash_in_the_very_first_batch_continues(tmp_path, epoch):
    for batch in (1, 0):
        remove_commit(epoch, batch)
    (epoch / "offsets" / "1").unlink()
    assert decide(tmp_path, {0: 0}) == Continue(epoch, 0)
    assert decide(tmp_path, {0: 10}) == Continue(epoch, 0)


def test_an_epoch_that_spark_never_began_is_replaced(tmp_path):
    checkpoint.begin(NewEpoch(tmp_path / "epoch-0001", "A", {0: 5}, "there is no checkpoint"))
    (tmp_path / "epoch-0001" / "metadata").touch()
    found = decide(tmp_path, {0: 7})
    assert isinstance(found, NewEpoch)
    assert found.path.name == "epoch-0001"
    checkpoint.begin(found)
    assert [file.name for file in found.path.iterdir()] == ["epoch.json"]


@pytest.mark.parametrize(("table", "goes_on"), [({0: 0}, True), ({0: 5}, False)])
def test_an_epoch_without_a_planned_batch_continues_at_its_start(tmp_path, epoch, table, goes_on):
    for name in ("offsets", "commits"):
        for file in (epoch / name).iterdir():
            file.unlink()
    assert isinstance(decide(tmp_path, table), Continue) is goes_on


@pytest.mark.parametrize("table", [{0: 30}, {0: 24}, {0: 10}, {0: 0}, {}])
def test_any_other_position_of_the_table_starts_an_epoch_there(tmp_path, epoch, table):
    found = decide(tmp_path, table)
    assert isinstance(found, NewEpoch)
    assert (found.path.name, found.offsets) == ("epoch-0004", table)
    assert "Bronze at" in found.why


def test_another_topic_starts_an_epoch(tmp_path, epoch):
    found = decide(tmp_path, {0: 25}, topic_id="B")
    assert isinstance(found, NewEpoch)
    assert found.topic_id == "B"


def test_added_partitions_continue(tmp_path, epoch):
    assert decide(tmp_path, {0: 25, 1: 0, 2: 0}) == Continue(epoch, None)


def test_an_added_partition_that_bronze_holds_already_starts_an_epoch(tmp_path, epoch):
    assert isinstance(decide(tmp_path, {0: 25, 1: 4}), NewEpoch)


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (lambda e: (e / "metadata").unlink(), "metadata"),
        (lambda e: write(e / "metadata", "garbage"), "metadata"),
        (lambda e: write(e / "metadata", ""), "metadata"),
        (lambda e: write(e / "offsets" / "1", ""), "offsets/1"),
        (lambda e: write(e / "offsets" / "1", "v1\n{"), "offsets/1"),
        (lambda e: write(e / "offsets" / "1", offsets({"0": "x"})), "offsets/1"),
        (lambda e: (e / "offsets" / "1").write_text(offsets({"0": 99})), "checksum"),
        (lambda e: (e / "offsets" / "1").write_bytes(b"\xff\x00" * 50), "checksum"),
        (lambda e: (e / "offsets" / "0").unlink(), "offsets/0"),
        (lambda e: write(e / "commits" / "1", ""), "commits/1"),
        (lambda e: write(e / "commits" / "1", 'v1\n{"nextBatchWat'), "commits/1"),
        (lambda e: write(e / "offsets" / "1", 'v1\n{"batch\n' + json.dumps({TOPIC: {"0": 25}})), "offsets/1"),
        (lambda e: (e / "offsets" / "1").unlink(), "never planned"),
        (lambda e: [remove_commit(e, n) for n in (0, 1)], "none|None"),
        (lambda e: (e / "sources" / "0" / "0").unlink(), "sources/0/0"),
        (lambda e: (e / "epoch.json").unlink(), "epoch.json"),
    ],
)
def test_damage_is_reported_and_starts_an_epoch(tmp_path, epoch, harm, named):
    harm(epoch)
    found = decide(tmp_path, {0: 25})
    assert isinstance(found, NewEpoch)
    assert found.path.name == "epoch-0004"
    assert any(word in found.why for word in named.split("|"))


def test_what_was_planned_is_known_to_have_existed(tmp_path, epoch):
    assert checkpoint.seen(checkpoint.newest(tmp_path, TOPIC)) == {("A", 0): 25}
    write(epoch / "offsets" / "1", "")
    assert checkpoint.seen(checkpoint.newest(tmp_path, TOPIC)) == {}


def test_what_a_killed_jvm_left_is_removed_and_nothing_else(tmp_path, epoch):
    kept = sorted(path for path in epoch.rglob("*") if path.is_file())
    for name in (".2.3455605d-3e71-4448-9d4e-e8c2dfdb429e.tmp", "..2.3455605d-3e71-4448-9d4e-e8c2dfdb429e.tmp.crc"):
        (epoch / "commits" / name).write_text("v1")
    checkpoint.remove_unfinished(epoch)
    assert sorted(path for path in epoch.rglob("*") if path.is_file()) == kept
    assert decide(tmp_path, {0: 25}) == Continue(epoch, None)


def test_old_epochs_retire(tmp_path, epoch):
    new = NewEpoch(tmp_path / "epoch-0004", "A", {0: 5}, "")
    checkpoint.begin(new)
    assert checkpoint.retire(tmp_path, new.path) == [epoch]
    assert checkpoint.epochs(tmp_path) == [new.path]
