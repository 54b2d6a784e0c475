"""Data shown as text, whatever it contains; numbers as people read them.

A name from the data may hold what a renderer interprets: Markdown (links, directives, math), Plotly (HTML tags,
MathJax, `%{…}`), or characters that hide or reorder text. Each renderer gets its own escape; nothing else on the page
puts data into a string that a renderer reads.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal

from ventes.dashboard import language
from ventes.errors import VentesError
from ventes.runtime.durations import in_words
from ventes.runtime.logs import printable
from ventes.stream.page import Page

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~<>$:&^=\"'/@])")
_PLOTLY = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;", "{": "&#123;", "}": "&#125;", "%": "&#37;"}


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, the last an ellipsis where some were left out."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def cell(text: str | None, limit: int = 300) -> str | None:
    """For a table's cell: control and direction characters made visible, very long text shortened."""
    return None if text is None else shorten(printable(text), limit)


def markdown(text: str, limit: int = 200) -> str:
    """For Markdown, labels and captions: every character with a meaning in Markdown is escaped."""
    return _MARKDOWN.sub(r"\\\1", shorten(" ".join(printable(text).split()), limit))


def plotly(text: str, limit: int = 32) -> str:
    """For Plotly's labels, hover and legend: no tag, no link, no formula, no template."""
    short = shorten(" ".join(printable(text).split()), limit)
    return "".join(_PLOTLY.get(character, character) for character in short)


def raw(value: bytes | None, limit: int = 2000) -> str | None:
    """A message's bytes for reading: UTF-8 where they are, else escapes."""
    return None if value is None else cell(value.decode("utf-8", "backslashreplace"), limit)


def problem(error: VentesError) -> str:
    """An error and its next step as two sentences; not escaped."""
    what, step = error.message.rstrip(".!"), error.hint.rstrip(".")
    return f"{what}. Next step: {step}." if step else f"{what}."


def count(number: int) -> str:
    """1,234, as the viewer writes it."""
    return language.whole(number)


_DIGITS = Context(prec=60, rounding=ROUND_HALF_UP)
"""Enough for every sum of the tables."""


def money(amount: Decimal, currency: str) -> str:
    """`$1,234.50`: with cents (half up, exact for what has no more decimals), thousands separated."""
    rounded = amount.quantize(Decimal("0.01"), context=_DIGITS)
    return language.with_currency(language.decimal(rounded.copy_abs()), currency, rounded < 0)


def compact(amount: Decimal) -> str:
    """At most three digits and a unit, to stand beside a bar: `0.29`, `84`, `1.25k`, `33.3M`. Half up."""
    size, unit = amount.copy_abs(), ""
    for step, letter in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if size >= Decimal("999.5").scaleb(step - 3):
            size, unit = size.scaleb(-step), letter
            break
    decimals = 2 if size < Decimal("9.995") else 1 if size < Decimal("99.95") else 0
    rounded = size.quantize(Decimal(1).scaleb(-decimals), context=_DIGITS)
    digits = rounded.normalize() if decimals else rounded
    sign = "-" if amount < 0 and rounded else ""
    if language.current() == "en":
        return f"{sign}{digits:f}{unit}"
    space = "\u00a0" if unit else ""
    return f"{sign}{language.decimal(digits)}{space}{'Md' if unit == 'G' else unit}"


def percent(fraction: Decimal | None) -> str:
    """`12.3%`; a dash where there is none."""
    return "–" if fraction is None else language.percent(fraction)


def counted(page: Page, number: int) -> str:
    """ "1 sale", "1,234 sales", in the language of the page."""
    return f"{count(number)} {page.one if number == 1 else page.many}"


def with_article(page: Page) -> str:
    """ "a sale"; without an article in a language whose articles the page does not know."""
    return page.a_one if language.current() == "en" else page.one


def duration(seconds: float) -> str:
    """'2 s', '3 min', '2 h 5 min', '4 d 1 h'."""
    words = in_words(seconds)
    return words if language.current() == "en" else words.replace(" d ", " j ")
