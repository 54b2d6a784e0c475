"""The producer's options and its pace."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from harness.pipeline import wait_for
from ventes.cli.produce import produce
from ventes.config import Paths, Settings
from ventes.errors import UsageError, VentesError
from ventes.producer import loop
from ventes.producer.loop import BATCH, Lines, Pace, Progress
from ventes.producer.options import Options, read_rate
from ventes.runtime import heartbeat
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper
from ventes.settings.kafka import Kafka

app = typer.Typer()
app.command()(produce)


@pytest.mark.parametrize(("text", "rate"), [("0.5", 0.5), ("2000", 2000), ("max", math.inf), (" MAX ", math.inf)])
def test_rates(text: str, rate: float) -> None:
    assert read_rate(text) == rate


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--rate", "fast"], "'fast'"),
        (["--rate", "nan"], "'nan'"),
        (["--rate", "inf"], "'inf'"),
        (["--rate", "0"], "--rate 0"),
        (["--rate", "-3"], "--rate -3"),
        (["--count", "-1"], "--count -1"),
        (["--bad", "101"], "--bad 101"),
        (["--late", "-1"], "--late -1"),
        (["--duplicates", "nan"], "--duplicates nan"),
        (["--bootstrap", "localhost"], "'localhost'"),
        (["--bootstrap", "localhost:99999"], "99999"),
        (["--topic", "no spaces"], "no spaces"),
        (["--stream", "none"], "streams/none.py"),
        (["--stream", "vols", "--bad", "1"], "--bad makes other sales"),
    ],
)
def test_wrong_usage_is_named(arguments: list[str], named: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, VentesError)
    assert result.exception.exit_code == 2
    assert named in str(result.exception)


def test_unknown_options_are_usage_errors() -> None:
    assert CliRunner().invoke(app, ["--nope"]).exit_code == 2


def test_options_are_checked() -> None:
    with pytest.raises(UsageError, match=r"--bad 100\.5 is no percentage"):
        Options(rate=1, bad=100.5)


FOREIGN = """from ventes.stream import Event, Instant, Stream, Text
STREAM = Stream("orders", "orders_topic", Event("id", "at", (Text("id"), Instant("at"))))
"""


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """The declaration of a stream whose events only other programs send."""
    file = tmp_path / "orders.py"
    file.write_text(FOREIGN)
    return file


def test_nothing_is_sent_to_the_topic_of_a_foreign_stream(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENTES_STREAM", str(foreign))
    result = CliRunner().invoke(app, ["--count", "1"])
    assert isinstance(result.exception, UsageError)
    assert "no events of the stream 'orders' are made here" in str(result.exception)
    assert "'orders_topic'" in str(result.exception)


def test_the_service_of_a_foreign_stream_runs_and_sends_nothing(foreign: Path, tmp_path: Path) -> None:
    """There is no broker: a run that wanted to send would wait for it."""
    settings = Settings(stream=foreign, kafka=Kafka(port=19496), paths=Paths(state=tmp_path / "state"))
    stopper = Stopper()
    report = Reporter(settings.state, "producer")
    done: list[int] = []
    running = threading.Thread(target=lambda: done.append(loop.run(settings, Options(rate=1), stopper, report)))
    running.start()
    try:
        wait_for(lambda: (beat := heartbeat.read(settings.state, "producer")) and beat.phase == "running", "running", 5)
        beat = heartbeat.read(settings.state, "producer")
        assert beat is not None
        assert beat.reason == "other programs send the events of orders to orders_topic"
    finally:
        stopper.stop()
        running.join(5)
    assert done == [0]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def sold(pace: Pace, clock: Clock, seconds: float) -> list[float]:
    """The times of the sales in the next `seconds`, if the loop always sleeps as long as allowed."""
    moments = []
    end = clock.now + seconds
    while clock.now < end:
        if due := pace.due():
            pace.made(due)
            moments += [clock.now] * due
        clock.now += max(pace.idle(), 1e-6)
    return moments


def test_the_guides_rate_is_a_sale_every_two_seconds() -> None:
    clock = Clock()
    assert sold(Pace(0.5, clock), clock, 9.9) == pytest.approx([1000, 1002, 1004, 1006, 1008], abs=0.001)


@pytest.mark.parametrize("rate", [3, 250, 40_000])
def test_a_rate_is_kept(rate: float) -> None:
    clock = Clock()
    assert len(sold(Pace(rate, clock), clock, 10)) == pytest.approx(10 * rate, rel=0.02, abs=1)


def test_fast_sales_are_made_together() -> None:
    clock = Clock()
    moments = sold(Pace(10_000, clock), clock, 1)
    assert len(set(moments)) <= 101


def test_time_lost_is_not_made_up_for() -> None:
    clock = Clock()
    pace = Pace(100, clock)
    sold(pace, clock, 1)
    clock.now += 600
    assert len(sold(pace, clock, 1)) == pytest.approx(100, abs=3)


def test_the_fastest_rate_never_waits() -> None:
    pace = Pace(math.inf, Clock())
    assert (pace.due(), pace.idle()) == (BATCH, 0.0)


def test_silence_counts_only_while_something_is_awaited() -> None:
    progress = Progress(0.0)
    assert progress.silent(10.0, acked=0, unacked=0) == 0
    assert progress.silent(12.0, acked=0, unacked=5) == 2
    assert progress.silent(13.0, acked=1, unacked=4) == 0
    assert progress.silent(18.0, acked=1, unacked=4) == 5


@pytest.mark.parametrize(("rate", "most"), [(0.5, 90), (2.0, 90), (50.0, 480)])
def test_the_log_of_80_minutes_is_short_and_begins_with_what_is_sent(rate: float, most: int) -> None:
    lines = Lines(rate, 0.0)
    own = [lines.own_line_due() for _ in range(int(4800 * rate))]
    summaries = [second for second in range(1, 4801) if lines.summary_due(float(second))]
    assert len(summaries) + sum(own) <= most
    assert own[:10] == [rate <= 2.0] * 10
    assert summaries[0] <= 60
