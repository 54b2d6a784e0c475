"""The verdict as tests read it: on one message, and what SQL decided beside the function's."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from ventes.config import Settings
from ventes.judging.judge_rows import judge_rows
from ventes.judging.verdict import Judging, judge_of


def judge(value: bytes | None, kafka_ts: datetime, judging: Judging | None = None) -> SimpleNamespace:
    """The fields by their names, `motifs`, `extra`, `jour`. Without `judging`: the shipped stream, in UTC."""
    judging = judging or Judging.of(Settings())
    verdict = judge_of(judging)(value, kafka_ts)
    fields = dict(zip(judging.stream.event.names, verdict.values, strict=True))
    return SimpleNamespace(**fields, motifs=verdict.motifs, extra=verdict.extra, jour=verdict.jour)


def decided(found: pa.Table, raw: pa.Table, judging: Judging) -> list[bool]:
    """Which messages SQL decided. Asserts that it gave them what `judge` gives: values, reasons, unknown fields, day.

    `found`: of `judge_batch.fast_rows`. Unknown fields that it left open only have to be some.
    """
    judged = judge_rows(raw["value"], raw["kafka_ts"], judging).to_pylist()
    sure = []
    for row, wanted, value in zip(found.to_pylist(), judged, raw["value"].to_pylist(), strict=True):
        sure.append(row["_reasons"] is not None)
        strict = not {"not_json", "duplicate_key"} & set(wanted["motifs"])
        if not sure[-1] or (row["_extra_open"] and not strict):
            continue
        ours = {name: _in_utc(row[name]) for name in judging.stream.event.names}
        ours |= {"motifs": sorted(row["_reasons"].split(",")[:-1]), "_extra": row["_extra"], "jour": row["jour"]}
        if row["_extra_open"] and wanted["_extra"] is not None:
            ours["_extra"] = wanted["_extra"]
        assert ours == wanted, value
    return sure


def _in_utc(item: Any) -> Any:
    return item.replace(tzinfo=timezone.utc) if isinstance(item, datetime) else item
