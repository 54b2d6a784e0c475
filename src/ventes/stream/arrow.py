"""Arrow's types, loaded when the first one is asked for.

The supervisor and the producer load a declaration for its topic only; Arrow would take 20 MB of memory in each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
else:

    class _Arrow:
        def __getattr__(self, name: str) -> Any:
            import pyarrow

            return getattr(pyarrow, name)

    pa = _Arrow()

__all__ = ["pa"]


def instant() -> pa.DataType:
    """Of every point in time: microseconds, UTC."""
    return pa.timestamp("us", tz="UTC")
