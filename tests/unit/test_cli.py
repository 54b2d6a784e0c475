"""The command line as a user sees it: exit codes, one-line errors, and fast help."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import duckdb
import psutil
import pytest
import typer

from harness.pipeline import free_ports
from ventes import __version__, cli, config
from ventes.errors import UsageError, VentesError
from ventes.runtime import heartbeat
from ventes.supervise import service_records


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A separate pipeline that does not run."""
    toml = tmp_path / "ventes.toml"
    kafka, controller, page, metrics = free_ports(4)
    toml.write_text(
        '[paths]\nlake = "lake"\nlogs = "logs"\nstate = "state"\n'
        f"[kafka]\nport = {kafka}\ncontroller_port = {controller}\n[page]\nport = {page}\n"
        f"[metrics]\nport = {metrics}\n"
        "[maintenance]\nmin_free_mb = 1\n",
        encoding="utf-8",
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VENTES_")}
    return {**kept, "VENTES_CONFIG": str(toml), "PYTHONPATH": str(config.PROJECT / "src")}


def ventes(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", "import sys; from ventes.cli import main; sys.exit(main())", *arguments],
        env=environment,
        cwd=Path(environment["VENTES_CONFIG"]).parent,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_help_names_every_command_and_imports_nothing_heavy(environment: dict[str, str]) -> None:
    done = ventes(environment, "--help")
    assert done.returncode == 0
    commands = "start stop restart status logs metrics produce verify doctor recover rebuild reset"
    for command in commands.split():
        assert f"\n  {command} " in done.stdout
    code = "import sys; from ventes.cli import mount; mount(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    heavy = {"duckdb", "deltalake", "pyarrow", "confluent_kafka", "pyspark", "streamlit", "pandas"}
    assert heavy & set(loaded.stdout.split()) == set()


def test_version(environment: dict[str, str]) -> None:
    assert ventes(environment, "--version").stdout == f"ventes {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["stauts"], ["start", "--engine", "flink"], ["logs", "-n", "many"], ["status", "x"]]
)
def test_wrong_usage_is_exit_2(environment: dict[str, str], arguments: list[str]) -> None:
    done = ventes(environment, *arguments)
    assert done.returncode == 2
    assert "Error" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_named_on_one_line_with_exit_2(environment: dict[str, str]) -> None:
    done = ventes({**environment, "VENTES_PAGE__PORT": "99999"}, "status")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "page.port" in done.stderr
    assert "99999" in done.stderr


def test_a_service_that_does_not_exist_is_named(environment: dict[str, str]) -> None:
    done = ventes(environment, "logs", "gold")
    assert done.returncode == 2
    assert "'gold'" in done.stderr


def test_status_without_a_pipeline_is_exit_1_with_the_next_step(environment: dict[str, str]) -> None:
    done = ventes(environment, "status", "--json")
    assert done.returncode == 1
    data = json.loads(done.stdout)
    assert [service["name"] for service in data["services"]] == ["broker", "producer", "bronze", "silver", "page"]
    assert {(service["state"], service["running"], service["ready"]) for service in data["services"]} == {
        ("stopped", False, False)
    }
    assert not (Path(environment["VENTES_CONFIG"]).parent / "lake").exists()  # status changes nothing


def test_stop_and_reset_of_nothing_are_fine(environment: dict[str, str]) -> None:
    for command, said in (("stop", "nothing ran"), ("reset", "nothing to remove")):
        done = ventes(environment, command)
        assert (done.returncode, done.stderr) == (0, "")
        assert said in done.stdout


@pytest.mark.parametrize("key", ["kafka.port", "kafka.controller_port", "page.port"])
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::"])
def test_a_taken_port_is_named_with_its_holder_and_its_key_and_nothing_is_started(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, key: str, address: str
) -> None:
    monkeypatch.setenv("VENTES_CONFIG", environment["VENTES_CONFIG"])
    section, name = key.split(".")
    port = getattr(getattr(config.load(), section), name)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family, dualstack_ipv6=family == socket.AF_INET6):
        done = ventes(environment, "start")
    assert done.returncode == 1
    assert f"port {port} ({key})" in done.stderr
    assert f"pid {os.getpid()}" in done.stderr
    assert f"set another {key} in {environment['VENTES_CONFIG']}" in done.stderr
    assert not (Path(environment["VENTES_CONFIG"]).parent / "state" / "run" / "services.json").exists()


