"""`ventes start … stop` with real services: killed ones are restarted, stopped ones stay down, no message is lost or
duplicated.

One pipeline runs all of it, with the embedded engine: it is faster, and the supervisor treats both engines the same.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.pipeline import free_ports, run_ventes, wait_for
from tests.unit.test_metrics import ALERTS, DASHBOARD, names_in
from ventes.config import PROJECT
from ventes.lake import tables
from ventes.runtime import heartbeat

VENTES = Path(sys.executable).with_name("ventes")
GUIDE_PATTERN = re.compile("producer|spark_streaming|streamlit")
"""The pattern of the guide's pkill."""


class Lived:
    def __init__(self, folder: Path, engine: str = "embedded", failpoints: str = "") -> None:
        self.folder = folder
        self.ports = free_ports(4)
        toml = folder / "ventes.toml"
        toml.write_text(
            f"""
            engine = "{engine}"
            [kafka]
            port = {self.ports[0]}
            controller_port = {self.ports[1]}
            [page]
            port = {self.ports[2]}
            [metrics]
            port = {self.ports[3]}
            [producer]
            rate = 20
            [paths]
            lake = "lake"
            logs = "logs"
            state = "state"
            [spark]
            bronze_trigger_seconds = 0.5
            silver_trigger_seconds = 0.5
            [supervisor]
            backoff_seconds = 0.2
            """,
            encoding="utf-8",
        )
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VENTES_")}
        self.environment = {**kept, "VENTES_CONFIG": str(toml)}
        if failpoints:
            self.environment["VENTES_FAILPOINTS"] = failpoints

    def close(self) -> None:
        self.ventes("stop", "--all", code=None)
        for process in self.processes():
            process.kill()

    def record(self, name: str) -> heartbeat.Heartbeat:
        """The service's own log."""
        found = heartbeat.read(self.folder / "state", name)
        assert found is not None
        return found

    def ventes(self, *arguments: str, code: int | None = 0) -> str:
        return run_ventes(arguments, self.environment, self.folder, 150, code).stdout

    def status(self) -> dict[str, Any]:
        whole = json.loads(self.ventes("status", "--json", code=None))
        return {
            **{service["name"]: service for service in whole["services"]},
            "supervisor": whole["supervisor_pid"],
            "metrics_problem": whole["metrics_problem"],
        }

    def pid(self, name: str) -> int:
        return int(self.status()[name]["pid"])

    def by_hand(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *command],
            env=self.environment,
            cwd=PROJECT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("VENTES_CONFIG") == self.environment["VENTES_CONFIG"]
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def lived(tmp_path: Path) -> Iterator[Lived]:
    scene = Lived(tmp_path)
    yield scene
    scene.close()


