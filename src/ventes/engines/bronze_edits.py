"""Handles a Bronze table that another program changed: restored to an earlier version, edited, optimized."""

from __future__ import annotations

import logging

from ventes.contract.tables import of_stream
from ventes.deltalog.log import Log
from ventes.errors import SourceChanged
from ventes.lake import doubled_rows
from ventes.lake.positions import as_transactions, of_log, read_through
from ventes.stream.declaration import Stream


def settle(bronze: Log, stream: Stream, log: logging.Logger) -> None:
    """Make the recorded position and file list of Bronze match its rows, before reading continues. Needs Bronze's lock.

    Rows missing at its end are read again from Kafka; `ventes verify` reports offsets that are missing elsewhere. Rows
    that are there twice are removed. Raises SourceChanged if there are others that no job wrote: after the last offset
    read from Kafka they would make reading skip messages.
    """
    if not bronze.edited:
        return
    if doubled := doubled_rows.remove(bronze, of_stream(stream).bronze):
        log.warning("%s held %d rows twice, as two programs merged its files: removed", bronze.path, doubled)
        return
    if surplus := doubled_rows.surplus_of(bronze):
        what = beyond(bronze) or f"{surplus} more than were written"
        raise SourceChanged(
            f"{bronze.path} holds rows that no job wrote: {what}",
            "delete them (SQL's DELETE), or put the table back as it was (RESTORE TABLE), then `ventes start`",
        )
    missing = bronze.missing_rows
    if missing > 0:
        log.warning(
            "%s holds %d rows fewer than were written: reading continues after its last row", bronze.path, missing
        )
    transactions: dict[str, int] = {}
    for (topic_id, partition), offset in {**dict.fromkeys(read_through(bronze), -1), **of_log(bronze)}.items():
        transactions |= as_transactions(stream, topic_id, {partition: offset})
    bronze.accept(transactions if missing else None)


def beyond(bronze: Log) -> str:
    """The rows after the last offset read from Kafka, as text; '' if there are none."""
    known = read_through(bronze)
    found = [
        f"partition {partition} of {topic_id} up to offset {offset}"
        for (topic_id, partition), offset in sorted(of_log(bronze).items())
        if offset > known.get((topic_id, partition), -1)
    ]
    return ", ".join(found)
