"""Whether this library may write to a table: its protocol version and every table feature in use, by name.

Delta's rule: a writer must refuse a table with a writer feature that it does not implement. A version number up to 6
only allows features; of these, only features in use are considered.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ventes.deltalog.actions import Action
from ventes.errors import LakeDamaged

READER_VERSION = 1
"""Plain Parquet files: no deletion vectors, no column mapping."""
FEATURES_BY_NAME = 7
"""The writer version from which a protocol lists its features."""
READ = frozenset({"vacuumProtocolCheck"})
"""Reader features that need no support in this reader."""
WRITTEN = frozenset(
    {
        "vacuumProtocolCheck",
        # Up to writer version 6; `_in_use` says whether a table uses them.
        "appendOnly",
        "invariants",
        "checkConstraints",
        "changeDataFeed",
        "generatedColumns",
        "columnMapping",
        "identityColumns",
    }
)


def refuse_unreadable(path: Path, protocol: Action) -> None:
    """Raise LakeDamaged, naming the feature, if the table at `path` cannot be read by this library."""
    unknown = sorted(set(protocol.get("readerFeatures") or ()) - READ)
    version = protocol["minReaderVersion"]
    if unknown or (version > READER_VERSION and not protocol.get("readerFeatures")):
        what = _named(unknown) if unknown else f"Delta reader version {version}"
        raise LakeDamaged(f"{path} needs {what}, not known here", _way_back(unknown[0] if unknown else ""))


def refuse_unwritable(path: Path, protocol: Action, metadata: Action) -> None:
    """Raise LakeDamaged, naming the feature, if the table at `path` must not be written by this library."""
    unknown = sorted(set(protocol.get("writerFeatures") or ()) - WRITTEN)
    if unknown:
        raise LakeDamaged(f"{path} has {_named(unknown)}, not kept here", _way_back(unknown[0]))
    version = protocol.get("minWriterVersion", 0)
    if version > FEATURES_BY_NAME:
        raise LakeDamaged(f"{path} needs Delta writer version {version}, not known here", _way_back(""))
    for what, way_back in _in_use(path, metadata):
        raise LakeDamaged(f"{path} has {what}, not kept here", way_back)


def _in_use(path: Path, metadata: Action) -> Iterator[tuple[str, str]]:
    """(feature in use that this library does not implement, how to remove it)."""
    properties: dict[str, str] = metadata.get("configuration") or {}
    for name in properties:
        if name.startswith("delta.constraints."):
            constraint = name.removeprefix("delta.constraints.")
            yield (
                f"the CHECK constraint {constraint!r}",
                f"ALTER TABLE delta.`{path}` DROP CONSTRAINT {constraint}",
            )
    if properties.get("delta.appendOnly") == "true":
        yield "delta.appendOnly = true", _unset(path, "delta.appendOnly")
    if properties.get("delta.enableChangeDataFeed") == "true":
        yield "a change data feed", _unset(path, "delta.enableChangeDataFeed")
    if properties.get("delta.columnMapping.mode", "none") != "none":
        yield "column mapping", _way_back("columnMapping")
    for field in json.loads(metadata.get("schemaString") or '{"fields": []}')["fields"]:
        notes: dict[str, Any] = field.get("metadata") or {}
        for key in notes:
            if key in ("delta.invariants", "delta.generationExpression") or key.startswith("delta.identity."):
                yield f"{key} on column {field['name']!r}", _way_back("")


def _named(features: list[str]) -> str:
    return f"the table feature{'s' if len(features) > 1 else ''} {', '.join(map(repr, features))}"


def _unset(path: Path, name: str) -> str:
    return f"ALTER TABLE delta.`{path}` UNSET TBLPROPERTIES ('{name}')"


def _way_back(feature: str) -> str:
    drop = f"ALTER TABLE … DROP FEATURE {feature} TRUNCATE HISTORY, or " if feature else ""
    return f"a foreign tool changed the table: {drop}put back a copy from before, or `ventes reset`"
