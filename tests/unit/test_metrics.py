"""The text of the metrics: names, values, and what docs/monitoring says of them. No server, no pipeline."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strictly_parsed
from prometheus_client.parser import text_string_to_metric_families as parsed

from ventes.config import PROJECT
from ventes.runtime.distribution import Distribution
from ventes.runtime.heartbeat import Heartbeat
from ventes.runtime.measured import DiskSpace, LagNow, Measured, TableSize
from ventes.supervise import states
from ventes.supervise.metrics.families import Families, Known
from ventes.supervise.service_records import Entry, ServiceRecords

NOW = 1_800_000_000.0
MONITORING = PROJECT / "docs" / "monitoring"
DASHBOARD, ALERTS = MONITORING / "grafana-dashboard.json", MONITORING / "alerts.yml"
Labels = dict[str, str]


def times(*seconds: float) -> dict[str, Any]:
    distribution = Distribution((0.1, 1.0))
    for one in seconds:
        distribution.add(one)
    return distribution.record()


MEASURED = Measured(
    at=NOW,
    seconds=0.1,
    broker_up=True,
    ready={"broker": True, "silver": False},
    lag={"bronze": LagNow(None, None), "silver": LagNow(7, 2.5)},
    rollups_seconds=0.0,
    tables={"bronze": TableSize(4, 3, 2048, 12), "ventes_clean": TableSize(3, 2, 1024, 10)},
    disks={"lake": DiskSpace(10**9, 10**10)},
)
KNOWN = Known(
    ServiceRecords(
        engine="embedded",
        entries={
            "bronze": Entry("bronze", states.RUNNING, restarts=2, failed_at=NOW - 50),
            "silver": Entry("silver", states.BY_HAND),
        },
    ),
    {
        "bronze": Heartbeat("bronze", total=12, batch_times=times(0.05, 0.1, 0.5, 3.0), last_error_at=NOW - 90),
        "silver": Heartbeat(
            "silver", clean=10, rejected=2, reasons={"duplicate": 1, "negative:montant": 1, "other": 0},
            freshness={"event": times(0.2), "kafka": times(0.05)}, batch_at=NOW - 1, batch_times=times(0.2),
        ),
        "producer": Heartbeat("producer", total=11, lag=3),
        "page": Heartbeat("page", beat=NOW - 4, viewers=2, refresh_times={"figures": times(0.04)}),
    },
    MEASURED,
    "ventes",
    NOW,
    page_alive=True,
)  # fmt: skip
NOTHING = Known(ServiceRecords(), {}, None, "ventes", NOW)


def samples(known: Known) -> dict[str, list[tuple[Labels, float]]]:
    """Sample name → (labels, value) of the text."""
    found: dict[str, list[tuple[Labels, float]]] = {}
    for family in parsed(generate_latest(Families(known)).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def value(known: Known, name: str, **labels: str) -> float | None:
    """The sample with these labels; None if there is none."""
    return next((number for had, number in samples(known).get(name, ()) if had == labels), None)


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("ventes_build_info", {"engine": "embedded", "stream": "ventes"}, None),
        ("ventes_service_state", {"service": "bronze", "state": "running"}, 1),
        ("ventes_service_state", {"service": "bronze", "state": "failed"}, 0),
        ("ventes_service_state", {"service": "silver", "state": "by_hand"}, 1),
        ("ventes_service_ready", {"service": "silver"}, 0),
        ("ventes_service_restarts_total", {"service": "bronze"}, 2),
        ("ventes_service_last_error_timestamp_seconds", {"service": "bronze"}, NOW - 50),
        ("ventes_service_last_error_timestamp_seconds", {"service": "silver"}, None),
        ("ventes_messages_read_total", {}, 12),
        ("ventes_messages_clean_total", {}, 10),
        ("ventes_messages_rejected_total", {}, 2),
        ("ventes_messages_rejected_by_reason_total", {"reason": "negative:montant"}, 1),
        ("ventes_messages_rejected_by_reason_total", {"reason": "other"}, 0),
        ("ventes_batch_duration_seconds_bucket", {"service": "bronze", "le": "0.1"}, 2),
        ("ventes_batch_duration_seconds_bucket", {"service": "bronze", "le": "1.0"}, 3),
        ("ventes_batch_duration_seconds_bucket", {"service": "bronze", "le": "+Inf"}, 4),
        ("ventes_batch_duration_seconds_count", {"service": "bronze"}, 4),
        ("ventes_batch_duration_seconds_sum", {"service": "bronze"}, 3.65),
        ("ventes_last_batch_timestamp_seconds", {"service": "silver"}, NOW - 1),
        ("ventes_last_batch_timestamp_seconds", {"service": "bronze"}, None),
        ("ventes_freshness_seconds_bucket", {"since": "event", "le": "0.1"}, 0),
        ("ventes_freshness_seconds_bucket", {"since": "kafka", "le": "0.1"}, 1),
        ("ventes_producer_messages_total", {}, 11),
        ("ventes_producer_unacknowledged_messages", {}, 3),
        ("ventes_page_viewers", {}, 2),
        ("ventes_page_refresh_duration_seconds_count", {"part": "figures"}, 1),
        ("ventes_measurement_success", {}, 1),
        ("ventes_broker_up", {}, 1),
        ("ventes_lag_messages", {"service": "silver"}, 7),
        ("ventes_lag_seconds", {"service": "silver"}, 2.5),
        ("ventes_lag_seconds", {"service": "bronze"}, None),
        ("ventes_table_version", {"table": "bronze"}, 4),
        ("ventes_table_files", {"table": "bronze"}, 3),
        ("ventes_table_bytes", {"table": "bronze"}, 2048),
        ("ventes_table_rows", {"table": "ventes_clean"}, 10),
        ("ventes_disk_free_bytes", {"folder": "lake"}, 1e9),
    ],
)
def test_what_is_known_is_shown_and_what_is_not_has_no_sample(name: str, labels: Labels, expected: float) -> None:
    assert value(KNOWN, name, **labels) == expected


def test_a_page_that_nobody_looks_at_any_more_has_no_viewers() -> None:
    page = KNOWN.heartbeats["page"]
    for known in (
        replace(KNOWN, page_alive=False),
        replace(KNOWN, heartbeats={**KNOWN.heartbeats, "page": replace(page, beat=NOW - 200)}),
        NOTHING,
    ):
        assert value(known, "ventes_page_viewers") == 0


def test_without_a_measurement_the_rest_is_shown() -> None:
    found = samples(replace(KNOWN, measured=None))
    assert found["ventes_measurement_success"] == [({}, 0)]
    assert found["ventes_messages_clean_total"] == [({}, 10)]
    assert [name for name in found if name.startswith(("ventes_lag", "ventes_table", "ventes_broker"))] == []


def promtool_here() -> str | None:
    """Prometheus' own tool, which a build server has."""
    found = shutil.which("promtool")
    assert found or not os.environ.get("CI"), "promtool is missing: see .ci/run"
    return found


