"""Checks access: listening ports, the page's login, files and folders, secrets, logs that were removed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil

from ventes.check.doctor import login
from ventes.check.doctor.finding import Finding, bad, ok, warn
from ventes.check.doctor.machine import only_this_machine
from ventes.config import LOG_NAMES, Settings, where_secrets_are
from ventes.runtime import private_files
from ventes.runtime.pipeline_status import Status
from ventes.runtime.private_files import group_name, private_group, user_name

THIS_MACHINE = "every user and program of this machine"
OTHER_MACHINES = "other machines too"


def findings(settings: Settings, now: Status) -> Iterator[Finding]:
    """One finding for each port of the pipeline, each folder that is written, ventes.toml, and all secrets together."""
    yield from _ports(settings, now)
    yield from login.findings(settings)
    yield from login.of_running_page(settings, now)
    yield from _places(settings)
    yield from _logs(settings, now)
    yield _settings_file(settings)
    yield _secrets(settings)
    yield from _key_files(settings)


# -- reach ------------------------------------------------------------------------------------


def _ports(settings: Settings, now: Status) -> Iterator[Finding]:
    """The addresses on which this pipeline's processes listen; for those that are down, from the settings."""
    heard = set()
    for service in now.services:
        if service.pid is not None:
            for address, port in listening(service.pid):
                heard.add(service.name)
                yield _reach(f"{service.title} (pid {service.pid}) listens on", address, port)
    if "page" not in heard:
        yield _reach("page.address: the page will listen on", settings.page.address, settings.page.port)
    if settings.kafka.managed and "broker" not in heard:
        yield _reach("kafka.host: the broker will listen on", settings.kafka.host, settings.kafka.port)
    yield from _metrics(settings, now)


TOLD = "counts, lags, times, disk space, names of tables and reasons; nothing of an event"


def _metrics(settings: Settings, now: Status) -> Iterator[Finding]:
    """Who can reach the supervisor's port, and what it tells."""
    metrics = settings.metrics
    if not metrics.enabled:
        return
    own = listening(now.supervisor_pid, with_children=False) if now.supervisor_pid is not None else []
    for address, port in own:
        yield _reach(f"supervisor (pid {now.supervisor_pid}) listens on", address, port)
    if not own and now.supervisor_pid is None:
        yield _reach("metrics.address: the supervisor will listen on", metrics.address, metrics.port)
    text = f"the metrics have no login: {{}} that reaches port {metrics.port} reads {TOLD}"
    if only_this_machine(metrics.address):
        yield ok("metrics", text.format("everyone on this machine"))
    else:
        step = "set metrics.address to 127.0.0.1, or let only your Prometheus through a firewall"
        yield warn("metrics", text.format("every machine"), step)


def _reach(who: str, address: str, port: int) -> Finding:
    name = "who can reach"
    shown = f"{who} [{address}]:{port}" if ":" in address else f"{who} {address}:{port}"
    if only_this_machine(address):
        return ok(name, f"{shown}: {THIS_MACHINE}")
    return warn(name, f"{shown}: {OTHER_MACHINES}", "set that address to 127.0.0.1, or restrict it by a firewall")


def listening(pid: int, *, with_children: bool = True) -> list[tuple[str, int]]:
    """(address, port) of each TCP socket that the process, or one of its children, listens on."""
    found = set()
    try:
        process = psutil.Process(pid)
        for one in (process, *(process.children(recursive=True) if with_children else ())):
            for connection in one.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr:
                    found.add((connection.laddr.ip, connection.laddr.port))
    except psutil.Error:  # it ended meanwhile, or belongs to another user
        pass
    return sorted(found)


# -- read -------------------------------------------------------------------------------------


def _places(settings: Settings) -> Iterator[Finding]:
    for name, folder in settings.folders.items():
        key, shared = f"paths.{name}", name == "logs"
        if why := private_files.unsafe_folder(folder, shared=shared):
            yield bad(_READ, f"{key} = {folder} {why}", "nothing starts until that is fixed")
        elif folder.is_dir():
            yield _readers(key, folder, shared)
    for folder in private_files.own_folders(settings):
        if folder.is_dir() and folder.stat().st_mode & 0o077:
            yield _readers("tables", folder)


_READ = "who can read"


def _readers(label: str, path: Path, shared: bool = False) -> Finding:
    others = who_reads(path)
    text = f"{label} = {path}: {', '.join(others) or f'only {user_name(path.stat().st_uid)}'} ({_mode(path)})"
    if not others or (shared and path.stat().st_mode & stat.S_ISVTX):  # /tmp: each log is checked instead
        return ok(_READ, text)
    return warn(_READ, text, f"chmod go-rwx {path}, unless you want that")


def who_reads(path: Path) -> list[str]:
    """Who, besides the owner and root, may read a file or enter a folder, as text."""
    info = path.stat()
    others = []
    if info.st_mode & stat.S_IRWXG and not private_group(info.st_gid, info.st_uid):
        others.append(f"the group {group_name(info.st_gid)}")
    if info.st_mode & stat.S_IRWXO:
        others.append("every user of this machine")
    return others


def _mode(path: Path) -> str:
    return f"mode {stat.S_IMODE(path.stat().st_mode):04o}"


def _logs(settings: Settings, now: Status) -> Iterator[Finding]:
    """Logs that must not be used, that others can read, or that were removed while their service runs."""
    private = []
    for name in LOG_NAMES:
        log = settings.log(name)
        if why := private_files.unsafe_log(log):
            yield bad(_READ, f"the log {log} {why}", "nothing starts until that is fixed")
        elif log.is_file():
            if who_reads(log):
                yield _readers("log", log)
            else:
                private.append(log.name)
    if private:
        yield ok(_READ, f"logs {', '.join(private)}: only {user_name(os.geteuid())}")
    broker = now.service("broker")
    if settings.kafka.managed and broker.pid is not None and not settings.log("broker").exists():
        yield warn(
            "log of broker",
            f"{settings.log('broker')} was removed; the broker (pid {broker.pid}) still writes to the removed file",
            "ventes restart; the logs of the other services come back with their next line",
        )


def _settings_file(settings: Settings) -> Finding:
    path = settings.config_file
    if not path.is_file():
        return ok(_READ, f"{path} is not there: every setting has its default")
    info = path.stat()
    text = f"settings = {path}: of {user_name(info.st_uid)}, {_mode(path)}"
    if info.st_uid not in (os.geteuid(), 0):
        return warn(_READ, f"{text}; that user decides what this pipeline runs", "use a ventes.toml of your own")
    if whom := private_files.others_who_write(info, os.geteuid()):
        return warn(_READ, f"{text}; {whom} may write it and so decide what this pipeline runs", f"chmod go-w {path}")
    return ok(_READ, f"{text}; {', '.join(who_reads(path)) or 'no other user'} may read it")


def _secrets(settings: Settings) -> Finding:
    found = where_secrets_are(settings)
    if not found:
        return ok("secrets", "none in ventes.toml or the environment")
    return ok("secrets", ", ".join(f"{key} in {place}" for key, place in sorted(found.items())))


def _key_files(settings: Settings) -> Iterator[Finding]:
    """Private keys that [kafka.security] names."""
    key = "ssl.key.location"
    path = Path(settings.kafka.client_security().get(key, ""))
    if path.is_file() and (others := who_reads(path)):
        text = f"the file of kafka.security {key} ({_mode(path)}): {', '.join(others)} may read it"
        yield warn("secrets", text, "chmod 600 that file")
