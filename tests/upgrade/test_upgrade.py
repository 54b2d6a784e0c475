"""A lake of an earlier release continues with this one.

lake-<release>.tar.gz was written by that release's own jobs, over one broker: 200 sales by the Spark engine, then 170
by the embedded one, with rejected messages, duplicates and conflicts, compactions every second commit, a topic that was
deleted and created anew (`ventes recover` recorded it), then a Silver job that was killed between the commit of
ventes_clean and the roll-ups, and ten sales more in Bronze. lake-<release>.json holds the page's figures as that
release's `verify` gave them once its own job had completed a copy of the lake.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from harness.ingested import ingest, sale
from harness.pipeline import Pipeline, sales
from harness.shipped import ALL, BRONZE, CLEAN
from harness.silver_run import loop_of, settings_of
from ventes.check.report import Report
from ventes.check.verify import Verification
from ventes.config import Settings
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.lake import tables
from ventes.operations.rebuild import rebuild
from ventes.runtime.stop import Stopper

HERE = Path(__file__).parent
RELEASES = sorted(path.name.removeprefix("lake-").removesuffix(".json") for path in HERE.glob("lake-*.json"))


def unpack(release: str, folder: Path) -> dict[str, Any]:
    """Put the release's lake at `folder`/lake; returns the figures it should come to."""
    with tarfile.open(HERE / f"lake-{release}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    figures: dict[str, Any] = json.loads((HERE / f"lake-{release}.json").read_text(encoding="utf-8"))
    return figures


def verified(settings: Settings) -> Report:
    report = Verification(settings, read_topic=False).run()
    assert report.ok, [(check.line(), check.differences) for check in report.checks if not check.ok]
    return report


def figures_of(report: Report) -> dict[str, str]:
    return {name: str(value) for name, value in vars(report.figures).items()}


def test_there_is_a_release_before_this_one() -> None:
    assert RELEASES


@pytest.mark.parametrize("release", RELEASES)
def test_silver_completes_the_interrupted_lot_and_continues(release: str, tmp_path: Path) -> None:
    figures = unpack(release, tmp_path)
    settings = settings_of(tmp_path)
    assert loop_of(settings, EmbeddedSilver).run() == 0
    assert figures_of(verified(settings)) == figures

    last = tables.snapshot(settings, BRONZE).rows
    ingest(settings, [*(sale(900_000 + number) for number in range(50)), b"rubbish"])
    assert loop_of(settings, EmbeddedSilver).run() == 0
    report = verified(settings)
    assert report.figures.records == last + 51
    for table in ALL:
        DeltaTable(tables.path_of(settings, table)).to_pyarrow_table()  # others still read it


@pytest.mark.parametrize("release", RELEASES)
def test_rebuilt_from_its_raw_bytes_it_is_the_same(release: str, tmp_path: Path) -> None:
    figures = unpack(release, tmp_path)
    settings = settings_of(tmp_path)
    loop_of(settings, EmbeddedSilver).run()
    before = tables.snapshot(settings, CLEAN).rows
    result = rebuild(settings, lambda _: None, lambda _: None, Stopper())
    assert result is not None
    assert result.clean == before
    assert figures_of(verified(settings)) == figures


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    "engines",
    [("embedded", "spark"), pytest.param(("spark", "embedded"), marks=pytest.mark.long)],
    ids="-then-".join,
)
def test_both_engines_continue_after_a_recreated_topic(release: str, engines: tuple[str, str], tmp_path: Path) -> None:
    """That broker no longer exists, so the topic is another one: after `recover` the lake continues."""
    unpack(release, tmp_path)
    with Pipeline(tmp_path, engines[0]) as pipeline:
        records = tables.snapshot(pipeline.settings, BRONZE).rows
        pipeline.send(sales(100, 700_000))
        pipeline.ventes("recover", "--yes")
        for number, engine in enumerate(engines):
            pipeline.engine = engine
            for job in ("bronze", "silver"):
                pipeline.start(job)
            pipeline.send([*sales(50, 800_000 + 1_000 * number), b"{"])
            pipeline.catch_up(120)
            for job in ("silver", "bronze"):
                pipeline.stop(job)
        assert pipeline.verify().figures.records == records + 100 + 2 * 51
