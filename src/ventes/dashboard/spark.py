"""`spark.sql(...)`, as the guide's snippets know it, answered without Spark: by DuckDB in a sandboxed child process."""

from __future__ import annotations

from typing import Any

from ventes.dashboard.source import Moment


class Spark:
    """What a snippet may ask. Reads bronze_data and the Silver tables as they are in this refresh."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment

    def sql(self, query: str) -> Any:
        raise NotImplementedError("lands with the sandbox")
