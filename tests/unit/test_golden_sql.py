"""The SQL that runs, as files, so that a review sees a change. `python -m tests.unit.test_golden_sql` writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import sqlglot

from ventes.config import Settings
from ventes.engines.lot_sql import CLEAN, COMPUTED, JUDGED, REJECTED, lot_sql
from ventes.judging import fast_path
from ventes.judging.verdict import Judging
from ventes.lake.rollup_plan import plan_of

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def statements() -> Iterator[tuple[str, str]]:
    """(file name, SQL) of every statement, for the default rules, as both engines run it."""
    for name in (JUDGED, CLEAN, COMPUTED, REJECTED):
        yield f"{name}.duckdb.sql", lot_sql(Settings().stream, name)
    plan = plan_of(Settings())
    for partial, statement in plan.partials.items():
        yield f"partial_{partial}.duckdb.sql", statement
    for rollup in plan.rollups:
        yield f"{rollup.table.name}.duckdb.sql", rollup.merged
    for file, names in (("fast_path", ()), ("fast_path_unknown", (("canal",), ("geo",), ("geo", "lat")))):
        fast = fast_path.query(Judging.of(Settings()), 2026, names)
        assert fast is not None
        yield f"{file}.duckdb.sql", fast


def pretty(statement: str) -> str:
    """One clause per line, so that a difference is small."""
    return sqlglot.parse_one(statement, read="duckdb").sql("duckdb", pretty=True) + "\n"


def test_the_sql_that_runs_is_the_golden_one() -> None:
    found = {name: pretty(statement) for name, statement in statements()}
    kept = {path.name: path.read_text(encoding="utf-8") for path in GOLDEN.glob("*.sql")}
    assert set(found) == set(kept)
    for name in found:
        assert found[name] == kept[name], f"{name}: if the change is meant, python -m tests.unit.test_golden_sql"


if __name__ == "__main__":
    for name, statement in statements():
        (GOLDEN / name).write_text(pretty(statement), encoding="utf-8")
