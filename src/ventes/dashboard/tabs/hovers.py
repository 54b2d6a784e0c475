"""Texts of the charts: what stands beside an axis, and what a bar says under the pointer. Values are escaped."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from ventes.contract.arithmetic import share
from ventes.dashboard import charts, language, text
from ventes.dashboard.language import in_words
from ventes.dashboard.questions import Row
from ventes.dashboard.view import View
from ventes.stream.measures import Count, Measure, Share, Sum
from ventes.stream.page import Tab

LONG = 60
"""Characters of the name of a bar; other texts are shorter."""


def key_of(value: object) -> str:
    """The value of a field as a name; a dash where an optional field has none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return "–" if value is None else str(value)


def pick_of(by: Sequence[str], row: Row) -> dict[str, str]:
    """Field → value by which a click on the bar of the row filters; none where a field of it has no value."""
    return {} if any(row[name] is None for name in by) else {name: key_of(row[name]) for name in by}


def choice_key(view: View, tab: Tab, name: str) -> str:
    """The name of a tab's choice in the address: `name` for the first tab of its kind, then with a number."""
    number = view.page.number(tab)
    return f"{name}{number + 1}" if number else name


def hover(view: View, template: str, by: Sequence[str], named: str, measures: Sequence[Measure], row: Row) -> str:
    """`template` with the fields `by` and the measures of the row; by default one line for each. `named`: the bar."""
    values = {name: text.plotly(key_of(row[name]), LONG if name == named else 32) for name in by}
    values |= {measure.name: text.plotly(view.written(measure, row[measure.name])) for measure in measures}
    return (template or _default(view, by, named, measures)).format_map(values)


def _default(view: View, by: Sequence[str], named: str, measures: Sequence[Measure]) -> str:
    others = [f"{text.plotly(view.page.label(name).one)} {{{name}}}" for name in by if name != named]
    lines = [f"{in_words(measure.name)} {{{measure.name}}}" for measure in measures]
    return "<br>".join([f"<b>{{{named}}}</b>", *others, *lines])


def beside(view: View, measure: Measure, values: Sequence[Any], total: Any = None) -> list[str]:
    """What stands beside each bar: the value in short, and its share of `total` where the measure adds up to it.

    The exact values are in the hover box and in the table.
    """
    if isinstance(measure, Share):
        return [text.percent(value) for value in values]
    currency = view.currency(measure) or ""
    adds_up = isinstance(measure, Count | Sum) and total and not any(value and value < 0 for value in values)
    written = []
    for value in values:
        words = "–" if value is None else text.compact(Decimal(value))
        if value is not None and currency:
            negative = words.startswith("-")
            words = language.with_currency(words.removeprefix("-"), currency, negative)
        written.append(f"{words} · {text.percent(share(Decimal(value or 0), Decimal(total)))}" if adds_up else words)
    return written


def title_of(view: View, title: str, measure: Measure) -> str:
    """The title of an axis, with the currency where the measure has one."""
    currency = view.currency(measure)
    return (title if currency is None else f"{title} ({currency})").replace("$", "&#36;")


def axis_of(view: View, measure: Measure) -> charts.Axis | None:
    """How the numbers beside an axis are written."""
    if isinstance(measure, Share):
        return charts.PERCENT_AXIS
    currency = view.currency(measure)
    return None if currency is None else charts.money_axis(currency)
