"""Ids for sales: positive, below 2^53, growing with time, and unique.

    id = tick << 12 | lane          41 bits of tick, 12 bits of lane

tick  counts 1/2048 s since 2025-01-01 UTC (41 bits last until 2059). Each id uses another tick: the clock's, or the
      one after the last tick used if the clock has not advanced, was set back, or is slower than the rate (a fast
      producer is ahead of the clock; ids stay in order).
lane  is the number that Kafka gave this run, modulo 4096.

Why ids are unique:
* Producers that share a state folder share a ledger, a file with the next free tick. A range of ticks is reserved
  there, under an exclusive lock, before its first id is used. Two runs, at once or after kill -9, get disjoint
  ranges whatever the clock is. Between them a collision is impossible.
* Producers that do not share it (other machines, a copied or deleted state folder) differ in their lane. Kafka
  numbers every idempotent producer of a cluster and never repeats a number, so two runs would have to be a multiple
  of 4096 producers apart *and* sell in the same 1/2048 s, or have a deleted ledger *and* a clock set back.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from ventes import kafka
from ventes.config import Settings
from ventes.errors import VentesError

LANE_BITS = 12
TICK_BITS = 41
LANES = 1 << LANE_BITS
TICKS_A_SECOND = 2048
EPOCH = datetime(2025, 1, 1, tzinfo=timezone.utc).timestamp()

_WIDTH = 20
"""Digits in the ledger: a fixed length, overwritten with one write."""


class Ids:
    """Generates ids of one lane. `clock` returns Unix seconds."""

    def __init__(self, ledger: Path, lane: int, clock: Callable[[], float] = time.time) -> None:
        ledger.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = ledger
        self._lane = lane % LANES
        self._clock = clock
        self._file = os.open(ledger, os.O_RDWR | os.O_CREAT, 0o600)

    def take(self, count: int) -> range:
        """`count` new ids, ascending. They are reserved on disk: after a crash they are not used again."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            first = max(self._free(), int((self._clock() - EPOCH) * TICKS_A_SECOND), 1)
            end = first + count
            if end > 1 << TICK_BITS:
                raise VentesError(
                    f"no ids left: the next one would lie at {datetime.fromtimestamp(self._time(end), timezone.utc)}",
                    f"correct the clock; if {self._path} was written while it was wrong, delete that file",
                )
            os.pwrite(self._file, b"%0*d\n" % (_WIDTH, end), 0)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        return range(first << LANE_BITS | self._lane, end << LANE_BITS | self._lane, LANES)

    def close(self) -> None:
        os.close(self._file)

    @staticmethod
    def _time(tick: int) -> float:
        return min(EPOCH + tick / TICKS_A_SECOND, 253402300799.0)

    def _free(self) -> int:
        """The next free tick. With an empty ledger (new, or after a power cut) only clock and lane make ids unique."""
        text = os.pread(self._file, _WIDTH, 0).strip(b"\0\n ")
        if not text:
            return 0
        if not text.isdigit():
            raise VentesError(
                f"{self._path} holds {text!r} instead of the next free id",
                "delete it: ids then continue from the clock",
            )
        return int(text)


def lane_from_kafka(settings: Settings, seconds: float = 10.0) -> int:
    """A number that no other run of this Kafka cluster has: the id that the broker gives an idempotent producer.

    Raises BrokerUnavailable after `seconds`.
    """
    numbers: list[int] = []

    def hear(statistics: str) -> None:
        numbers.append(json.loads(statistics)["eos"]["producer_id"])

    config: dict[str, Any] = {"enable.idempotence": True, "statistics.interval.ms": 20, "stats_cb": hear}
    deadline = time.monotonic() + seconds
    with kafka.made(Producer, kafka.client_config(settings, **config)) as client:
        while not numbers or numbers[-1] < 0:
            if time.monotonic() > deadline:
                raise kafka.unavailable(settings, "it gives no producer id")
            client.poll(0.05)
    return numbers[-1] % LANES