@pytest.mark.parametrize("known", [KNOWN, NOTHING])
def test_the_text_is_valid_in_both_formats(known: Known) -> None:
    assert list(parsed(generate_latest(Families(known)).decode()))
    assert list(strictly_parsed(open_metrics(Families(known)).decode()))  # this parser refuses what is not ordered
    if promtool := promtool_here():
        text = generate_latest(Families(known))
        done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_measurement_survives_its_way_through_the_pipe() -> None:
    assert Measured.from_json(MEASURED.to_json().encode()) == MEASURED


# -- docs/monitoring --------------------------------------------------------------------------


def names_in(file: Path) -> set[str]:
    """Every metric that a file's expressions name."""
    return set(re.findall(r"\bventes_[a-z_]+\b", "\n".join(expressions(file))))


def expressions(file: Path) -> list[str]:
    if file == ALERTS:
        return [
            rule["expr"] for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"] for rule in group["rules"]
        ]
    board = json.loads(DASHBOARD.read_text("utf-8"))
    variables = [one["definition"] for one in board["templating"]["list"] if "definition" in one]
    return [*variables, *(target["expr"] for panel in board["panels"] for target in panel.get("targets", ()))]


@pytest.mark.parametrize("file", [DASHBOARD, ALERTS])
def test_what_dashboard_and_rules_name_exists(file: Path) -> None:
    assert names_in(file)
    assert names_in(file) - set(samples(KNOWN)) == set()


def test_labels_in_the_expressions_exist() -> None:
    known = {label for found in samples(KNOWN).values() for labels, _ in found for label in labels} | {"instance"}
    text = "\n".join([*expressions(DASHBOARD), *expressions(ALERTS)])
    used = set(re.findall(r"[{,]\s*(\w+)\s*=~?", text))
    used |= {name.strip() for group in re.findall(r"by \(([^)]*)\)", text) for name in group.split(",")}
    legends = "\n".join(re.findall(r'"legendFormat": "(.*)"', DASHBOARD.read_text("utf-8")))
    used |= set(re.findall(r"{{(\w+)}}", legends)) | set(re.findall(r"\$labels\.(\w+)", ALERTS.read_text("utf-8")))
    assert used - known == set()


def test_the_expressions_of_the_dashboard_are_promql(tmp_path: Path) -> None:
    """By Prometheus' own tool, where it is installed; otherwise only that brackets are closed."""
    found = [text.replace("$__rate_interval", "5m").replace("$instance", "a") for text in expressions(DASHBOARD)[1:]]
    assert [
        text for text in found if "$" in text or any(text.count(one) != text.count(two) for one, two in BRACKETS)
    ] == []
    if promtool := promtool_here():
        rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(found)]
        (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
        command = [promtool, "check", "rules", str(tmp_path / "rules.yml")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


BRACKETS = (("(", ")"), ("[", "]"), ("{", "}"))


def test_panels_have_ids_and_places_of_their_own() -> None:
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_the_guide_lists_every_metric_and_every_alert() -> None:
    guide = (MONITORING / "README.md").read_text("utf-8")
    families = {family.name for family in parsed(generate_latest(Families(KNOWN)).decode())}
    listed = set(re.findall(r"^\| `(ventes_\w+)` \|", guide, re.MULTILINE))
    assert {name.removesuffix("_total") for name in listed} == families
    alerts = {rule["alert"] for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"] for rule in group["rules"]}
    assert set(re.findall(r"^\| `(Ventes\w+)` \|", guide, re.MULTILINE)) == alerts


def test_the_rules_fire_when_they_must(tmp_path: Path) -> None:
    """By Prometheus' own tool, where it is installed; otherwise only their form is checked."""
    for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            assert {"alert", "expr", "labels", "annotations"} <= set(rule)
            assert rule["labels"]["severity"] in {"warning", "critical"}
            assert {"summary", "description"} <= set(rule["annotations"])
    if promtool := promtool_here():
        shutil.copy(ALERTS, tmp_path)
        shutil.copy(Path(__file__).with_name("alerts_test.yml"), tmp_path)
        command = [promtool, "test", "rules", "alerts_test.yml"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
