"""Fills Bronze without Kafka: raw messages, judged as in the embedded job."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa

from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.deltalog import commit
from ventes.deltalog.database import connect
from ventes.deltalog.log import Log
from ventes.judging.judge_batch import judge_batch
from ventes.judging.messages import RAW
from ventes.lake import tables

TOPIC = "ingested"
ARRIVAL = datetime(2026, 1, 5, 10, tzinfo=timezone.utc)


def sale(vente_id: int, **changes: Any) -> bytes:
    """A valid sale as JSON."""
    fields = {
        "vente_id": vente_id,
        "client_id": vente_id % 7 + 1,
        "produit_id": vente_id % 3 + 1,
        "timestamp": (ARRIVAL - timedelta(seconds=vente_id % 1000)).isoformat(),
        "quantite": 1 + vente_id % 3,
        "montant": round(1.25 * (1 + vente_id % 11), 2),
        "client_nom": f"Zoé {vente_id % 7}",
        "produit_nom": f"Produit {vente_id % 3}",
        "categorie": "Maison",
        "pays": ("France", "Suisse")[vente_id % 2],
        "segment": "Pro",
    }
    return json.dumps(fields | changes).encode()


def ingest(settings: Settings, values: Sequence[bytes | None], first: int = 0, partition: int = 0) -> None:
    """Add messages to Bronze, from offset `first`, one per millisecond."""
    bronze = contract.of(settings).bronze
    tables.ensure(settings, bronze)
    with connect() as con:
        rows = judge_batch(con, messages(values, first, partition), settings, ARRIVAL + timedelta(minutes=1))
    commit.append(Log.open(settings.bronze), bronze, rows, f"test:{partition}", first + len(values))


def messages(values: Iterable[bytes | None], first: int, partition: int) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "key": b"1",
                "value": value,
                "headers": [{"key": "source", "value": b"\xff"}] if number % 2 else None,
                "topic_id": TOPIC,
                "partition": partition,
                "offset": first + number,
                "kafka_ts": ARRIVAL + timedelta(milliseconds=first + number),
            }
            for number, value in enumerate(values)
        ],
        schema=RAW,
    )
