"""The peer's job: Pathway reads the topic, parses each sale, and counts and sums them by country. No table is written.

Run by `bench/peer.py` with the interpreter of a separate environment (`make peer`):

    bench/.peer/bin/python bench/peer_job.py BOOTSTRAP TOPIC PROGRESS [--lines FILE]

PROGRESS is a file that always holds the number of sales counted so far. `--lines`: also write each sale to FILE, as
JSON lines. Pathway's own Delta sink needs a licence key, so it cannot be compared here.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pathway as pw  # type: ignore[import-not-found]  # is in an environment of its own


class Sale(pw.Schema):  # type: ignore[misc]
    vente_id: int
    client_id: int
    produit_id: int
    timestamp: str
    quantite: int
    montant: float
    client_nom: str
    produit_nom: str
    categorie: str
    pays: str
    segment: str


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("progress", type=Path)
    parser.add_argument("--lines")
    args = parser.parse_args()
    settings = {"bootstrap.servers": args.bootstrap, "group.id": "peer", "auto.offset.reset": "earliest"}
    sales = pw.io.kafka.read(settings, topic=args.topic, format="json", schema=Sale, autocommit_duration_ms=100)
    by_country = sales.groupby(pw.this.pays).reduce(
        pw.this.pays, sales=pw.reducers.count(), revenue=pw.reducers.sum(pw.this.montant)
    )
    counts: dict[str, int] = {}

    def change(key: pw.Pointer, row: dict[str, object], time: int, is_addition: bool) -> None:
        if is_addition:  # the old count of a country is taken back in the same step
            counts[str(row["pays"])] = int(str(row["sales"]))

    def step_done(time: int) -> None:
        new = args.progress.with_suffix(".new")
        new.write_text(str(sum(counts.values())), encoding="utf-8")
        os.replace(new, args.progress)

    pw.io.subscribe(by_country, on_change=change, on_time_end=step_done)
    if args.lines:
        pw.io.jsonlines.write(sales, args.lines)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)


if __name__ == "__main__":
    main()
