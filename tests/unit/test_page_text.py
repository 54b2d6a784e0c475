"""Names from the data are text everywhere; the line at the top shows no state that is not confirmed."""

from __future__ import annotations

import html
import shlex
import time
from dataclasses import replace
from decimal import Decimal

import pytest
from markdown_it import MarkdownIt

from harness.sample_lake import HOSTILE
from ventes.dashboard import charts, commands, diagram, freshness, text
from ventes.runtime.pipeline_status import FiringAlert, ServiceStatus, Status


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_shows_the_name_and_nothing_else(name: str) -> None:
    tokens = MarkdownIt("commonmark").enable("strikethrough").parse(text.markdown(name, 500))
    inline = [token for token in tokens if token.type == "inline"]
    kinds = {child.type for token in inline for child in token.children or []}
    assert kinds <= {"text", "text_special"}
    shown = "".join(child.content for token in inline for child in token.children or [])
    assert shown == (text.cell(name, 500) or "").strip()
    assert not any(unescaped in text.markdown(name).replace(f"\\{unescaped}", "") for unescaped in "$:<[`")


@pytest.mark.parametrize("name", HOSTILE)
def test_plotly_has_no_tag_formula_or_template(name: str) -> None:
    escaped = text.plotly(name, 500)
    assert not set("<>$%{}") & set(escaped)
    assert html.unescape(escaped) == (text.cell(name, 500) or "").strip()


def test_control_and_direction_characters_are_made_visible() -> None:
    assert text.cell("\u202egnp.exe") == "\\x202egnp.exe"
    assert text.cell("a\x00b\x1b[31m") == "a\\x00b\\x1b[31m"


def test_very_long_names_are_shortened() -> None:
    assert len(text.plotly("N" * 10_000)) == 32
    assert len(text.cell("N" * 10_000) or "") == 300


def test_equal_names_stay_two_bars_and_numbers_stay_names() -> None:
    figure = charts.bars(["2024", "2024"], [1, 2], ["a", "b"], "title")
    assert figure["data"][0]["y"] == [0, 1]
    assert figure["layout"]["yaxis"]["ticktext"] == ["2024", "2024"]


def test_money_and_age() -> None:
    assert text.money(Decimal("1234567.005"), "$") == "$1,234,567.01"
    assert text.money(Decimal("-2"), "EUR") == "-2.00 EUR"


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("0", "0"), ("0.29", "0.29"), ("84", "84"), ("9.994", "9.99"), ("9.995", "10"), ("12.25", "12.3"),
        ("999.4", "999"), ("999.5", "1k"), ("1250", "1.25k"), ("33333.33", "33.3k"), ("999499", "999k"),
        ("999500", "1M"), ("9007199254740993", "9007T"), ("-1234.5", "-1.23k"),
    ],
)  # fmt: skip
def test_a_number_beside_a_bar_is_short(amount: str, words: str) -> None:
    assert text.compact(Decimal(amount)) == words


def service(name: str, **changes: object) -> ServiceStatus:
    well = ServiceStatus(
        name=name, title=f"{name} job", state="running", running=True, ready=True, reason="", pid=1, since=0.0,
        by_hand=False, engine="spark", reported=None, batch=None, batch_at=None, batch_rows=None, batch_seconds=None,
        total=None, last_error="", last_error_at=None, lag_messages=0, lag_seconds=0.0, log="",
    )  # fmt: skip
    return replace(well, **changes)  # type: ignore[arg-type]


def answer(*services: ServiceStatus) -> Status:
    return Status(time.time(), "spark", "", "", None, None, services, {})


def test_green_only_on_an_answer() -> None:
    assert freshness.health_of(None).level == "unknown"
    assert freshness.health_of(answer(service("bronze"), service("silver"))).level == "ok"


def test_a_job_that_is_down_is_red_with_cause_and_next_step() -> None:
    down = service("bronze", state="failed", running=False, ready=False, reason="topic re-created; ventes recover")
    found = freshness.health_of(answer(down, service("silver")))
    assert found.level == "bad"
    assert found.problems == (("bad", "Bronze job – failed: topic re-created; ventes recover"),)


def test_jobs_with_the_same_trouble_share_a_line() -> None:
    down = [service(name, state="stopped", running=False, ready=False, reason="x") for name in ("bronze", "silver")]
    assert freshness.health_of(answer(*down)).problems == (("bad", "Bronze job and silver job – stopped: x"),)


