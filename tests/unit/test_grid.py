"""Tables of the page show every number exactly: ids, amounts, sums, with and without gaps."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from ventes.cli.reading import _for_json, _short
from ventes.dashboard import grid
from ventes.dashboard.spark import Result
from ventes.dashboard.tabs.hovers import key_of

LARGE = 502424218828802
"""An id that pandas' float holds exactly, but that the browser then shows as 502424218828802.06."""
HUGE = 9007199254740993
"""2^53 + 1: no double."""


def table(rows: list[dict[str, Any]], money: tuple[str, ...] = (), currency: str = "$") -> tuple[pa.Table, Any]:
    return grid.shown(grid.arrow_of(rows), currency, money, {})


def pattern(configuration: Any, name: str) -> str | None:
    found: str | None = configuration[name]["type_config"].get("format")
    return found


def test_an_id_stays_an_integer_in_a_column_with_gaps() -> None:
    found, configuration = table([{"vente_id": LARGE}, {"vente_id": None}])
    assert found["vente_id"].type == pa.int64()
    assert found["vente_id"].to_pylist() == [LARGE, None]
    assert pattern(configuration, "vente_id") == "%d"


def test_an_integer_that_no_double_holds_is_sent_as_text() -> None:
    found, configuration = table([{"vente_id": HUGE, "sales": -HUGE}, {"vente_id": 1, "sales": None}])
    assert found.to_pylist() == [
        {"vente_id": "9007199254740993", "sales": "-9,007,199,254,740,993"}, {"vente_id": "1", "sales": None},
    ]  # fmt: skip
    assert configuration["vente_id"]["alignment"] == "right"


@pytest.mark.parametrize(
    ("amount", "sent"),
    [
        (Decimal("0.15"), Decimal("0.15")),
        (Decimal("9999999999999.99"), Decimal("9999999999999.99")),
        (Decimal("99999999999999.99"), "$99,999,999,999,999.99"),
        (Decimal("-99999999999999999999999999.99"), "-$99,999,999,999,999,999,999,999,999.99"),
    ],
)
def test_money_is_exact_as_shown(amount: Decimal, sent: Decimal | str) -> None:
    found, configuration = table([{"Revenue": amount}, {"Revenue": None}], money=("Revenue",))
    assert found["Revenue"].to_pylist() == [sent, None]
    assert isinstance(sent, str) or pattern(configuration, "Revenue") == "$%,.2f"


def test_a_currency_of_several_letters_follows_the_amount() -> None:
    _, configuration = table([{"Revenue": Decimal("1.50")}], money=("Revenue",), currency="EUR")
    assert pattern(configuration, "Revenue") == "%,.2f EUR"
    found, _ = table([{"Revenue": Decimal("99999999999999.99")}], money=("Revenue",), currency="EUR")
    assert found["Revenue"].to_pylist() == ["99,999,999,999,999.99 EUR"]


def test_decimals_show_all_their_digits() -> None:
    found, configuration = table([{"x": Decimal("1.230000")}])
    assert pattern(configuration, "x") == "%.6f"
    found, _ = table([{"x": Decimal("1234567890123.123456")}])
    assert found["x"].to_pylist() == ["1234567890123.123456"]


def test_a_long_number_among_short_ones_is_not_cut_off() -> None:
    """The grid measures a column by its typical values."""
    _, configuration = table([{"vente_id": 1, "offset": 1}, {"vente_id": LARGE, "offset": 2}])
    assert configuration["vente_id"]["width"] >= 8 * len(str(LARGE))
    assert configuration["offset"]["width"] is None


def test_counts_have_separators_and_names_have_none() -> None:
    _, configuration = table([{"Sales": 1000, "client_id": 1000, "offset": 1000}])
    assert [pattern(configuration, name) for name in ("Sales", "client_id", "offset")] == ["%,d", "%d", "%d"]


def test_rows_may_lack_keys_and_a_column_may_mix_kinds() -> None:
    found = grid.arrow_of([{"a": 1}, {"a": "x", "b": None}, {"a": 2**70}])
    assert found.to_pylist() == [
        {"a": "1", "b": None}, {"a": "x", "b": None}, {"a": "1180591620717411303424", "b": None},
    ]  # fmt: skip
    assert grid.arrow_of([]).num_rows == 0


def test_spark_sql_gives_exact_integers_to_pandas_too() -> None:
    """Users make their own charts and tables from this frame."""
    result = Result(pa.table({"vente_id": pa.array([HUGE, None], pa.int64()), "n": pa.array([HUGE, 1], pa.int64())}))
    frame = result.toPandas()
    assert frame["vente_id"].tolist()[0] == frame["n"].tolist()[0] == HUGE
    assert json.loads(frame.to_json(orient="records"))[0]["vente_id"] == HUGE
    assert result.collect()[0]["vente_id"] == HUGE


def test_decimals_without_a_fraction_stay_integers_in_pandas() -> None:
    """An id that a query casts to DECIMAL, and a sum of large integers."""
    exact = pa.array([Decimal(HUGE), None], pa.decimal128(20, 0))
    beyond = pa.array([Decimal(10**30 + 1), Decimal(1)], pa.decimal128(38, 0))
    result = Result(pa.table({"n": exact, "beyond": beyond}))
    assert int(result.toPandas()["n"][0]) == int(result.to_pandas()["n"].iloc[0]) == HUGE
    assert int(result.toPandas()["beyond"][0]) == 10**30 + 1


def test_amounts_in_pandas_are_floats_only_where_that_changes_no_digit() -> None:
    small = pa.array([Decimal("0.29"), Decimal("59.99")], pa.decimal128(12, 2))
    large = pa.array([Decimal("99999999999999.99"), Decimal("0.01")], pa.decimal128(18, 2))
    frame = Result(pa.table({"small": small, "large": large})).toPandas()
    assert frame["small"].dtype == "float64"
    assert frame["large"].tolist() == [Decimal("99999999999999.99"), Decimal("0.01")]
    assert Result(pa.table({"large": large})).to_pandas()["large"].dtype == "float64"  # a chart's lengths


def test_unsigned_integers_with_gaps_stay_integers_in_pandas() -> None:
    frame = Result(pa.table({"n": pa.array([2**64 - 1, None], pa.uint64())})).toPandas()
    assert int(frame["n"][0]) == 2**64 - 1


def test_a_very_small_decimal_is_written_without_an_exponent() -> None:
    assert key_of(Decimal("0.000000001")) == "0.000000001"
    assert key_of(Decimal("0E-9")) == "0.000000000"
    assert _short(Decimal("0.000000001"), 60) == _for_json(Decimal("0.000000001")) == "0.000000001"
