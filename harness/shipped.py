"""The tables of the shipped stream, sales, by the names that tests and benchmarks use."""

from __future__ import annotations

from ventes.config import PROJECT
from ventes.contract.tables import of_stream
from ventes.stream.loading import load

STREAM = load(PROJECT / "streams" / "ventes.py")
TABLES = of_stream(STREAM)
BRONZE, CLEAN, REJETS, ROLLUPS = TABLES.bronze, TABLES.clean, TABLES.rejets, TABLES.rollups
ALL = TABLES.all
AGGREGES, PAR_PAYS, _PAR_SEGMENT, _PAR_PRODUIT, PAR_MINUTE = ROLLUPS
EVENT_FIELDS = STREAM.event.names
SILVER_APP = STREAM.silver_app
