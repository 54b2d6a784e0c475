"""Small pieces of DuckDB SQL that declared names and numbers are composed with. Pure."""

from __future__ import annotations

from ventes.stream.arrow import pa


def quoted(name: str) -> str:
    """An identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text."""
    return "'" + text.replace("'", "''") + "'"


def listed(names: tuple[str, ...]) -> str:
    """Identifiers, separated by commas."""
    return ", ".join(quoted(name) for name in names)


def rounded_quotient(total: str, kind: pa.DataType, count: str, scale: int) -> str:
    """`total` / `count`, half up (away from zero) to `scale` decimals; NULL if `total` is.

    `total`: an expression of the type `kind` (a whole number or a decimal), `count`: one of a whole number, above 0
    where there is a total. All is whole numbers of 128 bits: the quotient and its remainder are exact.
    """
    decimals = kind.scale if pa.types.is_decimal(kind) else 0
    number = _times(_units(total, kind), max(scale - decimals, 0))
    divisor = _times(f"{count}::HUGEINT", max(decimals - scale, 0))
    up = f"CASE WHEN 2 * abs({number} % {divisor}) >= {divisor} THEN sign({number}) ELSE 0 END"
    return scaled(f"({number} // {divisor} + {up})", scale)


def scaled(units: str, scale: int) -> str:
    """A whole number of 10^-`scale` as a decimal: 1234 with scale 2 is 12.34. At most 38 - `scale` digits."""
    whole = f"{units}::DECIMAL({38 - scale}, 0)"
    return f"{whole} * '{10**-scale:.{scale}f}'::DECIMAL({scale}, {scale})" if scale else whole


def _times(number: str, zeros: int) -> str:
    return f"({number} * {10**zeros}::HUGEINT)" if zeros else number


def _units(total: str, kind: pa.DataType) -> str:
    """A decimal as a whole number of its last digit."""
    if not pa.types.is_decimal(kind) or not kind.scale:
        return f"{total}::HUGEINT"
    if kind.precision + kind.scale > 38:  # the product would not fit a decimal
        return f"replace({total}::VARCHAR, '.', '')::HUGEINT"
    return f"({total} * {10**kind.scale})::HUGEINT"
