"""CPU time of the embedded engine: per row for each step, by batch size, and while idle.

    python bench/embedded.py steps     CPU µs per row of each step of Bronze and Silver, in this process, without Kafka
    python bench/embedded.py idle      CPU of each process at 30 sales per minute, and from the start to the first sale

CPU time, unlike wall time, depends little on other load of the machine. bench/compare.py measures throughput and
freshness of the whole pipeline.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psutil
import pyarrow as pa

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))
from harness.pipeline import Pipeline, wait_for  # noqa: E402
from harness.shipped import BRONZE, CLEAN  # noqa: E402
from ventes import config  # noqa: E402
from ventes.config import Settings  # noqa: E402
from ventes.deltalog import commit  # noqa: E402
from ventes.deltalog.database import connect  # noqa: E402
from ventes.engines.embedded.silver import EmbeddedSilver  # noqa: E402
from ventes.engines.lot_range import LotRange  # noqa: E402
from ventes.judging.judge_batch import THREADS, judge_batch  # noqa: E402
from ventes.judging.messages import RAW  # noqa: E402
from ventes.lake import silver_recovery  # noqa: E402
from ventes.lake.open_tables import OpenTables  # noqa: E402
from ventes.lake.positions import of_log  # noqa: E402
from ventes.lake.rollups import Publisher  # noqa: E402
from ventes.lake.tables import path_of  # noqa: E402

NAMES = ("Zoé Dupont", "Ana Garcia", "Jean Martin", "Léa Bernard", "Noah Petit")


def messages(count: int, first: int) -> pa.Table:
    """Valid sales of 300 clients and 40 products, as KafkaReader returns them."""
    rng = random.Random(first)
    now = datetime.now(timezone.utc)
    values = []
    for number in range(first, first + count):
        client, product = min(300, int(rng.paretovariate(0.9))), rng.randrange(1, 41)
        sale = {
            "vente_id": 10**12 + number,
            "client_id": client,
            "produit_id": product,
            "timestamp": (now - timedelta(seconds=rng.random())).isoformat(),
            "quantite": rng.randrange(1, 5),
            "montant": round(rng.uniform(1, 300), 2),
            "client_nom": f"{NAMES[client % 5]} {client}",
            "produit_nom": f"Produit {product}",
            "categorie": f"Catégorie {product % 6}",
            "pays": ("France", "Belgique", "Suisse", "Italie")[client % 4],
            "segment": ("Particulier", "Professionnel")[client % 2],
        }
        values.append(json.dumps(sale).encode())
    columns = [
        pa.array([b"1"] * count, pa.binary()),
        pa.array(values, pa.binary()),
        pa.nulls(count, RAW.field("headers").type),
        pa.array(["bench"] * count, pa.string()),
        pa.array([0] * count, pa.int32()),
        pa.array(range(first, first + count), pa.int64()),
        pa.array([now] * count, RAW.field("kafka_ts").type),
    ]
    table = pa.Table.from_arrays(columns, schema=RAW)
    return pa.Table.from_batches(table.to_batches(max_chunksize=5_000), RAW)


class Meter:
    """CPU seconds of this process (all threads) per step."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = defaultdict(float)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        before = time.process_time()
        yield
        self.cpu[name] += time.process_time() - before


def steps(sizes: list[int], rows: int) -> None:
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="ventes-bench-") as folder:
            settings = config.load(paths={"lake": folder, "state": folder, "logs": folder})
            _steps(settings, size, max(5, min(200, rows // size)))


def _steps(settings: Settings, size: int, count: int) -> None:
    tables = OpenTables(settings)
    bronze = tables.ensure(BRONZE)
    con = connect(settings.embedded.memory_mb, threads=1)  # as the job has it
    engine = EmbeddedSilver(settings, tables)
    publisher = Publisher(settings, tables, engine.database)
    silver_recovery.recover(tables, publisher)
    meter = Meter()
    for number in range(count + 3):
        if number == 3:
            meter.cpu.clear()  # caches are warm now
        raw = messages(size, number * size)
        with meter.step("judge"):
            judged_rows = judge_batch(con, raw, settings, datetime.now(timezone.utc), threads=THREADS)
        with meter.step("bronze commit"):
            commit.append(bronze, BRONZE, judged_rows, "bench", number)
        after = {("bench", 0): number * size - 1}
        lot_range = LotRange(after, of_log(bronze))
        with meter.step("silver take"):
            taken = engine.take(lot_range, number + 1)
        with meter.step("roll-ups"):
            publisher.publish(publisher.together([taken.partials]), number + 1)
    each = {name: cpu / count for name, cpu in meter.cpu.items()}
    parts = "   ".join(f"{name} {cpu / size * 1e6:7.2f}" for name, cpu in each.items())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    total = sum(each.values())
    print(f"{size:7,} rows: CPU µs per row: {parts}   sum {total / size * 1e6:7.2f}   {total * 1000:6.1f} ms per batch")
    print(f"{'':14}peak RSS so far {peak:.0f} MB (the generator's messages included)")
    engine.close()


def idle(seconds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ventes-bench-") as folder, Pipeline(Path(folder), "embedded") as pipeline:
        began = time.monotonic()
        pipeline.start("producer", "", None, "--rate", "0.5")
        pipeline.start("bronze")
        pipeline.start("silver")
        clean = path_of(pipeline.settings, CLEAN)
        wait_for(lambda: (clean / "_delta_log").is_dir() and pipeline.rows(CLEAN) > 0, "the first sale in Silver")
        print(f"jobs started → first sale in Silver: {time.monotonic() - began:.1f} s")
        assert pipeline.broker.process is not None
        family = {"broker": psutil.Process(pipeline.broker.process.pid)}
        family |= {name: psutil.Process(job.pid) for name, job in pipeline.jobs.items()}
        time.sleep(10)  # the start is measured separately
        before = {name: sum(process.cpu_times()[:2]) for name, process in family.items()}
        rows, watched = pipeline.rows(CLEAN), time.monotonic()
        time.sleep(seconds)
        watched = time.monotonic() - watched
        rows = pipeline.rows(CLEAN) - rows
        used = {name: sum(process.cpu_times()[:2]) - before[name] for name, process in family.items()}
        for name, cpu in used.items():
            rss = family[name].memory_info().rss / 2**20
            print(f"{name:9} {cpu / watched:.4f} core   {cpu / rows * 1000:6.1f} ms per sale   RSS {rss:.0f} MB")
        print(f"{'all':9} {sum(used.values()) / watched:.4f} core at {rows / watched * 60:.0f} sales per minute")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("steps", "idle"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 100, 1_000, 10_000, 50_000])
    parser.add_argument(
        "--rows", type=int, default=300_000, help="rows per batch size, in at least 5 and at most 200 batches"
    )
    parser.add_argument("--seconds", type=int, default=60, help="length of the idle measurement")
    args = parser.parse_args()
    if args.what == "steps":
        steps(args.sizes, args.rows)
    else:
        idle(args.seconds)


if __name__ == "__main__":
    main()