def test_a_job_that_is_behind_is_amber() -> None:
    found = freshness.health_of(answer(service("silver", lag_messages=5000, lag_seconds=150.0)))
    assert (found.level, freshness._badge(found, ())) == ("warn", ":orange-badge[:material/warning: Behind]")
    assert "5,000 messages (2 min) behind" in found.problems[0][1]


def test_without_a_producer_nothing_is_behind() -> None:
    """Each message that was sent is in the figures."""
    stopped = service("producer", state="stopped", running=False, ready=False, reason="stopped on purpose")
    found = freshness.health_of(answer(service("bronze"), service("silver"), stopped))
    assert freshness._badge(found, ()) == ":orange-badge[:material/warning: Partly down]"


def test_silence_is_amber_though_every_part_is_ready() -> None:
    """The producer is switched off, or the shops have closed."""
    parts = (service("bronze"), service("silver"), service("producer", state="off", running=False, ready=False))
    assert freshness.health_of(answer(*parts), quiet_for=599, quiet_from=600).level == "ok"
    found = freshness.health_of(answer(*parts), quiet_for=600, quiet_from=600)
    assert (found.level, found.summary) == ("quiet", "every part is ready, but nothing arrives")
    assert freshness.health_of(answer(*parts), quiet_for=1e9, quiet_from=0).level == "ok"


def test_one_cause_is_one_line_and_a_sentence_for_the_reader() -> None:
    """The broker is stopped: what waits for it is no trouble of its own."""
    found = freshness.health_of(
        answer(
            service("broker", state="stopped", running=False, ready=False, reason="`ventes start` starts it"),
            *(service(name, state="waiting", ready=False, reason="Kafka: refused") for name in ("bronze", "producer")),
            service("silver"),
        )
    )
    assert found.level == "bad"
    assert len(found.problems) == 1
    assert found.summary == "the broker job is stopped; nothing that has arrived is lost"


def test_only_alerts_that_are_not_silenced_are_named() -> None:
    heard, silenced = FiringAlert("lag", "warning", "Behind."), FiringAlert("disk", "info", "Full.", time.time() + 60)
    assert freshness.firing_of(None) == freshness.firing_of(answer(service("alerts"))) == ()
    assert freshness.firing_of(answer(service("silver"), service("alerts", firing=(heard, silenced)))) == (heard,)
    assert freshness._firing([heard]) == ":orange[:material/warning: 1 alert fires\\: lag \\(warning\\)]"


def test_the_sentence_names_the_first_part_in_the_flow() -> None:
    down = [service(name, state="down", running=False, ready=False, reason="killed") for name in ("bronze", "silver")]
    assert freshness.health_of(answer(*down)).summary == (
        "the bronze job is down; new messages wait in Kafka, none is lost"
    )
    slow = service("silver", lag_messages=5000, lag_seconds=150.0)
    assert freshness.health_of(answer(slow)).summary.startswith("a job is behind")


def test_a_lag_of_one_batch_is_not_shown() -> None:
    """Between two batches some message is always on its way."""
    assert "up to date" in freshness._lag("Silver", service("silver", lag_messages=1, lag_seconds=0.4))
    assert "5 behind (6 s)" in freshness._lag("Silver", service("silver", lag_messages=5, lag_seconds=6.0))
    assert "5 behind" in freshness._lag("Silver", service("silver", lag_messages=5, lag_seconds=None))


def test_commands_and_diagram_have_the_real_paths(tmp_path: object) -> None:
    from pathlib import Path

    from harness.sample_lake import settings_at

    folder = Path(str(tmp_path)) / "it's here"
    settings = settings_at(folder, port=19877)
    (folder / "delta" / "bronze" / "ventes_stream").mkdir(parents=True)
    settings.log("producer").write_text("")
    listed = "\n".join(command for _, command in commands.monitoring(settings))
    assert "'\"'\"'" in listed  # the quote in the path is quoted for the shell
    assert str(settings.log("producer").name) in listed
    assert "streamlit.log" not in listed  # a page that was started by hand has none
    assert "streamlit.log" not in str(commands.troubles(settings))
    for word in shlex.split(listed):
        if word.startswith("/"):
            assert Path(word).exists(), word
    settings.log("page").write_text("")
    assert "streamlit.log" in "\n".join(command for _, command in commands.monitoring(settings))
    drawn = diagram.svg(settings, dark=False)
    assert ":19890" in drawn
    assert ":19877" in drawn