def test_records_that_name_other_processes_harm_nobody(environment: dict[str, str]) -> None:
    """What a killed pipeline left: the numbers of its processes, which others have now."""
    run = Path(environment["VENTES_CONFIG"]).parent / "state" / "run"
    run.mkdir(parents=True, mode=0o700)
    stranger = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()", "streaming_silver.py"])
    try:
        now = heartbeat.start_of(stranger.pid)
        for name, started in (("bronze", now - 100), ("silver", now + 100), ("producer", 0.0), ("page", -1.0)):
            for supervised in (True, False):
                record = heartbeat.Heartbeat(
                    name, pid=stranger.pid, process_started=started, supervised=supervised, phase="running",
                    children=[stranger.pid], beat=psutil.Process(stranger.pid).create_time() - 60,
                )  # fmt: skip
                heartbeat.path_of(run.parent, name, supervised=supervised).write_text(json.dumps(vars(record)))
        entries = {
            name: service_records.Entry(name, "running", pid=stranger.pid, process_started=now - 100)
            for name in ("bronze", "silver")
        }
        service_records.write(
            run.parent, service_records.ServiceRecords("embedded", stranger.pid, now - 100, entries=entries)
        )
        found = json.loads(ventes(environment, "status", "--json").stdout)
        assert found["supervisor_pid"] is None
        assert not any(service["running"] or service["pid"] for service in found["services"])
        for command in (("stop",), ("stop", "--all"), ("reset", "--yes")):
            done = ventes(environment, *command)
            assert (done.returncode, done.stderr) == (0, ""), command
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_too_little_space_is_said_before_anything_is_started(environment: dict[str, str]) -> None:
    done = ventes({**environment, "VENTES_MAINTENANCE__MIN_FREE_MB": "999999999"}, "start")
    assert done.returncode == 1
    assert "MB free" in done.stderr
    assert "paths." in done.stderr


def test_reset_asks_and_takes_no_answer_for_no(environment: dict[str, str]) -> None:
    home = Path(environment["VENTES_CONFIG"]).parent
    ours, strangers = home / "lake" / "silver" / "ventes_clean", home / "lake" / "silver" / "mine"
    for folder in (ours, strangers):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x", encoding="utf-8")
    outside = home / "outside"
    outside.mkdir()
    (home / "lake" / "checkpoints").symlink_to(outside)
    refused = ventes(environment, "reset")
    assert refused.returncode == 2
    assert str(ours) in refused.stdout
    assert ours.exists()
    done = ventes(environment, "reset", "--yes")
    assert done.returncode == 0, done.stderr
    assert not ours.exists()
    assert not (home / "lake" / "checkpoints").is_symlink()
    assert (strangers / "file").exists()
    assert outside.is_dir()


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [
        (VentesError("the port is taken", "stop it"), 1, "ventes: the port is taken → stop it\n"),
        (UsageError("no such table", ""), 2, "ventes: no such table\n"),
        (KeyboardInterrupt(), 130, ""),
        (typer.Exit(1), 1, ""),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            1,
            "ventes: disk full: [Errno 28] No space left on device → free some space, and run the command again\n",
        ),
        (
            duckdb.IOException("Could not write file: No space left on device"),
            1,
            "ventes: disk full: Could not write file: No space left on device → free some space, and run the command "
            "again\n",
        ),
    ],
)
def test_errors_become_exit_codes(
    raised: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    application = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)

    @application.command()
    def fail() -> None:
        raise raised

    assert cli.run(application, []) == code
    assert capsys.readouterr().err == line


def test_ctrl_c_ends_a_command_without_a_traceback(environment: dict[str, str]) -> None:
    logs = Path(environment["VENTES_CONFIG"]).parent / "logs"
    logs.mkdir()
    (logs / "producer.log").write_text("a sale\n", encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; from ventes.cli import main; sys.exit(main())", "logs", "producer", "-f"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "a sale\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (130, "")


def test_ctrl_c_while_the_commands_are_imported_shows_no_traceback() -> None:
    program = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "ventes.cli.verify":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from ventes.cli import main
sys.exit(main(["--version"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": "src"}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
