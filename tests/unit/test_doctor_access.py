"""The doctor on who can reach and read what."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.pipeline import free_ports
from ventes import config
from ventes.check.doctor import access, alerts
from ventes.check.doctor.finding import Finding
from ventes.check.status import status
from ventes.config import Settings
from ventes.dashboard import page_heartbeat
from ventes.runtime import heartbeat
from ventes.runtime.pipeline_status import Status
from ventes.settings.login import Login


@pytest.fixture
def settings(toml: Path) -> Settings:
    broker, controller, page, metrics = free_ports(4)
    toml.write_text(
        f"[kafka]\nport = {broker}\ncontroller_port = {controller}\n[page]\nport = {page}\n"
        f"[metrics]\nport = {metrics}\n"
        '[paths]\nlake = "lake"\nlogs = "logs"\nstate = "state"\n',
        encoding="utf-8",
    )
    return config.load()


def found(settings: Settings, name: str, now: Status | None = None) -> list[Finding]:
    return [one for one in access.findings(settings, now or status(settings)) if one.name == name]


def test_nothing_exists_yet_is_ok(settings: Settings) -> None:
    assert {one.level for one in access.findings(settings, status(settings))} == {"ok"}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_each_listening_port_is_reported_with_its_address(listener: socket.socket) -> None:
    assert ("127.0.0.1", listener.getsockname()[1]) in access.listening(os.getpid())


@pytest.mark.parametrize(
    ("address", "level"),
    [
        ("127.0.0.1", "ok"),
        ("localhost", "ok"),
        ("::1", "ok"),
        ("0.0.0.0", "warn"),
        ("::", "warn"),
        ("10.0.0.5", "warn"),
    ],
)
def test_an_address_that_others_reach_is_a_warning(settings: Settings, address: str, level: str) -> None:
    opened = settings.model_copy(update={"page": settings.page.model_copy(update={"address": address})})
    page = next(one for one in found(opened, "who can reach") if "page" in one.cause)
    assert page.level == level
    assert str(settings.page.port) in page.cause


@pytest.mark.parametrize(("address", "level"), [("127.0.0.1", "ok"), ("0.0.0.0", "warn"), ("::", "warn")])
def test_who_reads_the_metrics_is_reported(settings: Settings, address: str, level: str) -> None:
    opened = settings.model_copy(update={"metrics": settings.metrics.model_copy(update={"address": address})})
    told = found(opened, "metrics")
    assert [one.level for one in told] == [level]
    assert f"port {settings.metrics.port}" in told[0].cause
    assert "nothing of an event" in told[0].cause
    reach = next(one for one in found(opened, "who can reach") if "metrics" in one.cause)
    assert (reach.level, str(settings.metrics.port) in reach.cause) == (level, True)
    off = settings.model_copy(update={"metrics": settings.metrics.model_copy(update={"enabled": False})})
    assert found(off, "metrics") == []


def test_a_page_without_the_login_of_the_settings_is_a_warning(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (told,) = found(settings, "login")
    assert (told.level, "docs/login.md" in told.next_step) == ("ok", True)
    monkeypatch.setattr(page_heartbeat, "_started", {})
    page_heartbeat.start(settings)
    now = status(settings)
    runs = replace(now.service("page"), running=True, by_hand=False, pid=os.getpid())
    now = replace(now, services=tuple(runs if one.name == "page" else one for one in now.services))
    assert [one.level for one in found(settings, "login", now)] == ["ok"]
    by_hand = replace(now, services=tuple(replace(one, by_hand=True) for one in now.services))
    login = Login(header="X-User", proxies=["10.0.0.1"], viewers=["*"])
    guarded = settings.model_copy(update={"page": settings.page.model_copy(update={"login": login})})
    for seen, step in ((now, "ventes restart"), (by_hand, "ventes stop --all, then ventes start")):
        (warned,) = [one for one in found(guarded, "login", seen) if one.level == "warn"]
        assert "the running page was started without it (or with another one): it shows nobody" in warned.cause
        assert warned.next_step == step
    heartbeat.path_of(settings.state, "page", supervised=False).unlink()  # streamlit run streamlit_dashboard.py
    assert [one.level for one in found(guarded, "login", by_hand)].count("warn") == 1
    assert [one.level for one in found(settings, "login", by_hand)] == ["ok"]


def test_alerts_and_channels_are_counted_and_nothing_is_sent(toml: Path) -> None:
    assert [(one.level, one.cause) for one in alerts.findings(config.load())] == [("ok", "none is declared")]
    toml.write_text(
        '[alert_channels]\nops = "json://127.0.0.1:1/canary"\nhook = ""\n'
        '[[alerts]]\nname = "no-sale"\nmeasure = "seconds_since_last_event"\nabove = 120\nchannels = ["ops"]\n'
    )
    (told,) = alerts.findings(config.load())
    assert (told.level, told.cause) == ("ok", "1 alert (no-sale), 2 channels (hook, ops); no alert uses hook")


def test_folders_that_others_can_read_or_write_are_reported_with_their_mode(settings: Settings) -> None:
    for folder, mode in ((settings.lake, 0o755), (settings.state, 0o700), (settings.silver, 0o750)):
        folder.mkdir(parents=True)
        folder.chmod(mode)
    causes = {one.cause.split(" = ")[0]: one for one in found(settings, "who can read")}
    assert causes["paths.lake"].level == "warn"
    assert "every user of this machine (mode 0755)" in causes["paths.lake"].cause
    assert causes["paths.lake"].next_step.startswith(f"chmod go-rwx {settings.lake}")
    assert causes["paths.state"].level == "ok"
    settings.lake.chmod(0o777)
    assert [one.level for one in found(settings, "who can read") if "every user" in one.cause] == ["bad"]


def test_a_log_that_others_read_and_one_that_is_planted(settings: Settings) -> None:
    logs = settings.log("page").parent
    logs.mkdir()
    for name, mode in (("page", 0o600), ("bronze", 0o644)):
        settings.log(name).write_text("x")
        settings.log(name).chmod(mode)
    logs.chmod(0o1777)
    settings.log("silver").symlink_to("/etc/passwd")
    levels = {one.level: one.cause for one in found(settings, "who can read") if "log" in one.cause.split(" = ")[0]}
    assert "streamlit.log: only " in levels["ok"]
    assert "spark_delta.log" in levels["warn"]
    assert "spark_silver.log is a link" in levels["bad"]


def test_a_removed_log_of_the_running_broker_is_reported(settings: Settings) -> None:
    now = status(settings)
    running = [service if service.name != "broker" else _with_pid(service) for service in now.services]
    gone = found(settings, "log of broker", Status(**{**vars(now), "services": tuple(running)}))
    assert [one.level for one in gone] == ["warn"]
    assert "ventes restart" in gone[0].next_step


def _with_pid(service):
    return type(service)(**{**vars(service), "pid": os.getpid()})


def test_where_secrets_are_is_reported_but_not_their_value(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    key = settings.config_file.with_name("key.pem")
    key.write_text("x")
    key.chmod(0o644)
    with settings.config_file.open("a", encoding="utf-8") as file:
        file.write(
            f'[kafka.security]\n"ssl.key.location" = "{key}"\n"ssl.key.password" = "canary1"\n'
            '[spark.conf]\n"spark.hadoop.x.secret" = "canary2"\n'
        )
    monkeypatch.setenv("VENTES_KAFKA__MANAGED", "false")
    monkeypatch.setenv("VENTES_KAFKA__SECURITY__SASL_PASSWORD", "canary3")
    told = found(config.load(), "secrets")
    text = "\n".join(one.cause + one.next_step for one in told)
    assert f"kafka.security.ssl.key.password in {settings.config_file}" in text
    assert f"spark.conf.spark.hadoop.x.secret in {settings.config_file}" in text
    assert "kafka.security.sasl.password in the environment" in text
    assert "canary" not in text
    assert [one.level for one in told] == ["ok", "warn"]
    assert "mode 0644" in told[1].cause


def test_settings_that_others_may_write_are_a_warning(settings: Settings) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another group")
    os.chown(settings.config_file, -1, 12345)
    settings.config_file.chmod(0o660)
    (told,) = [one for one in found(settings, "who can read") if one.cause.startswith("settings")]
    assert told.level == "warn"
    assert "the group gid 12345 may write it" in told.cause
    assert stat.S_IMODE(settings.config_file.stat().st_mode) == 0o660
