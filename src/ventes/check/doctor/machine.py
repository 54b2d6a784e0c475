"""Checks the machine: ports, disks, paths, addresses."""

from __future__ import annotations

import ipaddress
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ventes.check.doctor.finding import Finding, bad, ok, warn
from ventes.config import Settings
from ventes.runtime import disk
from ventes.runtime.pipeline_status import Status
from ventes.supervise import ports, services


def findings(settings: Settings, now: Status) -> Iterator[Finding]:
    """All findings about the machine. `now`: the pipeline's processes."""
    yield from _ports(settings, now)
    yield from _disks(settings)
    yield from _paths(settings)
    yield from _addresses(settings)


def _ports(settings: Settings, now: Status) -> Iterator[Finding]:
    wanted = [("page.port", settings.page.address, settings.page.port, now.service("page").pid)]
    if settings.kafka.managed:
        broker = now.service("broker").pid
        wanted.append(("kafka.port", settings.kafka.host, settings.kafka.port, broker))
        wanted.append(("kafka.controller_port", "127.0.0.1", settings.kafka.controller_port, broker))
    if settings.metrics.enabled:
        wanted.append(("metrics.port", settings.metrics.address, settings.metrics.port, now.supervisor_pid))
    for key, address, port, ours in wanted:
        name = f"port {port}"
        if ports.given_to_outgoing(port):
            yield warn(
                name,
                f"{key} is one that this machine gives to outgoing connections: another program may take it at any "
                "time, and a client that waits for long may connect to itself",
                f"set another {key} in {settings.config_file}, or sysctl -w net.ipv4.ip_local_reserved_ports={port}",
            )
        if not ports.taken(address, port):
            yield ok(name, f"free ({key})")
            continue
        holder = ports.holder(port)
        if holder is not None and holder.pid == ours:
            yield ok(name, f"held by this pipeline, pid {holder.pid} ({key})")
        else:
            yield bad(
                name,
                f"{key} is taken by {ports.describe(holder)}",
                f"stop that, or set another {key} in {settings.config_file}",
            )


def _disks(settings: Settings) -> Iterator[Finding]:
    """Free space, one finding per disk."""
    disks: dict[int, tuple[Path, list[str]]] = {}
    for label, folder in settings.folders.items():
        there = _nearest(folder)
        disks.setdefault(there.stat().st_dev, (there, []))[1].append(label)
    least = settings.maintenance.min_free_mb
    for there, labels in disks.values():
        name = f"disk of {', '.join(labels)}"
        free = disk.free_mb(there)
        inodes = os.statvfs(there)
        text = f"{disk.mount_of(there)} has {free:,} MB free"
        if free < least:
            yield bad(
                name,
                f"{text}; ingestion pauses below maintenance.min_free_mb = {least}",
                "free some space: it continues by itself",
            )
        elif inodes.f_files and inodes.f_favail < 10_000:
            yield bad(
                name, f"{disk.mount_of(there)} has room for {inodes.f_favail} more files only", "remove some files"
            )
        elif free < 4 * least:
            yield warn(name, f"{text}; ingestion pauses below {least}", "free some space before that")
        else:
            yield ok(name, text)


def _paths(settings: Settings) -> Iterator[Finding]:
    for label, folder in settings.folders.items():
        there = _nearest(folder)
        if not os.access(there, os.W_OK | os.X_OK):
            yield bad(f"paths.{label}", f"{there} cannot be written by this user", f"set another paths.{label}")
        elif there != folder and not there.is_dir():
            yield bad(f"paths.{label}", f"{there} is in the way: a file, not a folder", f"set another paths.{label}")
        else:
            yield ok(f"paths.{label}", f"{folder}" + ("" if folder.is_dir() else " (made at the first start)"))
    temporary = Path(tempfile.gettempdir()).resolve()
    if settings.lake.resolve().is_relative_to(temporary):
        yield warn(
            "tables in a temporary folder",
            f"{settings.lake} is under {temporary}, which many systems empty at boot or after days",
            f"to keep the tables for good set paths.lake in {settings.config_file}",
        )


def _addresses(settings: Settings) -> Iterator[Finding]:
    asked = [("page.address", settings.page.address)]
    if settings.kafka.managed:
        asked.append(("kafka.host", settings.kafka.host))
    for key, address in asked:
        if only_this_machine(address):
            yield ok(key, f"{address}: only this machine can reach it")
        elif key == "page.address" and settings.page.login.on:
            yield ok(key, f"{address}: other machines can reach it, with a login")
        else:
            yield warn(
                key,
                f"{address}: other machines can reach it, without a password",
                f"set {key} = 127.0.0.1, or let only whom you trust through the firewall",
            )

    if not only_this_machine(settings.page.address) and not settings.page.hosts and not settings.page.url:
        known = ", ".join(services.page_hosts(settings))
        yield warn(
            "page.hosts",
            f"the page answers under {known} only: under another name or address it shows nothing",
            f'name them in {settings.config_file}: hosts = ["dash.example.com"] under [page]',
        )


def only_this_machine(address: str) -> bool:
    """Whether an address cannot be reached from other machines."""
    if address == "localhost":
        return True
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback  # Java listens on ::ffff:127.0.0.1


def _nearest(folder: Path) -> Path:
    """The folder, or the part of its path that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder
