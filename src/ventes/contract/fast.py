"""The fast path's query for the zones in force: sql/fast.sql with its zone arithmetic put in. Pure."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import ZoneInfo

from ventes.contract.dialect import Dialect, fragment, sql
from ventes.contract.zones import local_steps, offset_case, utc_steps

YEARS_BACK: dict[Dialect, int] = {"duckdb": 10, "spark": 2}
"""Sales older than this, where a zone has summers and winters to know, are left to `judge`. Few for Spark: it
compiles a stage into one Java method, and one of more than 8000 bytes is never compiled to machine code."""


def query(dialect: Dialect, source_zone: ZoneInfo, business_zone: ZoneInfo, year: int) -> str:
    """A query over a relation `texts` (columns: see sql/fast.sql) as of the calendar year `year`.

    It returns the columns of `texts`, the eleven typed fields, `horodatage` (naive UTC), `jour` and `sure`.
    """
    return _query(dialect, source_zone.key, business_zone.key, year)


@lru_cache(maxsize=16)
def _query(dialect: Dialect, source: str, business: str, year: int) -> str:
    first, last = max(2000, year - YEARS_BACK[dialect]), year + 1
    source_offset = "0"
    if source != "UTC":
        source_offset = offset_case("locale", local_steps(ZoneInfo(source), first, last), last)
    local = "horodatage"
    if business != "UTC":
        business_offset = offset_case(local, utc_steps(ZoneInfo(business), first, last), last)
        local = f"timestampadd(SECOND, {business_offset}, {local})"
    return sql("fast", dialect, source_offset=fragment(source_offset), jour=fragment(f"CAST({local} AS DATE)"))
