"""The ports that Spark's driver opens on this machine answer nobody who does not know its secret."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import psutil

from ventes.engines.spark.session import Session

RPC_REQUEST = bytes([3]) + struct.pack(">qi", 7, 4) + b"abcd"
"""Spark's message type 3: a request id, and a body of four bytes."""
GATEWAY_COMMAND = b"r\nu\njava.lang.System\nrj\ne\n"
"""Py4J's: which class is this?"""


def listening(session: Session) -> list[tuple[str, int]]:
    found = psutil.Process(session.jvm_pid).net_connections("tcp")
    return [(c.laddr.ip.replace("::ffff:", ""), c.laddr.port) for c in found if c.status == psutil.CONN_LISTEN]


def answer(address: tuple[str, int], sent: bytes) -> str:
    """What comes within 2 s."""
    with socket.create_connection(address, timeout=2) as client:
        client.sendall(sent)
        try:
            return client.recv(4096).decode("utf-8", "replace")
        except TimeoutError:
            return ""


def test_nobody_is_answered_without_the_secret(session: Session) -> None:
    ports = listening(session)
    assert {ip for ip, _ in ports} == {"127.0.0.1"}
    framed = struct.pack(">q", 8 + len(RPC_REQUEST)) + RPC_REQUEST
    said = {address: answer(address, framed) for address in ports}
    refused = [address for address, text in said.items() if "Expected SaslMessage" in text]
    assert len(refused) == 2, f"the driver's and the block manager's port: {said}"
    (gateway,) = set(ports) - set(refused)
    assert "Authentication error" in answer(gateway, GATEWAY_COMMAND)


def test_the_secret_is_in_no_command_line_environment_or_file(session: Session) -> None:
    manager = session.jvm.org.apache.spark.SparkEnv.get().securityManager()
    secret = str(manager.getSecretKey())
    assert len(secret) >= 32
    jvm = psutil.Process(session.jvm_pid)
    for process in (jvm, psutil.Process()):
        assert secret not in " ".join(process.cmdline())
        assert secret not in str(process.environ())
    state = session.scratch.parent.parent
    files = [path for path in state.rglob("*") if path.is_file()]
    assert any(path.name.startswith("spark-tests") for path in files), "Spark's log is there"
    assert [path for path in files if secret.encode() in Path(path).read_bytes()] == []
