"""The fast path's query for the zones in force: fast_path.sql with the zone arithmetic inserted. Pure."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import ZoneInfo

from ventes.contract.dialect import fragment, sql
from ventes.stream.zones import local_steps, offset_case, utc_steps

YEARS_BACK = 10
"""Sales older than this go to `judge` if the zone has daylight saving time."""


@lru_cache(maxsize=16)
def query(source_zone: ZoneInfo, business_zone: ZoneInfo, year: int) -> str:
    """A query in DuckDB over a relation `texts` (columns: see fast_path.sql) as of the calendar year `year`.

    It returns the columns of `texts`, the eleven typed fields, `horodatage` (naive UTC), `jour` and `proven`.
    """
    first, last = max(2000, year - YEARS_BACK), year + 1
    source_offset = "0"
    if source_zone.key != "UTC":
        source_offset = offset_case("local_time", local_steps(source_zone, first, last), last)
    local = "horodatage"
    if business_zone.key != "UTC":
        business_offset = offset_case(local, utc_steps(business_zone, first, last), last)
        local = f"timestampadd(SECOND, {business_offset}, {local})"
    return sql(
        "judging/fast_path", "duckdb", source_offset=fragment(source_offset), jour=fragment(f"CAST({local} AS DATE)")
    )
