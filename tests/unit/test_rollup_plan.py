"""Which partial tables a declaration needs, and from where the distinct counts are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_declared_rollups import declared_in
from ventes.config import Settings
from ventes.lake.rollup_plan import Plan, plan_of
from ventes.stream import BOOLEAN, Aggregate, ByDay, ByHour, Count, Distinct, Expression, Mean, Sum, Values
from ventes.stream.declared import DeclarationError


def planned(folder: Path, *aggregates: Aggregate, zone: str = "UTC") -> Plan:
    return plan_of(declared_in(folder, "declared", aggregates, zone))


def sources(plan: Plan) -> dict[str, Any]:
    return {
        rollup.table.name: (rollup.partial, *((count.column, count.stored_in) for count in rollup.distinct))
        for rollup in plan.rollups
    }


def test_the_five_tables_of_sales_need_three_partial_tables() -> None:
    plan = plan_of(Settings())
    assert list(plan.partials) == ["ventes_aggreges", "ventes_par_produit", "ventes_par_minute"]
    clients = "ventes_aggreges"
    assert sources(plan) == {
        "ventes_aggreges": (clients,),
        "ventes_par_pays": (clients, ("unique_customers", clients)),
        "ventes_par_segment": (clients, ("unique_customers", clients), ("countries_count", clients)),
        "ventes_par_produit": ("ventes_par_produit",),
        "ventes_par_minute": ("ventes_par_minute",),
    }


def test_a_coarser_table_takes_the_rows_of_a_finer_one_if_they_have_its_sums(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        Aggregate("by_shop", ("shop",), (Mean("mean", "small"),)),
        Aggregate("by_paid", ("paid",), (Sum("fees", "fee"),)),
        Aggregate("some", ("shop",), (Count("n"),), where="small > 0"),
        Aggregate("days", (ByDay("day"),), (Count("n"),)),
        Aggregate("hours", (ByHour(),), (Count("n"),)),
        Aggregate("fine", ("shop", "paid", ByDay()), (Count("events"), Sum("total", "small"))),
    )
    assert {name: source for name, (source, *_) in sources(plan).items()} == {
        "by_shop": "fine",  # its mean has the sum and the count of the other, under other names
        "by_paid": "by_paid",  # another sum
        "some": "some",  # other events
        "days": "fine",
        "hours": "hours",
        "fine": "fine",
    }
    (by_shop,) = [rollup for rollup in plan.rollups if rollup.table.name == "by_shop"]
    assert by_shop.taken == {"shop": "shop", "_mean_sum": "total", "_mean_count": "events"}


def test_a_table_comes_after_the_one_that_has_its_distinct_values(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        Aggregate("by_shop", ("shop",), (Distinct("dues", "due"), Distinct("fees", "fee"))),
        Aggregate("listed", ("shop",), (Values("list", "fee"), Distinct("fees", "fee"))),
        Aggregate("fine", ("shop", "due"), (Count("events"),)),
    )
    assert [rollup.table.name for rollup in plan.rollups] == ["fine", "by_shop", "listed"]
    assert sources(plan)["by_shop"][1:] == (("dues", "fine"), ("fees", None))
    assert "by_shop.fees" in plan.partials
    assert sources(plan)["listed"] == ("listed",), "it counts its list"


def test_hours_of_a_zone_are_arithmetic_and_not_the_databases(tmp_path: Path) -> None:
    plan = planned(tmp_path, Aggregate("hours", (ByHour(),), (Count("n"),)), zone="Europe/Paris")
    assert "THEN 7200" in plan.partials["hours"]
    assert "Paris" not in plan.partials["hours"]


def test_a_setting_that_does_not_exist_is_named(tmp_path: Path) -> None:
    wrong = Expression("big", BOOLEAN, "n > :rules.lojal_from")
    with pytest.raises(DeclarationError, match=r"hours.big: there is no setting rules.lojal_from"):
        planned(tmp_path, Aggregate("hours", (ByHour(),), (Count("n"), wrong)))
