"""The verdict on one message with its fields as attributes, as tests read it."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace

from ventes.config import Settings
from ventes.judging.verdict import Judging, judge_of


def judge(value: bytes | None, kafka_ts: datetime, judging: Judging | None = None) -> SimpleNamespace:
    """The fields by their names, `motifs`, `extra`, `jour`. Without `judging`: the shipped stream, in UTC."""
    judging = judging or Judging.of(Settings())
    verdict = judge_of(judging)(value, kafka_ts)
    fields = dict(zip(judging.stream.event.names, verdict.values, strict=True))
    return SimpleNamespace(**fields, motifs=verdict.motifs, extra=verdict.extra, jour=verdict.jour)
