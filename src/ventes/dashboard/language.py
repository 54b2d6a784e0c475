"""The viewer's language: the page's words in it, and its numbers, dates and currency.

The English text is in the code: `tr("No {many} yet.", many="sales")`. The French one is in locales/fr.po: translators'
programs open that format, it has plural forms, and Babel reads it. A test compares it with all calls. Names from the
data are never translated. Words of a declaration (labels of tabs, names of measures) are looked up in its `page.french`
(stream/page.py), then in the catalog.

The language belongs to a session (`begin`), whose runs and fragments each are a thread. Elsewhere it is English.
English needs neither Babel nor the catalog.
"""

from __future__ import annotations

import calendar
import gettext
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from ventes.config import Settings
from ventes.stream import page as stream_page

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, ...] = ("en", "fr")
CATALOGS = Path(__file__).with_name("locales")

_of_thread = threading.local()
_KEPT = f"{__name__}.kept"
"""Key of the session's state."""


def preferred(setting: str, browser: str | None) -> Language:
    """The language of a page: `setting` is page.language, `browser` the first language of the browser ("fr-CA")."""
    wanted = browser or "" if setting == "auto" else setting
    return "fr" if wanted.lower().partition("-")[0] == "fr" else "en"


def begin(settings: Settings) -> None:
    """Choose the language of this session. Call it in every run of the page, before anything is drawn."""
    spoken = (preferred(settings.page.language, st.context.locale), settings.stream.shown.french)
    _of_thread.spoken = st.session_state[_KEPT] = spoken


def _spoken() -> tuple[Language, Mapping[str, str]]:
    """The language of the session that this thread runs for, and the words of its page."""
    known: tuple[Language, Mapping[str, str]] | None = getattr(_of_thread, "spoken", None)
    if known is not None:
        return known
    if get_script_run_ctx(suppress_warning=True) is None:
        return "en", {}
    found: tuple[Language, Mapping[str, str]] = st.session_state.get(_KEPT) or ("en", {})
    _of_thread.spoken = found
    return found


def current() -> Language:
    """The language of the session that this thread runs for."""
    return _spoken()[0]


def tr(source: str, /, **values: object) -> str:
    """The text in the viewer's language, with its {placeholders} filled in. `source`: English, a literal."""
    return _in(current(), source).format_map(values) if values else _in(current(), source)


@dataclass(frozen=True)
class Sentence:
    """A text for sessions in any language: it is translated where it is written out. `source`: as of `tr`."""

    source: str
    values: Mapping[str, object]

    def __str__(self) -> str:
        return _in(current(), self.source).format_map(
            {name: whole(value) if isinstance(value, int) else value for name, value in self.values.items()}
        )


def marked(source: str) -> str:
    """The text itself, for the catalog: of a constant, which is translated where it is shown (`word`)."""
    return source


def later(source: str, /, **values: object) -> Sentence:
    """As `tr`, for what several sessions share. Integers are written as numbers."""
    return Sentence(source, values)


def tr_n(one: str, many: str, number: int, /, **values: object) -> str:
    """As `tr`, in the form that belongs to `number`. {n} is the number as it is written."""
    language = current()
    found = (one if number == 1 else many) if language == "en" else _catalog(language).ngettext(one, many, number)
    return found.format_map({"n": whole(number), **values})


def _in(language: Language, source: str) -> str:
    return source if language == "en" else _catalog(language).gettext(source)


def declared(words: str, french: Mapping[str, str], language: Language | None = None) -> str:
    """Words of a declaration in a language, by default the viewer's. `french`: page.french."""
    chosen = language or current()
    if chosen == "en" or not words:
        return words
    return french.get(words) or _catalog(chosen).gettext(words)


def in_words(name: str) -> str:
    """The name of a field or measure as a label: "ship_mode" is "Ship mode", in the viewer's language."""
    language, french = _spoken()
    return declared(stream_page.in_words(name), french, language)


def word(label: str, language: Language | None = None) -> str:
    """A label of the declaration, or of ours, by default in the viewer's language."""
    mine, french = _spoken()
    return declared(label, french, language or mine)


