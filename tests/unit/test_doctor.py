"""The doctor on damaged tables and checkpoints, on ports in use, on states of the pipeline."""

import base64
import hashlib
import json
import os
import shutil
import socket
import tempfile
from dataclasses import replace
from importlib import metadata

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from harness.pipeline import free_ports
from harness.shipped import BRONZE, PAR_PAYS
from ventes.check.doctor import installation, lake, machine, packages, troubleshooting
from ventes.check.doctor.finding import Finding
from ventes.check.doctor.troubleshooting import Load
from ventes.check.status import status
from ventes.config import Metrics, Page, Paths, Settings
from ventes.deltalog.commit import append
from ventes.deltalog.log import Log
from ventes.install import jars, spark
from ventes.lake import tables
from ventes.lake.writer_lock import WriterLock, lock_path
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.pipeline_status import ServiceStatus, Status
from ventes.settings.kafka import Kafka
from ventes.supervise import ports

CALM = Load(average=0.1, cores=2, free_mb=8000)


@pytest.fixture
def settings(tmp_path):
    broker, controller, page, metrics = free_ports(4)
    return Settings(
        kafka=Kafka(port=broker, controller_port=controller),
        page=Page(port=page),
        metrics=Metrics(port=metrics),
        paths=Paths(lake=tmp_path / "lake", state=tmp_path / "state", logs=tmp_path / "logs"),
    )


@pytest.fixture
def countries(settings):
    """ventes_par_pays with three commits: its creation and two rows."""
    path = tables.path_of(settings, PAR_PAYS)
    tables.ensure(settings, PAR_PAYS)
    for number, country in enumerate(("France", "Maroc")):
        row = dict.fromkeys(PAR_PAYS.schema.names) | {"pays": country}
        append(Log.open(path), PAR_PAYS, pa.Table.from_pylist([row], PAR_PAYS.schema), "test", number)
    return path


def finding(found, name):
    return next(one for one in found if one.name == name)


def lake_finding(settings, name, repair=False):
    return finding(lake.findings(settings, repair), name)


def commit_file(path, version):
    return path / "_delta_log" / f"{version:020d}.json"


# -- tables -----------------------------------------------------------------------------------


def test_healthy_and_missing_tables_are_ok(settings, countries):
    found = {one.name: one for one in lake.findings(settings, repair=False)}
    assert {one.level for one in found.values()} == {"ok"}
    assert "version 2, 2 rows in 2 files" in found["table ventes_par_pays"].cause
    assert "not there yet" in found["table bronze"].cause


@pytest.mark.parametrize("left", [b"", b'{"commitInfo":{}}\n{"add":{"path":'])
def test_a_truncated_last_commit_is_reported_and_repaired(settings, countries, left):
    torn = commit_file(countries, 2)
    torn.write_bytes(left)
    before = lake_finding(settings, "table ventes_par_pays")
    assert before.level == "bad"
    assert str(torn) in before.cause
    assert "--repair" in before.next_step
    assert torn.exists()

    mended = lake_finding(settings, "table ventes_par_pays", repair=True)
    assert mended.level == "warn"
    assert "rebuild silver" in mended.next_step
    assert [file.read_bytes() for file in (settings.state / "repairs").rglob("*.json")] == [left]
    assert DeltaTable(countries).version() == 1
    assert lake_finding(settings, "table ventes_par_pays").level == "ok"


def test_no_repair_while_a_job_writes(settings, countries):
    commit_file(countries, 2).write_bytes(b"")
    with WriterLock(lock_path(settings, "silver")):
        refused = lake_finding(settings, "table ventes_par_pays", repair=True)
    assert refused.level == "bad"
    assert "already running" in refused.cause or "holds" in refused.cause
    assert commit_file(countries, 2).exists()


def test_a_gap_in_the_log_is_bad(settings, countries):
    commit_file(countries, 1).unlink()
    found = lake_finding(settings, "table ventes_par_pays")
    assert found.level == "bad"
    assert "lacks version(s) [1]" in found.cause
    assert "ventes rebuild silver" in found.next_step


def test_a_missing_data_file_is_bad(settings, countries):
    gone = next(countries.glob("*.parquet"))
    gone.unlink()
    found = lake_finding(settings, "table ventes_par_pays")
    assert found.level == "bad"
    assert "1 of 2 data files are gone" in found.cause


