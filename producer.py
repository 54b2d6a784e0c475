#!/usr/bin/env python3
"""Sends sales to Kafka: `python producer.py --help` lists the options. The work is done in src/ventes/producer."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))
    from ventes.runtime.launch import ensure_environment

    ensure_environment("confluent_kafka")
    from ventes.cli.produce import main

    sys.exit(main())
