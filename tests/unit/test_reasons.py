"""Each reason code has its sentence, and its line in the data contract."""

from __future__ import annotations

import re

from harness.corpus import load
from ventes.config import PROJECT, Settings
from ventes.stream.reasons import OF_A_FIELD, OF_A_MESSAGE
from ventes.stream.reasons import sentence as of_stream

STREAM = Settings().stream


def sentence(code: str) -> str:
    return of_stream(code, STREAM)


def test_each_code_of_the_corpus_has_a_sentence() -> None:
    codes = {motif for event in load() for motif in event.motifs}
    assert {code for code in codes if sentence(code) == code} == set()
    assert len({sentence(code) for code in codes}) == len(codes)


def test_refund_zero_and_fraction_of_a_cent_have_different_reasons() -> None:
    assert sentence("negative:montant") == "montant is below zero: a refund is not a sale."
    assert sentence("zero:montant") == "montant is zero: a sale has a price."
    assert sentence("not_cents:montant") == "montant has a fraction of a cent; amounts are not rounded."


def test_a_code_of_a_later_release_stays_a_code() -> None:
    assert sentence("tomorrow") == "tomorrow"
    assert sentence("tomorrow:montant") == "tomorrow:montant"


def test_the_data_contract_lists_the_same_codes() -> None:
    text = (PROJECT / "docs" / "data-contract.md").read_text(encoding="utf-8")
    section = text.partition("## 2. The verdict")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)(?::(?:<field>|montant))?` \|", section, re.MULTILINE)
    assert sorted(listed) == sorted([*OF_A_MESSAGE, *OF_A_FIELD])