@pytest.mark.timeout(280)
def test_kills_restarts_and_stops_of_one_pipeline(lived: Lived) -> None:
    with socket.create_server(("127.0.0.1", lived.ports[3])):  # a pipeline without its metrics' port is a pipeline
        printed = lived.ventes("start")
        before = lived.status()
    assert "visible in Silver" in printed
    assert f"http://localhost:{lived.ports[2]}" in printed
    # the command that is printed stops this pipeline in any shell, not the one of the project's own ventes.toml
    assert f"  Stop     VENTES_CONFIG={lived.environment['VENTES_CONFIG']} " in printed
    assert f"port {lived.ports[3]} (metrics.port) is taken by pid {os.getpid()}" in before["metrics_problem"]
    assert all(before[name]["ready"] for name in ("broker", "producer", "bronze", "silver", "page")), before

    # kill -9 is a crash, in the producer and in the broker beneath everything
    for name in ("producer", "broker"):
        victim = before[name]["pid"]
        os.kill(victim, signal.SIGKILL)
        wait_for(partial(_again, lived, name, victim), f"{name} is back and ready", 60)
    _has_metrics(lived, before)

    # SIGTERM is a stop on purpose: it stays down, and status reports that and fails
    os.kill(lived.pid("page"), signal.SIGTERM)
    wait_for(lambda: lived.status()["page"]["state"] == "stopped", "the page stays down", 30)
    assert "on purpose" in lived.status()["page"]["reason"]
    assert "page      STOPPED" in lived.ventes("status", code=1)

    # the same service started by hand is recognised, and not changed by start and stop
    page = lived.by_hand(
        "-m", "streamlit", "run", "streamlit_dashboard.py", "--server.headless=true",
        "--server.address=127.0.0.1", f"--server.port={lived.ports[2]}",
    )  # fmt: skip
    wait_for(lambda: lived.status()["page"]["ready"], "the page by hand answers", 60)
    assert lived.status()["page"]["by_hand"]
    assert lived.status()["page"]["pid"] == page.pid
    lived.ventes("start")
    assert lived.pid("page") == page.pid

    # a killed supervisor: the services that it left are ended gracefully, and started again
    old = lived.status()
    os.kill(old["supervisor"], signal.SIGKILL)
    wait_for(lambda: lived.status()["supervisor"] is None, "the supervisor is gone", 10)
    assert "takes over" in lived.ventes("status", code=None)
    lived.ventes("start")
    new = lived.status()
    assert {
        name for name in ("broker", "producer", "bronze", "silver") if old[name]["pid"] == new[name]["pid"]
    } == set()
    assert new["page"]["pid"] == page.pid

    # a suspended job is not shown as healthy
    psutil.Process(new["silver"]["pid"]).suspend()
    assert "kill -CONT" in lived.status()["silver"]["reason"]
    psutil.Process(new["silver"]["pid"]).resume()

    said = lived.ventes("stop")
    assert "keeps running" in said
    assert page.poll() is None
    lived.ventes("stop", "--all")
    page.wait(10)
    assert lived.processes() == []
    for port in lived.ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    assert "nothing ran" in lived.ventes("stop")
    verified = json.loads(lived.ventes("verify", "--json", "--no-topic"))
    assert verified["ok"], verified
    assert _rejected(lived) == {}

    lived.ventes("reset", "--yes")
    assert not (lived.folder / "lake").exists()
    assert "nothing to remove" in lived.ventes("reset")


def _has_metrics(lived: Lived, before: dict[str, Any]) -> None:
    """The endpoint has every metric that dashboard and rules name, with the values of the pipeline."""
    assert lived.status()["metrics_problem"] == ""
    found: dict[tuple[str, str], float] = {}
    families = set()

    def measured() -> bool:
        with urlopen(f"http://127.0.0.1:{lived.ports[3]}/metrics", timeout=20) as answer:
            for family in text_string_to_metric_families(answer.read().decode()):
                families.add(family.name)
                for sample in family.samples:
                    found[sample.name, sample.labels.get("service", sample.labels.get("table", ""))] = sample.value
        ready = found.get(("ventes_service_ready", "producer")) == 1  # again: it waited for the broker
        return ready and found.get(("ventes_measurement_success", "")) == 1

    wait_for(measured, "the metrics are measured, with a producer that is ready", 30)
    named = names_in(DASHBOARD) | names_in(ALERTS)
    missing = named - {name for name, _ in found}
    # a histogram of the page has no sample before its first viewer: tests/page/test_live.py has one
    assert {name for name in missing if not name.startswith("ventes_page_refresh_duration_seconds_")} == set()
    assert "ventes_page_refresh_duration_seconds" in families
    for name in ("producer", "broker"):  # each was killed once
        assert found["ventes_service_restarts_total", name] == 1
        assert found["ventes_service_last_error_timestamp_seconds", name] > before["producer"]["since"]
    assert found["ventes_service_restarts_total", "silver"] == 0
    assert found["ventes_broker_up", ""] == 1
    assert found["ventes_table_rows", "bronze"] > 0
    assert found["ventes_messages_clean_total", ""] > 0
    printed = lived.ventes("metrics")
    assert {family.name for family in text_string_to_metric_families(printed)} == families


def _again(lived: Lived, name: str, victim: int) -> bool:
    found = lived.status()[name]
    return bool(found["ready"]) and found["pid"] != victim


