"""The figures at the top, each with its change, its target and a small line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import partial

import streamlit as st

from ventes.dashboard import card, help_text, language, sparkline, text
from ventes.dashboard.comparison import Compared, Windows, change, windows_of
from ventes.dashboard.headline_values import HeadlineValues
from ventes.dashboard.language import tr
from ventes.dashboard.query_sources import newest_event, rows_between, tables_for_parts, views_of_several
from ventes.dashboard.trend import COUNTED_ROWS, UNITS, Lines, Slices, slices_of
from ventes.dashboard.view import View
from ventes.stream.measures import Share
from ventes.stream.page import Figure, Records

DAYS_FROM = 86_400
"""Seconds of a slice from which the small lines name days."""


@dataclass(frozen=True)
class _Below:
    """What stands below the values: HTML for each figure."""

    changes: Sequence[str]
    lines: Sequence[str]


def show(view: View) -> None:
    today = view.now.astimezone(view.zone).date()
    values = HeadlineValues(view.page.figures, view.stream.event, view.snapshots, view.filters)
    found = view.shared(("headline", today), values.tables, lambda: values.of(today))
    below = _below(view)
    with st.container(key="figures"):
        cards = st.columns(len(view.page.figures), gap="small")
    for number, (place, figure) in enumerate(zip(cards, view.page.figures, strict=True)):
        with place, st.container(border=True, gap="xsmall", key=f"card-{number}"):
            value = _figure(view, figure, found.total[number], found.day[number])
            reached = card.target(_target(view, figure, found.day[number]), room=bool(view.settings.page.targets))
            st.html(f"{value}{below.changes[number]}{reached}{below.lines[number]}")
            help_text.figure(view, figure, number)


def _figure(view: View, figure: Figure, total: object, day: object) -> str:
    of_day = view.written(figure.measure, day)
    if isinstance(figure, Records):
        total = total if view.filters.used else view.snapshots[view.contract.bronze.name].rows
        of_day = text.counted(view.page, day) if isinstance(day, int) else of_day
    note = figure.note
    if note is None:
        note = tr("{value} today", value=of_day) if _has_today(view) else tr("in this period")
    return card.value(figure.label, view.written(figure.measure, total), note)


def _has_today(view: View) -> bool:
    """Whether the period has all of today."""
    return not view.filters.times and view.filters.takes_day(view.now.astimezone(view.zone).date())


def _target(view: View, figure: Figure, day: object) -> card.Target | None:
    """The target of the day. With filters the value is one of a part, and there is no target for it."""
    declared = view.stream.shown.figures[view.page.figures.index(figure)]  # its name is not translated
    wanted = view.settings.page.targets.get(declared.label)
    if (
        wanted is None
        or view.filters.fields
        or not _has_today(view)
        or not (day is None or isinstance(day, int | Decimal))
    ):
        return None
    whole = view.written(figure.measure, wanted)
    words = tr("{value} of {target} today", value=view.written(figure.measure, day), target=whole)
    return card.Target(day, wanted, words, tr("{share} of {target} today", share="{share}", target=whole))


# -- the change and the small line -------------------------------------------------------------


def _below(view: View) -> _Below:
    clean = view.contract.clean.name
    windows = windows_of(view.filters, view.now, view.zone)
    slices = slices_of(view.filters, view.now, newest_event(view.snapshots), view.zone)
    count = len(view.page.figures)
    changes: Sequence[str] = [card.changes(())] * count
    lines: Sequence[str] = [sparkline.html([], [], "")] * count
    if windows is not None:
        asked = Compared(view.page.figures, view.stream.event, windows, view.filters, view.zone)
        used = tables_for_parts(view.snapshots, asked.parts())
        first = min(window.start for window in windows.all)
        changes = view.shared_between(
            ("changes", windows, language.current()),
            used,
            first,
            windows.current.end,
            lambda: _changes(view, asked, windows),
        )
    if slices is not None:
        over = Lines(view.page.figures, view.stream.event, slices, view.filters, view.zone)
        used = (*tables_for_parts(view.snapshots, [over.of_sums()]), clean)
        end = view.now + timedelta(days=366) if slices.of_days else slices.end  # days go on until their end
        lines = view.shared_between(
            ("lines", slices, language.current()), used, slices.start, end, lambda: _lines(view, over, slices)
        )
    return _Below(changes, lines)


def _changes(view: View, asked: Compared, windows: Windows) -> list[str]:
    now, *before = asked.values(view.snapshots)
    said = [view.span(window.start, window.end) for window in windows.all]
    listed = []
    for number, figure in enumerate(view.page.figures):
        write = partial(view.written, figure.measure)
        listed.append(
            card.changes(
                [
                    card.Change(
                        change(figure.measure, now[number], values[number]),
                        window.name,
                        tr(
                            "{now}: {value}. {then}: {before}.",
                            now=said[0],
                            value=write(now[number]),
                            then=span,
                            before=write(values[number]),
                        ),
                        isinstance(figure.measure, Share),
                    )
                    for window, values, span in zip(windows.before, before, said[1:], strict=True)
                ]
            )
        )
    return listed


def _lines(view: View, over: Lines, slices: Slices) -> list[str]:
    """The small line of each figure, as HTML."""
    counted = over.of_counted()
    few = rows_between(view.snapshots, counted[0]) <= COUNTED_ROWS
    with view.snapshots.tables.connection() as con:
        parts = [over.of_sums(), *([counted] if few else [])]
        found = over.values(con, views_of_several(con, view.snapshots, parts), few)
    times = [slices.begins(number, view.zone) for number in range(slices.count + 1)]
    days = times[0].date() != times[-1].date()
    short_day = language.SHORT_DAYS[language.current()]
    ends = short_day if times[-1] - times[0] > timedelta(days=1) else "%H:%M"
    unit = language.word(UNITS[slices.unit])
    below = tr("per {unit}, {first} – {last}", unit=unit, first=f"{times[0]:{ends}}", last=f"{times[-1]:{ends}}")
    clock = short_day if slices.unit >= DAYS_FROM else f"{short_day} %H:%M" if days else "%H:%M"
    return [
        sparkline.html(
            [None if value is None else float(value) for value in line] if _are_numbers(line) else [],
            [f"{time:{clock}}: {view.written(figure.measure, v)}" for time, v in zip(times, line, strict=False)],
            below if line else "",
        )
        for figure, line in zip(view.page.figures, found, strict=True)
    ]


def _are_numbers(line: Sequence[object]) -> bool:
    return all(value is None or isinstance(value, int | Decimal) for value in line)