def test_a_missing_log_is_bad(settings, countries):
    shutil.rmtree(countries / "_delta_log")
    assert lake_finding(settings, "table ventes_par_pays").level == "bad"


def test_bronze_is_never_offered_a_rebuild_from_itself(settings):
    tables.ensure(settings, BRONZE)
    commit_file(settings.bronze, 0).unlink()
    assert "backup" in lake_finding(settings, "table bronze").next_step


# -- checkpoint -------------------------------------------------------------------------------


@pytest.fixture
def epoch(settings):
    """Epoch 1: batches 0 → 10 and 1 → 25, both committed."""
    folder = settings.checkpoints / "bronze" / "epoch-0001"
    for kind in ("offsets", "commits", "sources/0"):
        (folder / kind).mkdir(parents=True)
    (folder / "epoch.json").write_text(json.dumps({"topic_id": "A"}))
    (folder / "metadata").write_text('{"id":"q"}')
    position = {"ventes_stream": {"0": 0}}
    (folder / "sources" / "0" / "0").write_text("v1\n" + json.dumps(position))
    for batch, end in enumerate((10, 25)):
        (folder / "offsets" / str(batch)).write_text("v1\n{}\n" + json.dumps({"ventes_stream": {"0": end}}))
        (folder / "commits" / str(batch)).write_text('v1\n{"nextBatchWatermarkMs":0}')
    return folder


@pytest.mark.parametrize("kind", ["offsets", "commits"])
@pytest.mark.parametrize("damage", [b"", b"garbage"])
def test_a_truncated_last_batch_is_removed_after_a_copy(settings, epoch, kind, damage):
    assert lake_finding(settings, "checkpoint of bronze").level == "ok"
    (epoch / kind / "1").write_bytes(damage)
    (epoch / kind / ".1.crc").write_bytes(b"crc")
    assert lake_finding(settings, "checkpoint of bronze").level == "warn"
    assert (epoch / kind / "1").exists()

    mended = lake_finding(settings, "checkpoint of bronze", repair=True)
    assert "batch 1 was taken away" in mended.cause
    assert sorted(file.name for file in (epoch / "offsets").iterdir()) == ["0"]
    assert sorted(file.name for file in (epoch / "commits").iterdir()) == ["0"]
    (copy,) = (settings.state / "repairs").glob("*/epoch-0001")
    assert (copy / kind / "1").read_bytes() == damage
    assert lake_finding(settings, "checkpoint of bronze").level == "ok"


def test_more_damage_than_the_last_batch_is_left_for_a_new_epoch(settings, epoch):
    (epoch / "metadata").write_bytes(b"")
    found = lake_finding(settings, "checkpoint of bronze", repair=True)
    assert found.level == "warn"
    assert "new epoch" in found.next_step
    assert (epoch / "offsets" / "1").exists()


# -- machine ----------------------------------------------------------------------------------


def service(name, **changes):
    healthy = ServiceStatus(
        name=name,
        title=name,
        state="running",
        running=True,
        ready=True,
        reason="",
        pid=1,
        since=0.0,
        by_hand=False,
        engine="spark",
        reported=0.0,
        batch=1,
        batch_at=0.0,
        batch_rows=1,
        batch_seconds=0.1,
        total=1,
        last_error="",
        last_error_at=None,
        lag_messages=0,
        lag_seconds=0.0,
        log=f"/tmp/{name}.log",
    )
    return replace(healthy, **changes)


def pipeline(rows=(30, 28, 2), **changed):
    """A healthy state, with some services changed."""
    return Status(
        asked_at=0.0,
        engine="spark",
        config="ventes.toml",
        url="http://localhost:8501",
        supervisor_pid=1,
        supervisor_since=0.0,
        services=tuple(
            service(name, **changed.get(name, {})) for name in ("broker", "producer", "bronze", "silver", "page")
        ),
        rows=dict(zip(("bronze", "ventes_clean", "ventes_rejets"), rows, strict=True)),
    )


def test_a_port_that_someone_else_holds_is_named_with_its_holder(settings):
    with socket.create_server(("127.0.0.1", settings.page.port)):
        found = {one.name: one for one in machine._ports(settings, pipeline())}
    taken = found[f"port {settings.page.port}"]
    assert taken.level == "bad"
    assert "pid" in taken.cause
    assert "page.port" in taken.next_step
    assert found[f"port {settings.kafka.port}"].level == "ok"