def _rejected(lived: Lived) -> dict[str, int]:
    """Reasons of ventes_rejets except `duplicate`: a sale whose acknowledgement was lost in a kill -9 comes twice."""
    import duckdb

    from harness.shipped import REJETS
    from ventes import config

    settings = config.load(paths={"lake": lived.folder / "lake"})
    with duckdb.connect() as con:
        tables.snapshot(settings, REJETS).view(con, "rejets")
        rows = con.execute("SELECT m, count(*) FROM (SELECT unnest(motifs) m FROM rejets) GROUP BY m").fetchall()
    return {motif: count for motif, count in rows if motif != "duplicate"}


@pytest.mark.long
@pytest.mark.timeout(280)
def test_commands_that_cross_after_the_supervisor_was_killed(lived: Lived) -> None:
    """Ending its services takes seconds: commands that come meanwhile wait, and are then carried out."""

    def at_once(*commands: str) -> list[tuple[int, str]]:
        os.kill(lived.status()["supervisor"], signal.SIGKILL)
        running = [
            subprocess.Popen(
                [str(VENTES), command],
                env=lived.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for command in commands
        ]
        printed = [process.communicate(timeout=150)[0] for process in running]
        return [(process.returncode, text) for process, text in zip(running, printed, strict=True)]

    lived.ventes("start")
    for code, printed in at_once("start", "start", "start"):
        assert code == 0, printed
    _all_up(lived)
    for code, printed in at_once("stop", "stop", "stop"):
        assert code == 0, printed
    assert lived.processes() == []
    lived.ventes("start")
    (code, printed), (other, also) = at_once("stop", "start")
    assert code == 0, printed
    assert other == 0 or "was told to stop during the start" in also, also


@pytest.mark.parametrize(
    "moment", ["start", *(pytest.param(one, marks=pytest.mark.long) for one in ("stop", "rebuild", "switch"))]
)
@pytest.mark.timeout(280)
def test_the_supervisor_is_killed_half_way(tmp_path: Path, moment: str) -> None:
    """The command that it worked for says so in a sentence or sees it through; the next start puts everything right."""
    # the start waits for the first sale in Silver, so it is not done when the supervisor is killed
    lived = Lived(tmp_path, failpoints="rebuild.before_exchange:busy:6,bronze.before_commit:busy:4")
    commands = {"rebuild": ("rebuild", "silver", "--yes"), "switch": ("restart", "--engine", "spark")}
    try:
        if moment != "start":
            lived.ventes("start")
        command = subprocess.Popen(
            [str(VENTES), *commands.get(moment, (moment,))],
            env=lived.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert command.stdout is not None
        if moment == "rebuild":
            wait_for(lambda: "rebuild" in lived.status()["silver"]["reason"], "Silver is kept down", 60)
        else:
            assert command.stdout.readline()
        os.kill(lived.status()["supervisor"], signal.SIGKILL)
        _, errors = command.communicate(timeout=150)
        assert "Traceback" not in errors
        if moment == "start":
            assert command.returncode == 1
            assert "the supervisor ended" in errors
        if moment == "stop":
            assert (command.returncode, errors) == (0, "")
        if moment in ("start", "stop"):
            assert lived.processes() == []
        if moment == "switch":
            assert command.returncode == 1
            assert "the supervisor ended" in errors
        lived.ventes("start", *commands.get(moment, ())[1:] if moment == "switch" else ())
        _all_up(lived)
        assert lived.status()["silver"]["engine"] == ("spark" if moment == "switch" else "embedded")
        lived.ventes("stop")
        assert lived.processes() == []
        assert json.loads(lived.ventes("verify", "--json", "--no-topic"))["ok"]
    finally:
        lived.close()


def test_a_start_that_fails_leaves_nothing(lived: Lived) -> None:
    (lived.folder / "state" / "kafka").mkdir(parents=True)
    (lived.folder / "state" / "kafka" / "data").mkdir()
    (lived.folder / "state" / "kafka" / "data" / "stray").write_text("x", encoding="utf-8")
    done = subprocess.run(
        [str(VENTES), "start"], env=lived.environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "Kafka broker failed" in done.stderr
    assert "ventes reset" in done.stderr
    assert "Traceback" not in done.stderr
    assert lived.processes() == []


GUIDES_LOGS = {
    "producer.log": "sale",
    "spark_delta.log": "batch",
    "spark_silver.log": "lot",
    "streamlit.log": "the page runs",
}
"""The logs that the guide names, and a word that must be in each."""


@pytest.mark.long
@pytest.mark.timeout(280)
def test_a_crash_loop_is_reported_in_status_and_logs(lived: Lived) -> None:
    """The page's port is taken while it is down: a crash loop until the port is free."""
    lived.environment["VENTES_SUPERVISOR__GIVE_UP_AFTER"] = "3"
    lived.ventes("start")
    logs = {name: (lived.folder / "logs" / name).read_text("utf-8") for name in GUIDES_LOGS}
    assert {name: text for name, text in logs.items() if GUIDES_LOGS[name] not in text} == {}

    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        os.kill(lived.pid("page"), signal.SIGKILL)
        wait_for(lambda: _bound(squatter, lived.ports[2]), "the port is free for a moment", 10)
        squatter.listen()
        wait_for(lambda: lived.status()["page"]["state"] == "failed", "the supervisor gives up", 60)
        page = lived.status()["page"]
        who = f"port {lived.ports[2]} (page.port) is taken by pid {os.getpid()}"
        assert page["reason"].startswith("crashed 3 times in a row")
        assert who in page["reason"]
        log = (lived.folder / "logs" / "streamlit.log").read_text("utf-8")
        assert f"Port {lived.ports[2]} is not available" in log
        assert "killed by SIGKILL" in log
        assert who in log
        assert "page      FAILED" in lived.ventes("status", code=1)
        done = subprocess.run(
            [str(VENTES), "start"], env=lived.environment, capture_output=True, text=True, timeout=90, check=False
        )
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
        assert who in done.stderr
        rest = lived.status()
        assert all(rest[name]["ready"] for name in ("broker", "producer", "bronze", "silver")), rest
    assert "page ready" in lived.ventes("start")
    _all_up(lived)


def _bound(squatter: socket.socket, port: int) -> bool:
    try:
        squatter.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


@pytest.mark.long
@pytest.mark.parametrize("engine", ["embedded", "spark"])
@pytest.mark.timeout(280)
def test_a_job_in_a_crash_loop_fails_the_start_and_leaves_nothing(tmp_path: Path, engine: str) -> None:
    lived = Lived(tmp_path, engine, failpoints="bronze.before_commit:kill9")
    try:
        done = subprocess.run(
            [str(VENTES), "start"], env=lived.environment, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == 1
        assert "Bronze job failed: crashes again and again: killed by SIGKILL" in done.stderr
        assert "Bronze job crashed, is started again" in done.stdout
        assert lived.processes() == []
        log = (lived.folder / "logs" / "spark_delta.log").read_text("utf-8")
        assert log.count("ended: killed by SIGKILL") >= 3
        del lived.environment["VENTES_FAILPOINTS"]
        lived.ventes("start")
        _all_up(lived)
        lived.ventes("stop")
        assert json.loads(lived.ventes("verify", "--json", "--no-topic"))["ok"]
    finally:
        lived.close()


HIT_AT_ITS_END = (-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP)
"""Exit codes of a process that gets a signal in its last milliseconds, when Python no longer handles it."""


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_during_a_start_stops_what_was_started_also_when_repeated(lived: Lived, first: signal.Signals) -> None:
    process = subprocess.Popen(
        [str(VENTES), "start"], env=lived.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert "ready" in process.stdout.readline()
    process.send_signal(first)
    process.send_signal(first)
    while "interrupted: stopping what was started" not in process.stdout.readline():
        assert process.poll() is None
    deadline = time.monotonic() + 90
    while process.poll() is None and time.monotonic() < deadline:  # an impatient user
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
    _, errors = process.communicate(timeout=5)
    assert errors == ""
    assert process.returncode in (128 + first, *HIT_AT_ITS_END)
    assert lived.processes() == []


def test_ctrl_c_during_a_stop_does_not_end_the_stop(lived: Lived) -> None:
    lived.ventes("start")
    for _ in range(2):
        process = subprocess.Popen(
            [str(VENTES), "stop"], env=lived.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()  # the first service has ended, or no progress is left to print
        for _ in range(3):
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=90)
        assert errors == ""
        assert process.returncode in (0, 130, *HIT_AT_ITS_END)
    lived.ventes("stop")
    assert lived.processes() == []
    assert json.loads(lived.ventes("verify", "--json", "--no-topic"))["ok"]


@pytest.mark.long
@pytest.mark.parametrize(("engine", "every"), [("embedded", 40), ("spark", 20)])
@pytest.mark.timeout(280)
def test_start_restarts_services_that_are_still_stopping(tmp_path: Path, engine: str, every: int) -> None:
    """SIGTERM and `ventes start` at once: in a large batch, between small ones, and as the guide's pkill does it.

    Some batches of Bronze take 4 s.
    """
    lived = Lived(tmp_path, engine, failpoints=f"bronze.before_commit%{every}:busy:4")
    try:
        lived.ventes("start")
        busy = _in_a_large_batch(lived)
        os.kill(busy, signal.SIGTERM)
        printed = lived.ventes("start")
        assert "Bronze job was told to stop from outside; is started again when it has ended" in printed
        fresh = _all_up(lived)
        assert fresh != busy

        os.kill(fresh, signal.SIGTERM)
        assert "Bronze job ready" in lived.ventes("start")
        assert _all_up(lived) != fresh

        busy = _in_a_large_batch(lived)
        for process in lived.processes():
            if GUIDE_PATTERN.search(" ".join(process.cmdline())):
                process.send_signal(signal.SIGTERM)
        lived.ventes("start")
        assert _all_up(lived) != busy

        os.kill(lived.pid("silver"), signal.SIGTERM)  # the start is over: this SIGTERM is a stop on purpose
        wait_for(lambda: lived.status()["silver"]["state"] == "stopped", "silver stays down", 30)
        lived.ventes("stop")
        assert lived.processes() == []
        assert json.loads(lived.ventes("verify", "--json", "--no-topic"))["ok"]
    finally:
        lived.close()


def _in_a_large_batch(lived: Lived) -> int:
    """Wait until Bronze works on one; returns its pid."""

    def at_work() -> bool:
        record = lived.record("bronze")
        return record.working_since is not None and 1.5 < time.time() - record.working_since < 3.0

    wait_for(at_work, "Bronze works on a large batch", 60)
    return lived.record("bronze").pid


def _all_up(lived: Lived) -> int:
    """Assert that everything is ready; returns Bronze's pid."""
    status = lived.status()
    assert {name for name in ("broker", "producer", "bronze", "silver", "page") if not status[name]["ready"]} == set()
    return int(status["bronze"]["pid"])


@pytest.mark.timeout(280)
def test_files_are_private_and_folders_open_to_others_are_refused(lived: Lived) -> None:
    before = os.umask(0)
    try:
        lived.ventes("start")
        lived.ventes("stop")
    finally:
        os.umask(before)
    roots = [lived.folder / name for name in ("lake", "logs", "state")]
    written = [path for root in roots for path in (root, *root.rglob("*"))]
    assert len(written) > 50
    modes = {str(path): oct(path.lstat().st_mode & 0o777) for path in written if not path.is_symlink()}
    assert {path: mode for path, mode in modes.items() if not mode.endswith("00")} == {}

    (lived.folder / "lake").chmod(0o777)
    done = subprocess.run(
        [str(VENTES), "start"], env=lived.environment, cwd=lived.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"paths.lake = {lived.folder / 'lake'} may be written by every user" in done.stderr
    assert f"chmod go-w {lived.folder / 'lake'}" in done.stderr
    assert lived.status()["supervisor"] is None
