"""The verdict, on every line of the corpus."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from harness.corpus import Event, load
from harness.verdicts import judge
from ventes.config import Settings
from ventes.judging.verdict import Judging

CORPUS = load()
STREAM = Settings().stream


@pytest.mark.parametrize("event", CORPUS, ids=[event.name for event in CORPUS])
def test_corpus(event: Event) -> None:
    judging = Judging(STREAM, ZoneInfo(event.source_zone), ZoneInfo(event.business_zone))
    verdict = judge(event.value, event.kafka_ts, judging)

    assert verdict.motifs == event.motifs, event.why
    assert {field: getattr(verdict, field) for field in event.shown} == event.shown, event.why
    if event.expects_extra:
        assert verdict.extra == event.extra, event.why
    if event.jour:
        assert verdict.jour == event.jour, event.why


def test_corpus_has_every_reason() -> None:
    fields = set(STREAM.event.names)
    names = {"client_nom", "produit_nom", "categorie", "pays", "segment"}
    codes = {"not_utf8", "empty", "not_json", "not_object", "trailing_data", "duplicate_key"}
    codes |= {"time_unreadable", "time_out_of_range"}
    codes |= {f"missing:{field}" for field in fields} | {f"type:{field}" for field in fields}
    codes |= {f"range:{field}" for field in fields - names - {"timestamp"}} | {f"too_long:{field}" for field in names}
    codes |= {"negative:montant", "zero:montant", "not_cents:montant"}

    assert {motif for event in CORPUS for motif in event.motifs} == codes
