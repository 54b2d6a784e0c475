"""The actions of a Delta commit that this library reads and writes, in the protocol's JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

_PATH_SAFE = "/=-_.~+:,@!$&'()*"

Action = dict[str, Any]
"""One line of a commit: {kind: body}."""


@dataclass(frozen=True)
class DataFile:
    """One live Parquet file. `path` is relative to the table; `modified` is Unix milliseconds."""

    path: str
    size: int
    partition: Mapping[str, str | None]
    modified: int
    raw_stats: str | None = None

    @cached_property
    def stats(self) -> Mapping[str, Any]:
        """Delta's statistics: numRecords, minValues, maxValues, nullCount; {} if the writer gave none."""
        return json.loads(self.raw_stats) if self.raw_stats else {}

    @property
    def rows(self) -> int | None:
        return self.stats.get("numRecords")

    def bounds(self, column: str) -> tuple[Any, Any] | None:
        """(smallest, largest) value of `column` as in the log, or None if the log has none."""
        low = self.stats.get("minValues", {}).get(column)
        high = self.stats.get("maxValues", {}).get(column)
        return None if low is None or high is None else (low, high)

    def add(self, data_change: bool) -> Action:
        return {
            "add": {
                "path": quote(self.path, safe=_PATH_SAFE),
                "partitionValues": dict(self.partition),
                "size": self.size,
                "modificationTime": self.modified,
                "dataChange": data_change,
                "stats": self.raw_stats,
            }
        }

    def remove(self, data_change: bool) -> Action:
        return {
            "remove": {
                "path": quote(self.path, safe=_PATH_SAFE),
                "deletionTimestamp": int(time.time() * 1000),
                "dataChange": data_change,
                "extendedFileMetadata": True,
                "partitionValues": dict(self.partition),
                "size": self.size,
            }
        }


def transaction(app_id: str, version: int) -> Action:
    return {"txn": {"appId": app_id, "version": version, "lastUpdated": int(time.time() * 1000)}}
