"""The real supervisor, real signals, real (small) processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness.pipeline import free_ports
from ventes import config
from ventes.cli import main
from ventes.config import PROJECT
from ventes.runtime import log_files
from ventes.runtime.heartbeat import same_process, start_of
from ventes.supervise import control, orphans, ports, service_records, services, shutdown, states
from ventes.supervise.control import Client, Disconnected, Message
from ventes.supervise.daemon import lock_path
from ventes.supervise.processes import lives
from ventes.supervise.service_records import Entry


def wait_for(question: Callable[[], object], what: str, seconds: float = 15.0) -> None:
    until = time.monotonic() + seconds
    while not question():
        if time.monotonic() > until:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.02)


def told(client: Client, kind: str, seconds: float = 15.0) -> Message:
    """The next event of this kind."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        event = client.receive(0.2)
        if event is not None and event["event"] == kind:
            return event
    pytest.fail(f"not within {seconds:.0f} s: {kind}")


class Small:
    """A supervisor of small processes, one for each service, in its own folders."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.logs = folder / "logs"
        page, self.metrics = free_ports(2)
        self.environment = {
            **os.environ,
            "VENTES_PATHS__STATE": str(self.state),
            "VENTES_PATHS__LOGS": str(self.logs),
            "VENTES_PATHS__LAKE": str(folder / "lake"),
            "VENTES_PAGE__PORT": str(page),
            "VENTES_METRICS__PORT": str(self.metrics),
            "VENTES_SUPERVISOR__BACKOFF_SECONDS": "0.1",
            "VENTES_ALERTS": '[{"name": "any", "sql": "SELECT true"}]',
            "VENTES_SUPERVISOR__GIVE_UP_AFTER": "3",
            "TMPDIR": str(folder),
            "PYTHONPATH": f"{PROJECT}:{PROJECT / 'src'}",
        }
        self.settings = config.load(
            paths={"state": self.state, "logs": self.logs, "lake": folder / "lake"}, page={"port": page}
        )
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "harness.small_supervisor"],
            env=self.environment,
            cwd=PROJECT,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        wait_for(lambda: service_records.read(self.state).supervisor_pid == self.process.pid, "the new records")
        wait_for(self.all_run, "all run")

    def entry(self, name: str) -> Entry:
        return service_records.read(self.state).entries[name]

    def pid(self, name: str) -> int:
        pid = self.entry(name).pid
        assert pid is not None
        return pid

    def all_run(self) -> bool:
        """Wait until all run, and Python has started: each has printed its line."""
        return all(
            self.entry(name).state == states.RUNNING
            and self.entry(name).process() is not None
            and name in log_files.last_message(services.output(self.settings, name))
            for name in services.BY_NAME
        )

    def connect(self) -> Client:
        client = control.connect(self.state)
        assert client is not None
        return client

    def start_what_is_down(self, engine: str | None = None) -> Message:
        """The request of `ventes start`; returns the event `ready`."""
        with self.connect() as client:
            assert client.ask("start", engine=engine)["event"] == "accepted"
            return told(client, "ready")

    def busy(self, on: bool) -> None:
        if on:
            (self.state / "busy").touch()
        else:
            (self.state / "busy").unlink()

    def pids(self) -> dict[str, int]:
        return {name: self.pid(name) for name in services.BY_NAME}

    def becomes(self, name: str, state: str) -> None:
        wait_for(lambda: self.entry(name).state == state, f"{name} {state}")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        list(orphans.end_all(self.settings))

    def restarts(self) -> dict[str, float]:
        """Service → its restarts, as the metrics have them."""
        with urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=20) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        (found,) = (family for family in families if family.name == "ventes_service_restarts")
        return {sample.labels["service"]: sample.value for sample in found.samples}

    def log(self) -> str:
        return (self.logs / "ventes.log").read_text(encoding="utf-8")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    scene = Small(tmp_path)
    try:
        yield scene
    finally:
        scene.close()


def test_stop_ends_all_in_order_and_leaves_nothing(small: Small) -> None:
    pids = small.pids()
    helper = psutil.Process(pids["bronze"]).children()[0]
    assert small.restarts()["silver"] == 0  # served, so the measuring process was started too
    family = psutil.Process(small.process.pid).children(recursive=True)
    small.stop()
    assert small.process.returncode == 0
    assert [process for process in family if lives(process)] == []
    assert not ports.taken("127.0.0.1", small.metrics)
    assert not [pid for pid in pids.values() if psutil.pid_exists(pid)]
    assert not lives(helper)
    stopped = [line.split()[2] for line in small.log().splitlines() if line.endswith("stopped: stopped on purpose")]
    assert stopped == list(services.STOP_ORDER)
    assert {entry.state for entry in service_records.read(small.state).entries.values()} == {states.STOPPED}


def test_killed_comes_back_and_terminated_stays_down_until_start(small: Small) -> None:
    before = small.pids()
    os.kill(before["silver"], signal.SIGKILL)
    os.kill(before["page"], signal.SIGTERM)
    small.becomes("page", states.STOPPED)
    wait_for(lambda: small.pid("silver") != before["silver"], "silver restarted")
    assert small.restarts() == {"broker": 0, "silver": 1, "bronze": 0, "producer": 0, "page": 0, "alerts": 0}
    assert small.entry("silver").failed_at is not None
    assert small.entry("page").process() is None
    assert small.start_what_is_down()["changed"]
    wait_for(small.all_run, "every service runs")
    after = small.pids()
    assert {name for name in before if before[name] == after[name]} == {"broker", "bronze", "producer", "alerts"}


def test_the_successor_starts_only_after_the_jvm_of_the_dead_driver_has_ended(small: Small) -> None:
    driver = small.pid("bronze")
    jvm = psutil.Process(driver).children()[0]
    os.kill(driver, signal.SIGKILL)
    wait_for(lambda: "left behind" in small.entry("bronze").reason, "it waits")
    assert lives(jvm)
    assert small.pid("bronze") == driver
    jvm.kill()
    wait_for(lambda: small.pid("bronze") != driver, "bronze restarted")


def test_a_killed_supervisor_leaves_orphans_that_the_next_one_ends(small: Small) -> None:
    before = small.pids()
    old = [psutil.Process(pid) for pid in before.values()]
    old += old[list(before).index("bronze")].children()
    small.process.kill()
    small.process.communicate()
    assert len(old) == len(services.ALL) + 1
    assert all(lives(process) for process in old)
    small.start()
    assert not [process for process in old if lives(process)]
    assert "left by an earlier run, ended" in small.log()
    assert set(small.pids().values()).isdisjoint(before.values())


def test_at_its_end_it_removes_the_temporary_folders_of_what_was_killed(small: Small) -> None:
    folder = Path(small.environment["TMPDIR"])
    code = "from ventes.runtime import scratch; print(scratch.folder(), flush=True); input()"
    killed, lives = (
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=small.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    )
    old, used = (Path(one.stdout.readline().strip()) for one in (killed, lives) if one.stdout is not None)
    killed.kill()
    killed.communicate(timeout=30)
    assert old.is_dir()
    small.stop()
    assert list(folder.glob("ventes-scratch-*")) == [used]
    lives.communicate("\n", timeout=30)


def test_a_second_supervisor_refuses_and_names_the_first(small: Small) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "harness.small_supervisor"],
        env=small.environment,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode != 0
    assert str(small.process.pid) in second.stderr
    assert str(lock_path(small.state)) in second.stderr
    assert small.all_run()


def test_another_engine_replaces_the_jobs_only(small: Small) -> None:
    before = small.pids()
    assert small.start_what_is_down("embedded")["changed"]
    assert service_records.read(small.state).engine == "embedded"
    wait_for(small.all_run, "all run again")
    after = small.pids()
    assert [name for name in before if before[name] != after[name]] == ["silver", "bronze"]
    assert psutil.Process(after["silver"]).environ()["VENTES_ENGINE"] == "embedded"


def test_a_job_that_notes_sigterm_in_a_large_lot_is_waited_for_and_started_again(small: Small) -> None:
    before = small.pids()
    small.busy(True)
    os.kill(before["silver"], signal.SIGTERM)
    with small.connect() as client:  # at once
        client.ask("start")
        stopping = told(client, "service")
        assert (stopping["service"], stopping["state"]) == ("silver", states.STOPPING)
        assert small.pid("silver") == before["silver"]
        small.busy(False)
        assert told(client, "ready")["changed"]
    after = small.pids()
    assert [name for name in before if before[name] != after[name]] == ["silver"]
    os.kill(after["silver"], signal.SIGTERM)  # after the start: on purpose
    small.becomes("silver", states.STOPPED)


def test_a_start_finds_everything_up_and_changes_nothing(small: Small) -> None:
    before = small.pids()
    assert small.start_what_is_down() == {"event": "ready", "changed": False}
    assert small.pids() == before


def test_a_service_that_the_settings_no_longer_ask_for_is_ended_and_named_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = tmp_path / "ventes.toml"
    toml.touch(0o600)
    monkeypatch.setenv("VENTES_CONFIG", str(toml))
    small = Small(tmp_path)
    try:
        page = small.settings.page.port
        places = f'[paths]\nstate = "{small.state}"\nlogs = "{small.logs}"\nlake = "{tmp_path / "lake"}"\n'
        places += f"[page]\nport = {page}\n"
        monkeypatch.setattr("ventes.kafka.ensure_topic", lambda _: None)
        monkeypatch.setattr("ventes.supervise.visible.Visible.reached", lambda _: True)
        toml.write_text(f"{places}[producer]\nenabled = false\n", "utf-8")
        before = small.pids()
        assert main(["start"]) == 0
        said = capsys.readouterr().out
        assert "producer: ended, because producer.enabled is false" in said
        assert "the other services were not touched" in said
        assert "nothing had to be started" not in said
        assert "changed since" not in said
        assert small.entry("producer").process() is None
        assert small.entry("producer").reason == states.NOT_ASKED_FOR
        assert [name for name in before if small.pid(name) != before[name]] == []
        toml.write_text(places, "utf-8")
        assert main(["start"]) == 0
        assert "starting what is down: producer" in capsys.readouterr().out
        small.becomes("producer", states.RUNNING)
    finally:
        small.close()


def test_a_job_is_held_as_long_as_its_holder_lives_and_no_longer(small: Small) -> None:
    before = small.pid("silver")
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from ventes.supervise import control\n"
            "client = control.connect(Path(sys.argv[1])); client.send('hold', service='silver', by='a test')\n"
            "print(client.receive(10), flush=True); sys.stdin.read()",
            str(small.state),
        ],
        env=small.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert "'starts_again': True" in holder.stdout.readline()
        assert small.entry("silver").process() is None
        wait_for(lambda: "a test" in small.entry("silver").reason, "the record says who holds it")
        assert str(holder.pid) in small.entry("silver").reason
    finally:
        holder.kill()
        holder.communicate()
    wait_for(small.all_run, "silver is started again")
    assert small.pid("silver") != before


def test_stop_by_the_socket_ends_all_and_the_socket_too(small: Small) -> None:
    said: list[str] = []
    watcher = small.connect()
    with watcher:
        watcher.ask("start")
        assert shutdown.stop(small.settings, said.append)
        assert told(watcher, "stopped")
        with pytest.raises(Disconnected):
            watcher.receive(5.0)
    titles = [services.BY_NAME[name].title for name in services.STOP_ORDER]
    assert said == [f"{title}: stopped on purpose" for title in titles]
    small.process.communicate(timeout=5)
    assert small.process.returncode == 0
    assert not control.path_of(small.state).exists()


def test_a_supervisor_whose_socket_was_removed_is_still_stopped(small: Small) -> None:
    control.path_of(small.state).unlink()
    assert shutdown.stop(small.settings, lambda text: None)
    small.process.communicate(timeout=5)
    assert small.process.returncode == 0


def test_invalid_clients_do_not_affect_it(small: Small) -> None:
    before, me = small.pids(), psutil.Process(small.process.pid)
    size = me.memory_info().rss
    clients = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for number, client in enumerate(clients):
        client.connect(str(control.path_of(small.state)))
        client.setblocking(False)
        for _ in range(200):
            try:
                client.send((b"x" * 2048, b"rubbish\n" * 256, b'{"request": "state"}\n' * 100)[number % 3])
            except OSError:  # closed, or its buffer is full for now
                break
    with small.connect() as friend:
        assert friend.ask("state")["pid"] == small.process.pid
        friend.ask("start")
        for client in clients:
            client.close()
        assert not told(friend, "ready")["changed"]
    assert small.pids() == before
    assert me.memory_info().rss - size < 10_000_000


def test_idle_it_uses_almost_no_cpu(small: Small) -> None:
    me = psutil.Process(small.process.pid)
    began, spent = time.monotonic(), sum(me.cpu_times()[:2])
    wait_for(lambda: time.monotonic() - began > 6, "six quiet seconds", 10)
    assert (sum(me.cpu_times()[:2]) - spent) / 6 <= 0.01
    assert me.memory_info().rss < 60_000_000


def test_nothing_is_signalled_whose_start_time_or_command_differs(tmp_path: Path) -> None:
    settings = config.load(paths={"state": tmp_path})
    stranger = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()", "stranger"])
    try:
        started = start_of(stranger.pid)
        earlier = Entry("bronze", pid=stranger.pid, process_started=started - 1, argv=["stranger"])
        other = Entry("silver", pid=stranger.pid, process_started=started, argv=["streaming_silver.py"])
        service_records.write(tmp_path, service_records.ServiceRecords(entries={"bronze": earlier, "silver": other}))
        assert orphans.find(settings) == {}
        assert list(orphans.end_all(settings)) == []
        assert stranger.poll() is None
        assert same_process(stranger.pid, started) is not None  # the start time is what tells them apart
    finally:
        stranger.kill()
        stranger.wait()


def test_the_output_of_a_chatty_service_is_cut_to_its_newest_lines(tmp_path: Path) -> None:
    path = tmp_path / "bronze.out"
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(600_000)))
    log_files.trim(path)
    assert path.stat().st_size <= log_files.KEPT
    assert log_files.last_message(path) == "line 599999"
    assert path.read_bytes().startswith(b"line ")
