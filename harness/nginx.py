"""nginx as a reverse proxy with TLS, for tests of the page behind one. Its server blocks are those of docs/login.md."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from harness.pipeline import wait_for
from ventes.config import PROJECT

ADDRESS = "127.0.0.2"
"""From here nginx asks a page that knows people by its header; a test asks from 127.0.0.1."""


def program() -> str | None:
    """The path of nginx; None if it is not installed."""
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


def documented(port: int, page: int, with_passwords: bool = False) -> str:
    """The server block of docs/login.md, from `port` to the page's port; with the lines for a login of the proxy."""
    server, login = (PROJECT / "docs" / "login.md").read_text("utf-8").split("```nginx\n")[1:3]
    block, lines = server.split("```")[0], login.split("```")[0]
    for there, here in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("/etc/ssl/dash.example.com", "tls"),
        ("127.0.0.1:8501", f"127.0.0.1:{page}"),
        ("# your own login here", f"{lines}proxy_bind {ADDRESS};" if with_passwords else ""),
        *([("/etc/nginx/sales.htpasswd", "passwords")] if with_passwords else ()),
    ):
        assert there in block, f"docs/login.md has no {there!r} any more"
        block = block.replace(there, here)
    return block


@contextmanager
def nginx(folder: Path, servers: str, ports: Sequence[int], passwords: str = "") -> Iterator[None]:
    """Run it until the block ends. `passwords`: lines name:{PLAIN}password."""
    path = program()
    assert path is not None
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "tls.key")
    certificate = ("-x509", *key, "-out", "tls.crt", "-days", "2", "-subj", "/CN=localhost")
    subprocess.run(["openssl", "req", *certificate], cwd=folder, check=True, timeout=60, capture_output=True)
    (folder / "passwords").write_text(passwords)
    temporary = "".join(f"{kind}_temp_path {kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user}daemon off;\nworker_processes 1;\npid nginx.pid;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{servers}}}\n"
    )
    running = subprocess.Popen([path, "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"])
    try:
        for port in ports:
            wait_for(partial(_answers, port), "nginx answers")
        yield
    finally:
        running.terminate()
        running.wait(10)


def _answers(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
