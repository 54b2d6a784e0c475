"""A declared page in the viewer's language: the same page, its words replaced.

Fields, measures and what stands in an address stay as they are declared, so that a link shows the same in any language.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from ventes.dashboard.language import Language, current, declared
from ventes.stream.declaration import Stream
from ventes.stream.page import Bars, Example, Figure, Label, Page, Rank, Ranking, Raw, Tab

Words = Callable[[str], str]


@dataclass(frozen=True)
class TranslatedLabel(Label):
    """Its name in the address is that of the declared label."""

    declared_slug: str = ""

    @property
    def slug(self) -> str:
        return self.declared_slug


def page_of(stream: Stream) -> Page:
    """The page of the stream in the language of this session."""
    return _page(stream, current())


@lru_cache(maxsize=16)
def _page(stream: Stream, language: Language) -> Page:
    page = stream.shown
    if language == "en":
        return page

    def words(text: str) -> str:
        return declared(text, page.french, language)

    labelled = [label.field for label in page.labels]  # the filters stand in their order
    return replace(
        page,
        title=words(page.title),
        one=words(page.one),
        many=words(page.many),
        figures=tuple(_figure(figure, words) for figure in page.figures),
        tabs=tuple(_tab(tab, words) for tab in page.tabs),
        labels=tuple(_label(page.label(name), words) for name in dict.fromkeys((*labelled, *stream.event.names))),
        examples=tuple(Example(words(example.label), example.sql) for example in page.examples),
    )


def _figure(figure: Figure, words: Words) -> Figure:
    return replace(figure, label=words(figure.label), note=words(figure.note) if figure.note else figure.note)


def _label(label: Label, words: Words) -> Label:
    return TranslatedLabel(label.field, words(label.one), words(label.plural), declared_slug=label.slug)


def _tab(tab: Tab, words: Words) -> Tab:
    tab = replace(tab, label=words(tab.label))
    if isinstance(tab, Bars):
        return replace(tab, axis=words(tab.axis), hover=words(tab.hover))
    if isinstance(tab, Ranking):
        return replace(
            tab, ranks=tuple(_rank(r, words) for r in tab.ranked), hover=words(tab.hover), alt=words(tab.alt)
        )
    return replace(tab, hint=words(tab.hint)) if isinstance(tab, Raw) else tab


def _rank(rank: Rank, words: Words) -> Rank:
    return replace(rank, heading=words(rank.heading), axis=words(rank.axis))