def test_a_port_in_the_range_for_outgoing_connections_is_a_warning(tmp_path):
    (tmp_path / "ip_local_port_range").write_text("32768\t60999\n")
    (tmp_path / "ip_local_reserved_ports").write_text("40000,45000-45002\n")
    given = {
        port: ports.given_to_outgoing(port, tmp_path)
        for port in (9092, 32768, 40000, 44999, 45001, 45003, 60999, 61000)
    }
    assert [port for port, outgoing in given.items() if outgoing] == [32768, 44999, 45003, 60999]
    assert not ports.given_to_outgoing(40000, tmp_path / "nothing here")


def test_a_jar_with_wrong_bytes_is_removed_only_by_repair(settings, tmp_path, monkeypatch):
    jar = tmp_path / "kafka" / "a-1.jar"
    jar.parent.mkdir()
    jar.write_bytes(b"x")
    monkeypatch.setattr(type(settings), "jars", property(lambda self: tmp_path))
    listed = {"kafka": [jars.Jar("kafka", "g:a:1", "0" * 64)], "spark": []}
    monkeypatch.setattr(jars, "pinned", lambda jar_set: listed[jar_set])
    (found,) = installation.jar_files(settings, repair=False)
    assert (found.level, jar.exists()) == ("bad", True)
    (found,) = installation.jar_files(settings, repair=True)
    assert (found.level, jar.exists()) == ("warn", False)


def test_tables_under_tmp_and_an_open_address_are_warned_of(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    assert finding(machine._paths(settings), "tables in a temporary folder").level == "warn"
    open_page = settings.model_copy(update={"page": Page(address="0.0.0.0")})
    assert finding(machine._addresses(open_page), "page.address").level == "warn"
    assert finding(machine._addresses(open_page), "page.hosts").level == "warn"
    named = settings.model_copy(update={"page": Page(address="0.0.0.0", hosts=["dash.example.com"])})
    assert [one for one in machine._addresses(named) if one.name == "page.hosts"] == []
    assert finding(machine._addresses(settings), "page.address").level == "ok"


def test_little_space_is_bad(settings):
    greedy = settings.maintenance.model_copy(update={"min_free_mb": 10**9})
    found = list(machine._disks(settings.model_copy(update={"maintenance": greedy})))
    assert {one.level for one in found} == {"bad"}
    assert {one.level for one in machine._disks(settings)} <= {"ok", "warn"}


def test_packages_unlike_the_lock_are_named():
    lock = "pyarrow==0.1 \\\n    --hash=sha256:00\nnot-there==1 \\\nonly-elsewhere==1 ; sys_platform == 'win32' \\\n"
    lock += "pyarrow==0.2 ; python_full_version < '3' \\\nduckdb==0.1 ; python_full_version >= '3' \\\n"
    first, second, third = packages.unlike(lock)
    assert first.startswith("pyarrow is ")
    assert second == "not-there is missing"
    assert third.startswith("duckdb is ")


def test_an_edited_file_of_an_installed_package_is_named(tmp_path):
    def record(path, content):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        return f"{path},sha256={digest},{len(content)}\n"

    info = tmp_path / "thing-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: thing\nVersion: 1\n")
    names = ("thing/kept.py", "thing/edited.py", "thing/gone.py", "bin/find-spark-home")
    (info / "RECORD").write_text("".join(record(name, b"as it came") for name in names) + "thing/kept.pyc,,\n")
    for name in names[:2]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"as it came")
    (tmp_path / "thing/edited.py").write_bytes(b"otherwise!")
    found = packages.changed_files(metadata.Distribution.at(info))
    assert [path.name for path in found] == ["edited.py", "gone.py"]


