"""Finds which process listens on a port of this machine, as far as this user may see."""

from __future__ import annotations

import socket
from pathlib import Path

import psutil


def taken(address: str, port: int) -> bool:
    """Whether something listens there already."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection in TIME_WAIT is not a listener
        try:
            probe.bind((address, port))
        except PermissionError:  # a port below 1024: the service itself reports the error
            return False
        except OSError:
            return True
    return False


def holder(port: int) -> psutil.Process | None:
    """The process that listens on `port`, or None if there is none or it is another user's."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return None
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        if listens and connection.pid:
            try:
                return psutil.Process(connection.pid)
            except psutil.NoSuchProcess:
                continue
    return None


def describe(process: psutil.Process | None) -> str:
    """'pid 4711 (python -m http.server 8501)', or 'a process of another user'."""
    if process is None:
        return "a process that this user cannot see"
    try:
        command = " ".join(process.cmdline())
    except psutil.Error:
        command = ""
    return f"pid {process.pid}" + (f" ({command[:120]})" if command else "")


def given_to_outgoing(port: int, folder: Path = Path("/proc/sys/net/ipv4")) -> bool:
    """Whether `port` is in the kernel's range for outgoing connections; False if the range is unknown."""
    try:
        low, high = map(int, (folder / "ip_local_port_range").read_text(encoding="ascii").split())
        reserved = (folder / "ip_local_reserved_ports").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return False
    spans = (span.partition("-") for span in reserved.split(",") if span)
    kept = any(int(first) <= port <= int(last or first) for first, _, last in spans)
    return low <= port <= high and not kept
