"""The fast path's query for the zones in force: sql/fast.sql with its zone arithmetic put in. Pure."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import ZoneInfo

from ventes.contract.dialect import Dialect, fragment, sql
from ventes.contract.zones import local_steps, offset_case, utc_steps

YEARS_BACK = 10
"""Sales older than this, where a zone has summers and winters to know, are left to `judge`."""


def query(dialect: Dialect, source_zone: ZoneInfo, business_zone: ZoneInfo, year: int) -> str:
    """A query over a relation `texts` (columns: see sql/fast.sql) as of the calendar year `year`.

    It returns the columns of `texts`, the eleven typed fields, `horodatage` (naive UTC), `jour` and `sure`.
    """
    return _query(dialect, source_zone.key, business_zone.key, year)


@lru_cache(maxsize=16)
def _query(dialect: Dialect, source: str, business: str, year: int) -> str:
    first, last = max(2000, year - YEARS_BACK), year + 1
    source_offset = "0"
    if source != "UTC":
        source_offset = offset_case("locale", local_steps(ZoneInfo(source), first, last), last)

    def day(column: str) -> str:
        if business == "UTC":
            return f"CAST({column} AS DATE)"
        offset = offset_case(column, utc_steps(ZoneInfo(business), first, last), last)
        return f"CAST(timestampadd(SECOND, {offset}, {column}) AS DATE)"

    return sql(
        "fast",
        dialect,
        source_offset=fragment(source_offset),
        jour_vente=fragment(day("horodatage")),
        jour_kafka=fragment(day("kafka_ts")),
    )
