"""Each kind of field, on every line of tests/corpus/kinds.jsonl: a JSON value, its reasons and what Bronze shows.

A line has `kind`, `options`, the value as `json`, `shown` (NULL without it), `reasons`, and `fast` if the fast path
must decide the message. docs/data-contract.md lists some of the lines.
"""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from harness.corpus import ARRIVAL
from harness.messages import raw_table
from harness.verdicts import decided, judge
from ventes import stream as kinds
from ventes.config import PROJECT
from ventes.judging.judge_batch import fast_rows
from ventes.judging.verdict import Judging
from ventes.stream import Event, Instant, Integer, Stream

UTC = ZoneInfo("UTC")
CORPUS: list[dict[str, Any]] = [
    json.loads(line) for line in (PROJECT / "tests" / "corpus" / "kinds.jsonl").read_text(encoding="utf-8").splitlines()
]
DECIMALS = ("Decimals", "Money")


def judging_of(line: dict[str, Any]) -> Judging:
    """A stream with the field `f` of the line."""
    options = dict(line.get("options", {}))
    if line["kind"] in DECIMALS:
        options |= {name: Decimal(options[name]) for name in ("least", "most") if name in options}
    if "values" in options:
        options["values"] = tuple(options["values"])
    field = getattr(kinds, line["kind"])("f", **options)
    return Judging(Stream("essai", "essai", Event("n", "t", (Integer("n"), Instant("t"), field))), UTC, UTC)


def message(line: dict[str, Any]) -> bytes:
    return f'{{"n": 1, "t": "2026-01-05T09:59:58Z", "f": {line["json"]}}}'.encode()


def typed(line: dict[str, Any]) -> Any:
    shown = line.get("shown")
    if shown is None:
        return None
    if line["kind"] in DECIMALS:
        return Decimal(shown)
    if line["kind"] == "Instant":
        return datetime.fromisoformat(shown.replace("Z", "+00:00"))
    return date.fromisoformat(shown) if line["kind"] == "Day" else shown


def name_of(line: dict[str, Any]) -> str:
    return f"{line['kind']} {line.get('options', '')} {line['json'][:40]}"


@pytest.mark.parametrize("line", CORPUS, ids=map(name_of, CORPUS))
def test_the_reader(line: dict[str, Any]) -> None:
    verdict = judge(message(line), ARRIVAL, judging_of(line))
    assert list(verdict.motifs) == [f"{reason}:f" for reason in line["reasons"]]
    assert verdict.f == typed(line)
    if line["kind"] in DECIMALS and verdict.f is not None:
        assert f"{verdict.f:f}" == line["shown"], "with all its decimals"
    assert verdict.extra is None


def test_the_fast_path() -> None:
    """It decides the lines marked so, with the same value and the same reasons, and no other."""
    with duckdb.connect() as con:
        for line in CORPUS:
            judging, raw = judging_of(line), raw_table([message(line)])
            found = fast_rows(con, raw, judging, 2026)
            sure = found is not None and decided(found, raw, judging) == [True]
            assert sure == line.get("fast", False), name_of(line)


def test_the_data_contract_shows_lines_of_the_corpus() -> None:
    """| kind | taken | never taken, with the reason |"""
    text = (PROJECT / "docs" / "data-contract.md").read_text(encoding="utf-8")
    section = text.partition("### Kinds")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)(?:\((.*?)\))?` \| (.*?) \| (.*?) \|$", section, re.MULTILINE)
    assert {kind for kind, *_ in rows} == {line["kind"] for line in CORPUS}
    for kind, options, taken, never in rows:
        wanted = eval(f"dict({options})")
        lines = [line for line in CORPUS if line["kind"] == kind and line.get("options", {}) == wanted]
        reasons = {line["json"]: line["reasons"] for line in lines}
        for form in re.findall(r"`([^`]+)`", taken):
            assert reasons[form] == [], (kind, form)
        for forms, reason in re.findall(r"((?:`[^`]+`,? ?)+)\((\w+)\)", never):
            for form in re.findall(r"`([^`]+)`", forms):
                assert reason in reasons[form], (kind, form)
