"""Texts of the charts: what stands beside an axis, and what a bar says under the pointer. Values are escaped."""

from __future__ import annotations

from collections.abc import Sequence

from ventes.dashboard import charts, text
from ventes.dashboard.questions import Row
from ventes.dashboard.view import View
from ventes.stream.measures import Measure, Share
from ventes.stream.page import Tab, in_words

LONG = 60
"""Characters of the name of a bar; other texts are shorter."""


def key_of(value: object) -> str:
    """The value of a field as a name; a dash where an optional field has none."""
    if isinstance(value, bool):
        return str(value).lower()
    return "–" if value is None else str(value)


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
