"""The history of the alerts: the Delta table <lake>/alerts/history, a row for each event.

It is no table of the stream: `verify` does not count it, and SQL typed by users does not see it. The alerts service
writes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from ventes.config import Settings
from ventes.deltalog.database import connect
from ventes.deltalog.snapshot import Snapshot
from ventes.deltalog.table import Table
from ventes.stream.arrow import instant

TABLE = Table(
    name="alert_history",
    key=("number",),
    stats=("number", "at"),
    schema=pa.schema(
        [
            ("number", pa.int64()),  # rises by one or more from event to event
            ("at", instant()),
            ("alert", pa.string()),
            ("event", pa.string()),  # firing, reminder, over, silenced, unsilenced, removed
            ("severity", pa.string()),
            ("value", pa.string()),  # NULL: none was measured
            ("sentence", pa.string()),
            ("since", instant()),  # firing, reminder, over: when the condition began to hold
            ("until", instant()),  # silenced: until when
            ("by", pa.string()),  # silenced, unsilenced: who asked for it; NULL for what the service did itself
            ("channels", pa.list_(pa.string())),  # the channels that the message is for; [] for none
        ]
    ),
)


def path_of(settings: Settings) -> Path:
    return settings.lake / "alerts" / "history"


def newest(settings: Settings, most: int) -> list[dict[str, Any]]:
    """The newest events, the last one first. Raises TableMissing, LakeDamaged."""
    snapshot = Snapshot.open(path_of(settings), TABLE)
    with connect() as con:
        rows = con.execute(f"SELECT * FROM ({snapshot.select()}) ORDER BY number DESC LIMIT {most:d}").to_arrow_table()
    found: list[dict[str, Any]] = rows.to_pylist()
    return found
