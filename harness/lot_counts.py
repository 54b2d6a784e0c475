"""Compares what a Silver job reports for the metrics with the tables that it wrote."""

from __future__ import annotations

from collections import Counter

from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.engines.lot_measures import OTHER, codes_of
from ventes.lake import tables
from ventes.runtime import heartbeat


def assert_reported(settings: Settings) -> None:
    """The counts in the heartbeat of a Silver job that took all lots of the lake equal its tables."""
    found = heartbeat.read(settings.state, "silver")
    assert found is not None
    clean, rejets = (tables.snapshot(settings, table).arrow() for table in contract.of(settings).outcomes)
    assert (found.clean, found.rejected) == (clean.num_rows, rejets.num_rows)
    known = codes_of(settings.stream)
    motifs = Counter(code if code in known else OTHER for row in rejets["motifs"].to_pylist() for code in row)
    assert {reason: count for reason, count in found.reasons.items() if count} == motifs
    assert [sum(found.freshness[since]["counts"]) for since in ("event", "kafka")] == [clean.num_rows] * 2
    lots = {*clean["lot"].to_pylist(), *rejets["lot"].to_pylist()}
    assert sum(found.batch_times["counts"]) == len(lots)
