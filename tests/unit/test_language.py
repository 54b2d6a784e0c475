"""The page's languages: every text has its French, numbers and dates are written as their readers write them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal

import pytest

from harness import catalog
from ventes import config
from ventes.config import PROJECT, Settings
from ventes.dashboard import grid, language, text, translated
from ventes.dashboard.language import later, tr, tr_n
from ventes.stream.page import Bars, Figure, Label, Page, Ranking, Raw, in_words

NARROW, WIDE = "\u202f", "\u00a0"
"""Spaces between groups of digits, and before a unit."""


@pytest.fixture
def french(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a session whose viewer reads French."""
    monkeypatch.setattr(language._of_thread, "spoken", ("fr", Settings().stream.shown.french), raising=False)
    yield
    monkeypatch.undo()


def test_every_text_of_the_page_has_its_french_with_the_same_placeholders() -> None:
    found = catalog.catalog()
    known = {message.id for message in found if message.id}
    for wanted, place in catalog.texts().items():
        assert wanted in known, f"{place}: {wanted!r} is not in fr.po → python -m harness.catalog"
        forms = [wanted] if isinstance(wanted, str) else [*wanted]
        given = found[forms[0]].string
        for english, answer in zip(forms, [given] if isinstance(given, str) else given or (), strict=True):
            assert answer, f"{place}: {english!r} has no French in {catalog.FRENCH}"
            assert catalog.placeholders(answer) == catalog.placeholders(english), (place, english, answer)
    assert known == set(catalog.texts()), "fr.po has texts that no call uses → python -m harness.catalog"


@pytest.mark.parametrize("stream", ["ventes", "vols"])
def test_every_word_of_the_declarations_has_its_french(stream: str) -> None:
    page = config.load(stream=PROJECT / "streams" / f"{stream}.py").stream.shown
    french = catalog.catalog()
    missing = {word for word in _words(page) if not page.french.get(word) and word not in french}
    assert not missing
    for english, answer in page.french.items():
        assert catalog.placeholders(english) == catalog.placeholders(answer), english


def _words(page: Page) -> Iterator[str]:
    yield from (page.title, page.one, page.many)
    for label in page.labels:
        yield from (label.one, label.plural)
    yield from (example.label for example in page.examples)
    yield from (tab.label for tab in page.tabs)
    yield from (figure.label for figure in page.figures)
    for part in (*page.figures, *page.tabs):
        yield from [part.note] if isinstance(part, Figure) and part.note else []
        yield from [in_words(m.name) for m in getattr(part, "measures", ())]
        yield from [part.axis, part.hover] if isinstance(part, Bars) else []
        yield from [part.hint] if isinstance(part, Raw) else []
        if isinstance(part, Ranking):
            yield from filter(None, (part.hover, part.alt, *(r.heading for r in part.ranked)))


@pytest.mark.parametrize(
    ("setting", "browser", "wanted"),
    [
        ("auto", "fr-FR", "fr"), ("auto", "fr", "fr"), ("auto", "FR-ca", "fr"), ("auto", "en-GB", "en"),
        ("auto", "de", "en"), ("auto", None, "en"), ("en", "fr-FR", "en"), ("fr", "en-US", "fr"), ("auto", "fra", "en"),
    ],
)  # fmt: skip
def test_the_language_is_the_setting_or_the_browsers(setting: str, browser: str | None, wanted: str) -> None:
    assert language.preferred(setting, browser) == wanted


def test_english_is_as_the_guide_prints_it() -> None:
    assert tr("Paused at {time}", time="12:00") == "Paused at 12:00"
    assert tr_n("{n} row", "{n} rows", 1234) == "1,234 rows"
    assert text.money(Decimal("1234.5"), "$") == "$1,234.50"
    assert text.percent(Decimal("0.1234")) == "12.3%"
    assert language.moment(datetime(2026, 3, 1, 12, tzinfo=timezone.utc)) == "2026-03-01 12:00:00"


def test_numbers_and_dates_in_french(french: None) -> None:
    assert text.count(1_234_567) == f"1{NARROW}234{NARROW}567"
    assert text.money(Decimal("1234.5"), "$") == f"1{NARROW}234,50{WIDE}$"
    assert text.money(Decimal("-0.4"), "EUR") == f"-0,40{WIDE}EUR"
    assert text.percent(Decimal("0.1234")) == f"12,3{WIDE}%"
    assert text.compact(Decimal("12345")) == f"12,3{WIDE}k"
    assert text.compact(Decimal("9007199254740993")) == f"9{NARROW}007{WIDE}T"
    assert text.duration(4 * 86_400 + 3600) == "4 j 1 h"
    assert language.moment(datetime(2026, 3, 1, 12, tzinfo=timezone.utc), "minute") == "01/03/2026 12:00"
    assert language.month(8) == "août"


@pytest.mark.parametrize("digits", ["12345678901234567890.12", "0.10", "-7", "1E+3"])
def test_every_digit_stays_in_french(french: None, digits: str) -> None:
    written = language.decimal(Decimal(digits))
    assert Decimal(written.replace(NARROW, "").replace(",", ".").replace("\u2212", "-")) == Decimal(digits)


def test_plurals_in_french(french: None) -> None:
    forms = [tr_n("{n} row", "{n} rows", number) for number in (0, 1, 2)]
    assert forms == ["0 ligne", "1 ligne", "2 lignes"]


def test_a_sentence_that_sessions_share_is_in_the_language_of_each(
    french: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = later("The table {table} has no version {n} yet: its newest is {last}.", table="t", n=1234, last=9)
    assert str(shared).startswith("La table t n'a pas encore")
    monkeypatch.setattr(language._of_thread, "spoken", ("en", {}))
    assert str(shared) == "The table t has no version 1,234 yet: its newest is 9."


def test_names_in_the_address_are_not_translated(french: None) -> None:
    stream = Settings().stream
    page = translated.page_of(stream)
    assert page.label("pays").one == "Pays"
    assert page.label("pays").slug == stream.shown.label("pays").slug == "country"
    assert next(tab.label for tab in page.tabs) == "Ventes par pays"
    assert page.label("unknown_field") == Label("unknown_field", "Unknown field")


def test_a_table_leaves_numbers_to_the_browser_in_french_and_names_the_currency(french: None) -> None:
    rows = grid.arrow_of([{"revenue": Decimal("1234.50"), "client_id": 12345, "sales": 12345}])
    _, columns = grid.shown(rows, "$", ("revenue",), {})
    assert columns["revenue"]["label"] == "revenue ($)"
    assert columns["revenue"]["type_config"]["format"] == "localized"
    assert columns["revenue"]["type_config"]["step"] == 0.01
    assert columns["sales"]["type_config"]["format"] == "localized"
    assert columns["client_id"]["type_config"]["format"] == "%d"