def choice(option: str, language: Language | None = None) -> str:
    """One of a few options as it is shown, capitalised; by default in the viewer's language."""
    mine, french = _spoken()
    return declared(option.capitalize(), french, language or mine)


@lru_cache
def _catalog(language: Language) -> gettext.GNUTranslations:
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    compiled = BytesIO()
    with (CATALOGS / f"{language}.po").open("rb") as file:
        write_mo(compiled, read_po(file, language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


# -- numbers, dates, money: exact, only written otherwise ------------------------------------------


def whole(number: int) -> str:
    """1,234 · 1 234."""
    return f"{number:,}" if current() == "en" else _by_babel(Decimal(number), 0)


def decimal(number: Decimal) -> str:
    """Every digit of it: 1,234.50 · 1 234,50."""
    if current() == "en":
        return f"{number:,f}"
    exponent = number.as_tuple().exponent
    return _by_babel(number, max(0, -exponent) if isinstance(exponent, int) else 0)


def with_currency(written: str, currency: str, negative: bool = False) -> str:
    """$12.50 · 12,50 $; a longer name of a currency stands behind the amount in both. `written`: without a sign."""
    sign = "-" if negative else ""
    if current() == "en":
        return f"{sign}{currency}{written}" if len(currency) == 1 else f"{sign}{written} {currency}"
    return f"{sign}{written}\u00a0{currency}"


def percent(fraction: Decimal) -> str:
    """12.3% · 12,3 %."""
    if current() == "en":
        return f"{fraction:.1%}"
    return f"{_by_babel(Decimal(f'{fraction * 100:.1f}'), 1)}\u00a0%"


def _by_babel(number: Decimal, decimals: int) -> str:
    from babel.numbers import format_decimal

    pattern = f"#,##0.{'0' * decimals}" if decimals else "#,##0"
    return str(format_decimal(number, pattern, locale=current(), decimal_quantization=False))


Precision = Literal["day", "minute", "second"]
_DATES: dict[Language, str] = {"en": "%Y-%m-%d", "fr": "%d/%m/%Y"}
SHORT_DAYS: dict[Language, str] = {"en": "%m-%d", "fr": "%d/%m"}
"""A day of this year, for strftime."""
_CLOCKS: dict[Precision, str] = {"day": "", "minute": " %H:%M", "second": " %H:%M:%S"}


def moment(value: date | datetime, precision: Precision = "second") -> str:
    """2026-03-01 12:00:00 · 01/03/2026 12:00:00."""
    return value.strftime(_DATES[current()] + _CLOCKS[precision])


def month(number: int) -> str:
    """The short name of a month from 1 to 12."""
    if current() == "en":
        return calendar.month_abbr[number]
    from babel.dates import get_month_names

    return str(get_month_names("abbreviated", locale=current())[number])


ELSEWHERE = (
    *(marked("Rejected Messages"), marked("Freshness"), marked("SQL"), marked("Alerts"), marked("Cumulative")),
    *(
        marked("Kafka broker"),
        marked("producer"),
        marked("Bronze job"),
        marked("Silver job"),
        marked("page"),
        marked("alerts"),
    ),
    *(marked("Total Records"), marked("Timeline"), marked("Raw Data"), marked("event"), marked("events")),
    *(marked("Events"), marked("Total"), marked("Average"), marked("a name, an id …")),
    *(marked("Why messages were rejected"), marked("viewer"), marked("analyst")),
)
"""Words that are looked up (`word`) and stand where no language is known: tabs, services, the page that is derived."""


def day_format() -> Literal["YYYY-MM-DD", "DD/MM/YYYY"]:
    """The form of a day for Streamlit's tables and inputs."""
    return "YYYY-MM-DD" if current() == "en" else "DD/MM/YYYY"


def plotly_layout() -> dict[str, Any]:
    """How Plotly writes numbers on axes and in hover boxes; the names of months are in plot.js."""
    return {} if current() == "en" else {"separators": ",\u202f"}
