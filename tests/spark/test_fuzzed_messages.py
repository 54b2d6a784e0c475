"""No message stops the Spark engine, whatever its bytes, headers, time, codec or transaction.

Any other seed: FUZZ_SEED=42 pytest tests/spark/test_fuzzed_messages.py
"""

from __future__ import annotations

import pytest

from harness import corpus, fuzz_messages
from harness.broker import Broker
from harness.odd_messages import create_topic_of_senders_time
from tests.kafka.test_fuzzed_messages import COUNT, PARTITIONS, SEED, assert_same, held
from tests.spark.test_bronze import broker, run, settings
from ventes.config import Settings
from ventes.engines.spark import micro_batch
from ventes.engines.spark.session import Session

__all__ = ["broker", "settings"]


@pytest.mark.parametrize("few", [20_000, -1], ids=["driver commits", "spark commits"])
def test_every_committed_message_is_in_bronze_as_it_was(
    settings: Settings, broker: Broker, session: Session, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(micro_batch, "FEW", few)
    theirs = settings.kafka.model_copy(update={"other_topic": "fuzzed" + str(few).strip("-"), "managed": False})
    mine = settings.model_copy(update={"kafka": theirs})
    create_topic_of_senders_time(mine, PARTITIONS)
    samples = [event.value for event in corpus.load()]
    sent = fuzz_messages.send(mine.kafka.bootstrap, mine.topic, PARTITIONS, SEED, COUNT // 2, samples)
    run(mine, session)
    assert_same(held(mine), sent)
