"""Speed of judging: the fast path in DuckDB, which both engines use, and the Python function `judge`.

    PYTHONPATH=src python bench/judge.py [--rows 300000] [--repeat 5]

Prints CPU microseconds per message (best of the repeats) and their ratio to plain sales, as our producer writes them,
for messages that are all odd in the same way. Compare CPU times: wall time depends on other load of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness.messages import raw_table
from ventes.config import Rules, Settings, Source
from ventes.judging.judge_batch import judge_batch
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


def shapes(rows: int) -> dict[str, list[bytes]]:
    """Name → messages that are all odd in one way."""
    plain = sales(rows)

    def added(member: str) -> list[bytes]:
        return [value[:-1] + f", {member}}}".encode() for value in plain]

    def changed(pattern: str, replacement: str) -> list[bytes]:
        old, new = re.compile(pattern.encode()), replacement.encode()
        return [old.sub(new, value, count=1) for value in plain]

    return {
        "white space: indented": [json.dumps(json.loads(value), indent=2).encode() for value in plain],
        "white space: a line break at the end": [value + b"\n" for value in plain],
        "text with a leading blank": changed('"client_nom": "', '"client_nom": " '),
        "one unknown field": added('"canal": "web"'),
        "two unknown fields, one with a fraction": added('"canal": "web", "remise": 0.15'),
        "twelve unknown fields": added(", ".join(f'"champ_{number}": "web"' for number in range(12))),
        "one value of a wrong type": changed('"quantite": \\d+', '"quantite": "deux"'),
        "one limit broken": changed('"quantite": \\d+', '"quantite": 0'),
        "three decimals": changed('"montant": (\\d+)[.\\d]*', '"montant": \\1.125'),
        "a negative amount": changed('"montant": ', '"montant": -'),
        "a text that is too long": changed('"client_nom": "', '"client_nom": "' + "x" * 200),
        "a field missing": changed(', "segment": "Particulier"', ""),
        "a field null": changed('"segment": "Particulier"', '"segment": null'),
        "a time out of range": changed('"2026-01-05', '"1970-01-01'),
        "a time that is none": changed('"2026-01-05T[^"]*"', '"05/01/2026 09:00"'),
        "an unknown object": added('"geo": {"lat": 48.85, "lon": 2.35}'),
        "Python sorts: an unknown object and a text": added('"geo": {"lon": 2.35, "lat": 48.85}, "canal": "web"'),
        "Python judges: a key twice": added('"pays": "France"'),
        "Python judges: no JSON": [value[:-1] for value in plain],
        "Python judges: one key twice in 100": [
            value[:-1] + b', "pays": "France"}' if number % 100 == 0 else value for number, value in enumerate(plain)
        ],
    }


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(rows: int, repeat: int, run: Callable[[], object]) -> tuple[float, float]:
    """Microseconds of CPU per message, and messages per second of wall time; the best of the repeats."""
    best_cpu = best_wall = float("inf")
    for _ in range(repeat):
        cpu, wall = cpu_seconds(), time.perf_counter()
        run()
        best_wall = min(best_wall, time.perf_counter() - wall)
        best_cpu = min(best_cpu, cpu_seconds() - cpu)
    return best_cpu / rows * 1e6, rows / best_wall


def shown(name: str, cost: float, per_second: float, plain: float) -> None:
    print(f"{name:45} {cost:7.2f} µs {cost / plain:6.2f} x plain {per_second:10,.0f}/s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=300_000, help="of plain sales; a third of it of the others")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", default="", help="shapes whose name has this text, beside the plain sales")
    given = parser.parse_args()

    inputs = {name: raw_table([*values]) for name, values in shapes(given.rows // 3).items() if given.only in name}
    valid = raw_table([*sales(given.rows)])
    load = f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(f"{given.rows} messages of {len(valid['value'][0].as_py())} bytes; {load}")
    with duckdb.connect() as con:
        con.execute("SET threads = 1")
        plain, per_second = measure(given.rows, given.repeat, lambda: judge_batch(con, valid, UTC, NOW, threads=2))
        shown("plain sales", plain, per_second, plain)
        paris = measure(given.rows, given.repeat, lambda: judge_batch(con, valid, PARIS, NOW, threads=2))
        shown("plain sales, both zones Paris", *paris, plain)
        for name, raw in inputs.items():
            cost = measure(raw.num_rows, given.repeat, lambda: judge_batch(con, raw, UTC, NOW, threads=2))  # noqa: B023
            shown(name, *cost, plain)
    some = valid.slice(0, 20_000)
    alone = measure(some.num_rows, given.repeat, lambda: judge_rows(some["value"], some["kafka_ts"], Judging.of(UTC)))
    shown("plain sales, by the Python function", *alone, plain)


if __name__ == "__main__":
    main()
