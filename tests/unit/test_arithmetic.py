"""Means and shares: Python, DuckDB and a decimal division written out by hand agree to the last cent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

import duckdb
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ventes.contract.arithmetic import mean, share
from ventes.deltalog.database import connect
from ventes.stream.sql_text import rounded_quotient

LARGEST = 999_999_999_999
"""Cents of the largest sale."""


def by_hand(cents: int, count: int) -> Decimal:
    """cents / count, half up, by comparing exact fractions with the two neighbours."""
    exact = Fraction(cents, count)
    below = cents // count
    nearest = below + 1 if exact - below >= Fraction(1, 2) else below
    return Decimal(nearest).scaleb(-2)


@pytest.mark.parametrize(
    ("total", "count", "wanted"),
    [
        ("0.29", 2, "0.15"),  # 0.145, which a double holds as 0.14499…
        ("0.01", 2, "0.01"),
        ("0.01", 3, "0.00"),
        ("2.675", 1, "2.68"),
        ("100.00", 3, "33.33"),
        ("200.00", 3, "66.67"),
        ("9999999999.99", 1, "9999999999.99"),
        ("99999999999999999999999999.99", 2, "50000000000000000000000000.00"),
    ],
)
def test_a_mean_is_rounded_half_up(total: str, count: int, wanted: str) -> None:
    assert mean(Decimal(total), count) == Decimal(wanted)


def test_nothing_has_no_mean_and_no_share() -> None:
    assert mean(Decimal(0), 0) is None
    assert share(0, 0) is None


@pytest.mark.parametrize(
    ("part", "whole", "wanted"), [(1, 3, "0.333"), (2, 3, "0.667"), (1, 2000, "0.001"), (1, 2001, "0.000")]
)
def test_a_share_is_rounded_half_up_to_a_tenth_of_a_percent(part: int, whole: int, wanted: str) -> None:
    assert share(part, whole) == Decimal(wanted)


SUMS = st.tuples(st.integers(1, 10**9), st.integers(1, LARGEST)).flatmap(
    lambda drawn: st.tuples(st.integers(drawn[0], drawn[0] * drawn[1]), st.just(drawn[0]))
)
"""(cents, count) of possible sums: each of `count` sales has 1 … LARGEST cents."""


@given(SUMS)
def test_python_agrees_with_fractions(drawn: tuple[int, int]) -> None:
    cents, count = drawn
    assert mean(Decimal(cents).scaleb(-2), count) == by_hand(cents, count)


@given(st.lists(SUMS, min_size=1, max_size=50))
def test_the_sql_agrees_with_fractions(drawn: list[tuple[int, int]]) -> None:
    expression = rounded_quotient("total", pa.decimal128(28, 2), "n", 2)
    with connect() as con:
        con.execute("CREATE TABLE sums (place INT, total DECIMAL(28, 2), n BIGINT)")
        rows = [(place, Decimal(cents).scaleb(-2), count) for place, (cents, count) in enumerate(drawn)]
        con.executemany("INSERT INTO sums VALUES (?, ?, ?)", rows)
        found = con.execute(f"SELECT {expression} FROM sums ORDER BY place").fetchall()
    assert [value for (value,) in found] == [by_hand(cents, count) for cents, count in drawn]


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(threads=1) as opened:
        yield opened


@given(
    st.integers(-(10**31), 10**31),
    st.integers(1, 10**12),
    st.integers(0, 9),
    st.integers(0, 6),
    st.sampled_from([28, 38]),
)
@example(-5, 2, 2, 2, 28)  # a tie below zero goes away from zero
@example(10**24, 3, 9, 6, 38)
def test_a_quotient_of_any_scale_agrees_with_fractions(
    con: duckdb.DuckDBPyConnection, units: int, count: int, decimals: int, scale: int, digits: int
) -> None:
    most = min(10**digits - 1, count * 10 ** (19 + decimals))  # the mean has at most 20 digits before the point
    units = max(-most, min(most, units))
    wanted = nearest(Fraction(units, 10**decimals) / count, scale)
    assert quotient(con, units, pa.decimal128(digits, decimals), count, scale) == wanted
    assert mean(Decimal(f"{units}e-{decimals}"), count, scale) == wanted


@given(st.integers(-(2**63), 2**63 - 1), st.integers(1, 10**12), st.integers(0, 6))
def test_a_quotient_of_whole_numbers_agrees_with_fractions(
    con: duckdb.DuckDBPyConnection, total: int, count: int, scale: int
) -> None:
    assert quotient(con, total, pa.int64(), count, scale) == nearest(Fraction(total, count), scale)


def nearest(exact: Fraction, scale: int) -> Decimal:
    """Half up, away from zero."""
    units = math.floor(abs(exact) * 10**scale + Fraction(1, 2))
    return Decimal(f"{units if exact >= 0 else -units}e-{scale}")


def quotient(con: duckdb.DuckDBPyConnection, units: int, kind: pa.DataType, count: int, scale: int) -> Decimal:
    decimal = pa.types.is_decimal(kind)
    typed = f"DECIMAL({kind.precision}, {kind.scale})" if decimal else "BIGINT"
    total = format(Decimal(f"{units}e-{kind.scale}") if decimal else Decimal(units), "f")
    expression = rounded_quotient("total", kind, "n", scale)
    row = con.execute(f"SELECT {expression} FROM (SELECT ?::{typed} AS total, ?::BIGINT AS n)", [total, count])
    (found,) = row.fetchall()
    return Decimal(found[0])
