#!/usr/bin/env python3
"""Bronze → Silver: `python streaming_silver.py --help` lists the options; the work is in src/ventes/engines."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))
    from ventes.runtime.launch import ensure_environment

    ensure_environment("deltalake", "duckdb", "confluent_kafka")
    from ventes.cli.jobs import silver

    sys.exit(silver())
