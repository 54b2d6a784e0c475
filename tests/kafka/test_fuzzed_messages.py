"""No message stops the embedded engine, whatever its bytes, headers, time, codec or transaction.

Any other seed: FUZZ_SEED=42 pytest tests/kafka/test_fuzzed_messages.py
"""

from __future__ import annotations

import os
import time
from collections import defaultdict

from harness import corpus, fuzz_messages
from harness.odd_messages import create_topic_of_senders_time
from harness.pipeline import wait_for
from harness.producing import MakeSettings
from harness.shipped import BRONZE
from harness.silver_run import loop_of
from tests.kafka.test_embedded_bronze import running_job
from ventes.check import lag
from ventes.check.verify import Verification
from ventes.config import Settings
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.lake import tables

SEED = int(os.environ.get("FUZZ_SEED", "1"))
COUNT = int(os.environ.get("FUZZ_COUNT", "600"))
PARTITIONS = 3


def held(settings: Settings) -> dict[int, list[tuple[object, ...]]]:
    """Bronze's messages in the order of the log, partition → (key, value, headers)."""
    found = defaultdict(list)
    for row in tables.snapshot(settings, BRONZE).arrow().sort_by("offset").to_pylist():
        headers = [(header["key"], header["value"]) for header in row["headers"] or []]
        found[row["partition"]].append((row["key"], row["value"], headers))
    return dict(found)


def assert_same(found: dict[int, list[tuple[object, ...]]], sent: fuzz_messages.Sent) -> None:
    """Compares message by message: a comparison of all would print megabytes."""
    for number, messages in sent.messages.items():
        assert len(found.get(number, [])) == len(messages), f"partition {number}"
        for place, (one, other) in enumerate(zip(found.get(number, []), messages, strict=True)):
            assert one == other, f"message {place} of partition {number}"


def test_every_committed_message_is_in_bronze_as_it_was(make_settings: MakeSettings) -> None:
    settings = make_settings(managed=False, partitions=PARTITIONS)
    create_topic_of_senders_time(settings, PARTITIONS)
    samples = [event.value for event in corpus.load()]
    with running_job(settings):
        sent = fuzz_messages.send(settings.kafka.bootstrap, settings.topic, PARTITIONS, SEED, COUNT, samples)
        wait_for(
            lambda: lag.of_bronze(settings, time.time()).messages == 0, f"nothing is left to read (seed {SEED})", 60
        )
    assert_same(held(settings), sent)
    assert sent.aborted, "no transaction was aborted: another seed shows more"
    assert loop_of(settings, EmbeddedSilver).run() == 0
    report = Verification(settings).run()
    assert report.ok, [(check.line(), check.differences) for check in report.checks if not check.ok]
