"""Many active clients: `python bench/clients.py [--clients 1000000] [--rate 1000] [--seconds 120] [--engine embedded]`.

Each client buys once today: so many rows has ventes_aggreges for this day. Then sales of random ones of these clients
come at a constant rate, so that every lot changes rows all over the largest roll-up. Measured meanwhile:

    clean      seconds from a sale to the commit that made it visible in ventes_clean
    roll-ups   the same to the commit of ventes_aggreges whose lots include the sale
    cores      CPU of each job, children included
    MB         the highest memory of each job
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import psutil
import pyarrow as pa
from confluent_kafka import Producer

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]
from bench.freshness import added_after, percentiles  # noqa: E402
from bench.soak import cpu_seconds, rss_mb  # noqa: E402
from harness.pipeline import Pipeline  # noqa: E402
from harness.shipped import AGGREGES, CLEAN, SILVER_APP  # noqa: E402
from ventes import kafka  # noqa: E402
from ventes.deltalog.database import connect  # noqa: E402
from ventes.deltalog.log import Log  # noqa: E402
from ventes.lake.tables import path_of  # noqa: E402

JOBS = ("bronze", "silver")
PULSES = 10
"""Sends per second."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=1_000, help="sales per second (%(default)s)")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--engine", choices=("embedded", "spark"), default="embedded")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Pipeline(Path(folder), options.engine) as pipeline:
        for job in JOBS:
            pipeline.start(job)
        began = time.monotonic()
        pipeline.send(sales(1, range(1, options.clients + 1)))
        pipeline.catch_up(900)
        print(f"{options.clients:,} clients are there after {time.monotonic() - began:.0f} s", file=sys.stderr)
        print(json.dumps(measured(pipeline, options.clients, options.rate, options.seconds), indent=1))


def measured(pipeline: Pipeline, clients: int, rate: int, seconds: int) -> dict[str, object]:
    clean, rollup = (path_of(pipeline.settings, table) for table in (CLEAN, AGGREGES))
    versions = Log.open(clean).version, Log.open(rollup).version
    processes = {job: psutil.Process(pipeline.jobs[job].pid) for job in JOBS}
    spent = {job: cpu_seconds(process) for job, process in processes.items()}
    peaks = dict.fromkeys(JOBS, 0.0)
    since, stop = datetime.now(timezone.utc), threading.Event()

    def watch() -> None:
        while not stop.wait(0.5):
            for job, process in processes.items():
                peaks[job] = max(peaks[job], rss_mb(process))

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    producer = Producer(kafka.client_config(pipeline.settings, **{"linger.ms": 5, "enable.idempotence": True}))
    rng, began = random.Random(1), time.monotonic()
    for pulse in range(seconds * PULSES):
        time.sleep(max(0.0, began + pulse / PULSES - time.monotonic()))
        first = clients + 1 + pulse * (rate // PULSES)
        for sale in sales(first, (rng.randint(1, clients) for _ in range(rate // PULSES))):
            producer.produce(pipeline.settings.topic, sale, key=b"1", partition=0)
        producer.poll(0)
    assert producer.flush(60) == 0
    took = time.monotonic() - began
    cores = {job: round((cpu_seconds(process) - spent[job]) / took, 3) for job, process in processes.items()}
    pipeline.catch_up(120)
    stop.set()
    watching.join()
    _, added = added_after(clean, versions[0])
    return {
        "clean": percentiles(added, since=since),
        "roll-ups": _to_rollup([str(one.path) for one in added], rollup, versions[1], since),
        "cores": cores,
        "MB": {job: round(peak) for job, peak in peaks.items()},
    }


def sales(first_id: int, clients: Iterator[int] | range) -> Iterator[bytes]:
    """A sale of each client, made now."""
    for number, client in enumerate(clients, first_id):
        yield (
            f'{{"vente_id": {number}, "client_id": {client}, "produit_id": {number % 24 + 1}, '
            f'"timestamp": "{datetime.now(timezone.utc).isoformat()}", "quantite": 2, "montant": {number % 300 + 1}.5, '
            f'"client_nom": "Client {client}", "produit_nom": "Produit {number % 24 + 1}", '
            f'"categorie": "Maison", "pays": "Pays {client % 40}", "segment": "Pro"}}'
        ).encode()


def _to_rollup(files: list[str], rollup: Path, version: int, since: datetime) -> dict[str, float]:
    """Percentiles of the time from a sale to the commit of the roll-up that includes its lot."""
    lots, visible = [], []
    while (entry := rollup / "_delta_log" / f"{version + 1:020d}.json").exists():
        version += 1
        for line in entry.read_text().splitlines():
            transaction = json.loads(line).get("txn")
            if transaction and transaction["appId"] == SILVER_APP:
                lots.append(int(transaction["version"]))
                visible.append(entry.stat().st_mtime)
    commits = pa.table({"upto": lots, "visible": visible})
    with connect() as con:
        con.register("commits", commits)
        row = con.execute(
            """
            SELECT quantile_cont(age, [0.5, 0.95, 0.99]), count(*) FROM (
              SELECT (SELECT min(visible) FROM commits WHERE upto >= lot) - epoch(horodatage) AS age
              FROM read_parquet(?, hive_partitioning = false) WHERE horodatage >= ?
            )
            """,
            [files, since],
        ).fetchone()
    assert row is not None
    return {**dict(zip(("p50", "p95", "p99"), row[0], strict=True)), "sales": row[1]}


if __name__ == "__main__":
    main()
