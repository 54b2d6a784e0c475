"""Speed of judging: the fast path in DuckDB, which both engines use, and the Python function `judge`.

    PYTHONPATH=src python bench/judge.py [--rows 300000] [--repeat 5]

Prints CPU nanoseconds per message (all processes of this one, best of the repeats) and wall time, for valid
sales as our producer writes them, for one bad message in a hundred, and for messages that all need the Python
function. Compare CPU times: wall time depends on other load of the machine.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import duckdb
import psutil
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness.messages import raw_table
from ventes.config import Rules, Settings, Source
from ventes.judging.judge_batch import judge_batch as embedded_judged
from ventes.judging.judge_rows import judge_rows
from ventes.judging.verdict import Judging

NOW = datetime(2026, 1, 5, 10, 0, 1, tzinfo=timezone.utc)
UTC = Settings()
PARIS = Settings(source=Source(time_zone="Europe/Paris"), rules=Rules(time_zone="Europe/Paris"))


def sales(rows: int) -> list[bytes]:
    """Valid sales as json.dumps writes them."""
    rng = random.Random(1)
    return [
        (
            f'{{"vente_id": {1767600000000 + number}, "client_id": {rng.randint(1, 300)}, '
            f'"produit_id": {rng.randint(1, 80)}, '
            f'"timestamp": "2026-01-05T09:{rng.randint(10, 59)}:{rng.uniform(10, 59):.6f}+00:00", '
            f'"quantite": {rng.randint(1, 5)}, "montant": {rng.randint(100, 20000) / 100}, '
            f'"client_nom": "Zo\\u00e9 Dupont", "produit_nom": "Clavier m\\u00e9canique", '
            f'"categorie": "Informatique", "pays": "France", "segment": "Particulier"}}'
        ).encode()
        for number in range(rows)
    ]


def cpu_seconds() -> float:
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in processes if process.is_running())


def measure(name: str, rows: int, repeat: int, run: Callable[[], object]) -> None:
    best_cpu = best_wall = float("inf")
    for _ in range(repeat):
        cpu, wall = cpu_seconds(), time.perf_counter()
        run()
        best_wall = min(best_wall, time.perf_counter() - wall)
        best_cpu = min(best_cpu, cpu_seconds() - cpu)
    print(
        f"{name:45} {best_cpu / rows * 1e9:8.0f} ns CPU per message  {rows / best_wall:10,.0f} messages/s of wall time",
        flush=True,
    )


def with_duckdb(inputs: dict[str, pa.Table], repeat: int) -> None:
    with duckdb.connect() as con:
        con.execute("SET threads = 2")
        for name, raw in inputs.items():
            config = PARIS if "Paris" in name else UTC
            measure(f"DuckDB, {name}", raw.num_rows, repeat, lambda: embedded_judged(con, raw, config, NOW))  # noqa: B023


def with_python(raw: pa.Table, repeat: int) -> None:
    some = raw.slice(0, 20_000)
    run = lambda: judge_rows(some["value"], some["kafka_ts"], Judging.of(UTC))  # noqa: E731
    measure("judge itself, one process", some.num_rows, repeat, run)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()

    valid = sales(given.rows)
    inputs = {
        "valid sales": raw_table([*valid]),
        "valid sales, both zones Paris": raw_table([*valid]),
        "one bad message in 100": raw_table([b"{}" if number % 100 == 0 else v for number, v in enumerate(valid)]),
        "unknown field in every message": raw_table([v[:-1] + b', "canal": "web"}' for v in valid]),
    }
    load = f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(f"{given.rows} messages of {len(valid[0])} bytes; {load}")
    with_python(inputs["valid sales"], given.repeat)
    with_duckdb(inputs, given.repeat)


if __name__ == "__main__":
    main()