def test_an_installation_without_spark_is_ok_and_reported(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(type(settings), "jars", property(lambda self: tmp_path))
    monkeypatch.setattr(spark, "package", lambda: None)
    found = finding(installation.python(settings), "Spark")
    assert (found.level, "embedded engine alone" in found.cause) == ("ok", True)
    assert "bash start_pipeline.sh --engine spark" in found.cause
    assert not [one for one in installation.jar_files(settings, repair=False) if "spark/" in one.name]


# -- the guide's troubleshooting --------------------------------------------------------------


def troubles(settings, now, load=CALM):
    return {one.name: one for one in troubleshooting.findings(settings, now, load)}


def test_every_entry_of_the_guide_is_answered(settings):
    assert {name: one.level for name, one in troubles(settings, pipeline()).items()} == {
        "Dashboard Not Loading": "ok",
        "No Data Showing": "ok",
        "Charts Not Updating": "ok",
        "Performance Issues": "ok",
    }


DEAD = {"running": False, "ready": False, "state": "failed", "reason": "crashed 8 times"}


@pytest.mark.parametrize(
    ("now", "entry", "level", "cause"),
    [
        (pipeline(page=DEAD), "Dashboard Not Loading", "bad", "page is failed: crashed 8 times"),
        (pipeline(page=DEAD | {"state": "stopped"}), "Dashboard Not Loading", "warn", "page is stopped"),
        (pipeline(broker=DEAD, bronze=DEAD), "No Data Showing", "bad", "broker is failed"),
        (pipeline(bronze=DEAD), "No Data Showing", "bad", "bronze is failed"),
        (pipeline(rows=(0, 0, 0)), "No Data Showing", "warn", "no message has arrived"),
        (pipeline(rows=(None, None, None)), "No Data Showing", "warn", "no Bronze table"),
        (pipeline(rows=(9, 0, 9)), "No Data Showing", "warn", "all 9 messages so far were rejected"),
        (pipeline(rows=(9, 0, 0)), "No Data Showing", "warn", "Silver none yet"),
        (pipeline(silver=DEAD), "Charts Not Updating", "bad", "silver is failed"),
        (
            pipeline(silver={"lag_seconds": 90.0, "lag_messages": 45}),
            "Charts Not Updating",
            "warn",
            "45 messages behind",
        ),
    ],
)
def test_an_entry_names_the_first_cause_and_a_next_step(settings, now, entry, level, cause):
    found = troubles(settings, now)[entry]
    assert found.level == level
    assert cause in found.cause
    assert found.next_step


def test_before_the_first_start_nothing_is_wrong(settings):
    found = troubles(settings, status(settings))
    symptoms = [found.pop(name) for name in ("Dashboard Not Loading", "No Data Showing", "Charts Not Updating")]
    assert {(one.level, "has not been started yet" in one.cause) for one in symptoms} == {("ok", True)}


def test_after_a_stop_that_nothing_runs_is_a_warning(settings):
    Reporter(settings.state, "bronze").update(phase="stopped")
    record = settings.state / "run" / "bronze.by-hand.json"
    record.write_text(record.read_text().replace(f'"pid": {os.getpid()}', '"pid": 999999999'))
    found = troubles(settings, status(settings))
    assert {one.level for name, one in found.items() if name != "Performance Issues"} == {"warn"}
    assert found["No Data Showing"].next_step == troubleshooting.START


def test_jobs_that_wait_for_a_stopped_broker_are_not_the_cause(settings):
    waits = {"ready": False, "state": "waiting", "reason": "Kafka: connection refused"}
    now = pipeline(broker=DEAD | {"state": "stopped"}, bronze=waits, producer=waits)
    for entry in ("Charts Not Updating", "No Data Showing"):
        found = troubles(settings, now)[entry]
        assert "broker is stopped" in found.cause
        assert found.next_step == troubleshooting.START


def test_a_symptom_does_not_read_as_an_observation(settings):
    entry = troubles(settings, pipeline())["Charts Not Updating"]
    assert entry.sentence().startswith("cause of “Charts Not Updating”: none here; both jobs keep up")
    entry = troubles(settings, pipeline(silver=DEAD))["Charts Not Updating"]
    assert entry.sentence() == "cause of “Charts Not Updating”: the silver is failed: crashed 8 times"
    assert Finding("disk", "ok", "9 GB free").sentence() == "disk: 9 GB free"


def test_a_producer_that_nobody_asked_for_explains_still_charts(settings):
    now = pipeline(producer={"running": False, "ready": False, "state": "off", "reason": "not asked for"})
    found = troubles(settings, now)["Charts Not Updating"]
    assert (found.level, found.next_step) == ("ok", "")
    assert "only what other programs send is new" in found.cause


def test_a_busy_or_full_machine_explains_a_slow_page(settings):
    busy = troubles(settings, pipeline(), replace(CALM, average=9.0))["Performance Issues"]
    full = troubles(settings, pipeline(), replace(CALM, free_mb=100))["Performance Issues"]
    assert "2 cores" in busy.cause
    assert "--engine embedded" in full.next_step
