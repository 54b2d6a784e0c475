"""What the Silver job counts of its lots for the metrics: rows, reasons of rejected messages, freshness.

It is computed from columns that a lot has in memory anyway. The counts begin at 0 with each process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ventes.judging.verdict import reason_codes
from ventes.runtime.distribution import FRESHNESS_SECONDS, Distribution
from ventes.stream.declaration import Stream
from ventes.stream.reasons import OF_A_FIELD, OF_A_MESSAGE

OTHER = "other"
"""What a code is counted as that this release does not know for the stream."""
ARRIVAL = "kafka_ts"


def at_column(stream: Stream) -> str:
    """The column of the clean events with the time of the event."""
    return stream.event.field(stream.event.at).clean_name


Instants = npt.NDArray[np.int64]
"""Times in Unix µs, ascending."""


@dataclass(frozen=True)
class LotColumns:
    """What the metrics need of a lot: no more work for a row than to sort its times, and that may be a task's.

    `event`, `arrival`: the times of the clean events and of their arrival, in any number of parts. `reasons`: code →
    how many rejected rows have it.
    """

    event: tuple[Instants, ...]
    arrival: tuple[Instants, ...]
    reasons: Counter[str]

    @classmethod
    def of_rows(cls, stream: Stream, clean: pa.Table, rejets: pa.Table) -> LotColumns:
        motifs = pc.value_counts(pc.list_flatten(rejets["motifs"])).to_pylist()
        reasons = Counter({found["values"]: found["counts"] for found in motifs})
        return cls((_instants(clean[at_column(stream)]),), (_instants(clean[ARRIVAL]),), reasons)

    @classmethod
    def together(cls, parts: Sequence[LotColumns]) -> LotColumns:
        """Those of all parts of a lot."""
        event = tuple(times for part in parts for times in part.event)
        arrival = tuple(times for part in parts for times in part.arrival)
        return cls(event, arrival, sum((part.reasons for part in parts), Counter()))


def _instants(times: pa.ChunkedArray) -> Instants:
    micros = times.drop_null().cast(pa.timestamp("us", times.type.tz)).cast(pa.int64()).to_numpy()
    found: Instants = np.sort(micros)
    return found


def codes_of(stream: Stream) -> frozenset[str]:
    """Every reason that a message of the stream can be rejected for."""
    of_fields = {
        codes[kind]
        for field in stream.event.read
        for codes in [reason_codes(field.name, field.name == stream.event.at)]
        for kind in OF_A_FIELD
    }
    return frozenset({*OF_A_MESSAGE, *of_fields, *(rule.code for rule in stream.rules if rule.severity == "reject")})


class LotMeasures:
    """The sums of all lots since the start of the process."""

    def __init__(self, stream: Stream) -> None:
        self._known = codes_of(stream)
        self.clean = self.rejected = 0
        # these begin at 0, so that the first one is an increase for Prometheus; those of fields would be too many
        own = {rule.code for rule in stream.rules if rule.severity == "reject"}
        self.reasons: Counter[str] = Counter(dict.fromkeys(sorted({*OF_A_MESSAGE, *own, OTHER}), 0))
        self._from_event, self._from_kafka = Distribution(FRESHNESS_SECONDS), Distribution(FRESHNESS_SECONDS)

    def add(self, clean: int, rejected: int, columns: LotColumns, now: float) -> None:
        """Add a lot that was committed at `now` (Unix seconds): its rows, and their columns."""
        self.clean += clean
        self.rejected += rejected
        for code, count in columns.reasons.items():
            self.reasons[code if code in self._known else OTHER] += count
        for times in columns.event:
            _add_ages(self._from_event, times, now)
        for times in columns.arrival:
            _add_ages(self._from_kafka, times, now)

    def record(self) -> dict[str, Any]:
        """The heartbeat's fields."""
        return {
            "clean": self.clean,
            "rejected": self.rejected,
            "reasons": dict(self.reasons),
            "freshness": {"event": self._from_event.record(), "kafka": self._from_kafka.record()},
        }


def _add_ages(distribution: Distribution, times: Instants, now: float) -> None:
    """Add the ages of `times`; a time in the future has the age 0."""
    ages = np.maximum(now - times[::-1] / 1e6, 0.0)  # ascending
    upto = np.searchsorted(ages, distribution.bounds, side="right")
    counts = np.diff(upto, prepend=0, append=len(ages))
    distribution.add_counts(counts.tolist(), float(ages.sum()))
