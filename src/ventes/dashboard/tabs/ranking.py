"""The largest combinations of some fields, how each changes, and what rises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from ventes.dashboard import card, charts, explained, figures, growth, help_text, text
from ventes.dashboard.growth import Grown, Growth, Spans
from ventes.dashboard.language import in_words, tr
from ventes.dashboard.query_sources import tables_for_parts, views_of_several
from ventes.dashboard.questions import Grouped, Row
from ventes.dashboard.tabs.hovers import axis_of, beside, choice_key, hover, key_of, pick_of, title_of
from ventes.dashboard.view import View
from ventes.stream.kinds import Integer
from ventes.stream.measures import Measure, Share
from ventes.stream.page import Ranking


@dataclass(frozen=True)
class _Trend:
    """How the keys of a ranking changed between two spans of time."""

    spans: Spans
    of: Mapping[tuple[Any, ...], Grown]

    @property
    def rising(self) -> list[Grown]:
        return sorted((one for one in self.of.values() if one.place), key=lambda one: one.place)


def render(tab: Ranking, view: View) -> None:
    ranks = {rank.measure: rank for rank in tab.ranked}
    by = (
        view.choice(tr("Ranked by"), tuple(ranks), choice_key(view, tab, "rank"))
        if len(ranks) > 1
        else next(iter(ranks))
    )
    rank = ranks.get(by, tab.ranked[0])
    measure = next(measure for measure in tab.measures if measure.name == rank.measure)
    asked = Grouped(tab.by, tab.measures)
    tables = view.answered_by(asked.question(view.stream.event))
    rows, total = view.shared((tab, rank.measure), tables, lambda: _rows(view, tab, asked, measure))
    if not rows:
        view.nothing()
        return
    trend = _trend(view, tab, asked, measure, rows)
    figure = charts.bars(
        [key_of(row[tab.named]) for row in rows],
        [float(row[measure.name] or 0) for row in rows],
        [_hover(view, tab, measure, row, trend) for row in rows],
        title_of(view, rank.axis or in_words(measure.name), measure),
        axis_of(view, measure),
        _beside(beside(view, measure, [row[measure.name] for row in rows], total), tab, measure, rows, trend),
    )
    heading = rank.heading or tr(
        "Largest {many} by {measure}", many=view.page.label(tab.named).plural, measure=in_words(measure.name).lower()
    )
    help_text.heading(
        view,
        heading,
        f"ranking-{rank.measure}",
        _about(view, tab, measure, trend),
        tables,
        explained.ranking(tab, measure, view.stream.event, view.contract.clean.name, view.filters),
    )
    picks = [pick_of(tab.by, row) for row in rows]
    view.chart(
        figure, f"ranking-{rank.measure}", alt=tab.alt or tr("Bar chart: {what}", what=heading), picks=picks, fill=True
    )
    if trend is not None:
        _say_rising(view, tab, measure, trend)
    names = {name: view.page.label(name).one for name in tab.by}
    money = {in_words(m.name): unit for m in tab.measures if (unit := view.currency(m)) is not None}
    if trend is not None and (unit := view.currency(measure)) is not None:
        money |= {in_words(trend.spans.now.name): unit, in_words(trend.spans.before.name): unit}
    view.as_table(
        lambda: [
            {
                **{label: _cell(row[name]) for name, label in names.items()},
                **{in_words(measure.name): row[measure.name] for measure in tab.measures},
                **_columns(tab, measure, row, trend),
            }
            for row in rows
        ],
        choice_key(view, tab, "ranking"),
        money=money,
        formats={label: "%d" for name, label in names.items() if isinstance(view.stream.event.field(name), Integer)},
    )


def _about(view: View, tab: Ranking, measure: Measure, trend: _Trend | None) -> str:
    compared, name = "", text.markdown(in_words(measure.name).lower())
    if trend is not None:
        now, before = trend.spans.now, trend.spans.before
        said = tr(
            "The arrow compares {measure} of {now} with {before}. *Rising* are those that gained most.",
            measure=name,
            now=view.span(now.start, now.end),
            before=view.span(before.start, before.end),
        )
        compared = f"\n\n{said}"
    largest = tr("The {n} largest by {measure}:", n=tab.most, measure=name)
    return f"{largest}\n{help_text.of_measures(view, tab.measures)}{compared}\n\n{help_text.of_clicks()}"


def _cell(value: object) -> object:
    """An integer stays one, so that the column sorts as numbers."""
    return value if isinstance(value, int) and not isinstance(value, bool) else text.cell(key_of(value))


def _rows(view: View, tab: Ranking, asked: Grouped, by: Measure) -> tuple[list[Row], Any]:
    """The rows of the largest, and the value of all together."""
    event = view.stream.event
    with view.sums(asked.question(event)) as con:
        return figures.grouped(con, asked, event, by.name, tab.most), figures.of_all(con, by, event)


# -- the trend ---------------------------------------------------------------------------------


def _trend(view: View, tab: Ranking, asked: Grouped, by: Measure, rows: Sequence[Row]) -> _Trend | None:
    spans = growth.spans_of(view.filters, view.now, view.zone)
    if spans is None:
        return None
    grown = Growth(asked, by, view.stream.event, view.filters, spans, view.zone)
    shown = tuple(_key(tab, row) for row in rows)

    def ask() -> dict[tuple[Any, ...], Grown]:
        with view.snapshots.tables.connection() as con:
            found = grown.of(con, views_of_several(con, view.snapshots, grown.parts()).rstrip(), rows)
            return {one.key: one for one in found}

    tables = tables_for_parts(view.snapshots, grown.parts())
    found = view.shared_between(("growth", tab, by, spans, shown), tables, spans.before.start, spans.now.end, ask)
    return _Trend(spans, found)


def _key(tab: Ranking, row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in tab.by)


def _arrow(measure: Measure, grown: Grown | None) -> str:
    """`▲ 12.3%`, `new`, or a dash."""
    if grown is None:
        return "–"
    if grown.is_new:
        return tr("new")
    return card.Change(grown.by(measure), "", "", isinstance(measure, Share)).words


def _beside(texts: list[str], tab: Ranking, measure: Measure, rows: Sequence[Row], trend: _Trend | None) -> list[str]:
    if trend is None:
        return texts
    return [
        f"{words} · {_arrow(measure, trend.of.get(_key(tab, row)))}" for words, row in zip(texts, rows, strict=True)
    ]


def _hover(view: View, tab: Ranking, measure: Measure, row: Row, trend: _Trend | None) -> str:
    said = hover(view, tab.hover, tab.by, tab.named, tab.measures, row)
    if trend is None or (grown := trend.of.get(_key(tab, row))) is None:
        return said
    values = tr(
        "{now}, before {before}", now=view.written(measure, grown.now), before=view.written(measure, grown.before)
    )
    return f"{said}<br>{text.plotly(in_words(trend.spans.now.name))}: {text.plotly(values, 80)}"


def _columns(tab: Ranking, measure: Measure, row: Row, trend: _Trend | None) -> dict[str, Any]:
    if trend is None:
        return {}
    grown = trend.of.get(_key(tab, row))
    return {
        in_words(trend.spans.now.name or tr("this period")): grown.now if grown else None,
        in_words(trend.spans.before.name): grown.before if grown else None,
        tr("Change"): _arrow(measure, grown),
    }


def _say_rising(view: View, tab: Ranking, measure: Measure, trend: _Trend) -> None:
    """Which gained most; nothing for a measure that does not add up."""
    place = tab.by.index(tab.named)
    said = [
        f"{text.markdown(key_of(one.key[place]), 40)} {text.markdown(view.written(measure, one.before or 0))} → "
        f"{text.markdown(view.written(measure, one.now))} (**{_arrow(measure, one)}**)"
        for one in trend.rising
    ]
    if said:
        rising = tr(
            "**Rising**, {now} against {before}: {listed}",
            now=text.markdown(trend.spans.now.name or tr("this period")),
            before=text.markdown(trend.spans.before.name),
            listed=" · ".join(said),
        )
        st.markdown(f":material/trending_up: {rising}")
