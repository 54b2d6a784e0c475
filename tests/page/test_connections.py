"""The page's real server with clients that open connections without using them, and with other host names."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
import pytest
from websockets.sync.client import connect

from harness.page_site import SCRIPT, Site, serve, toml
from harness.pipeline import wait_for
from ventes.config import PROJECT

HALF_OPEN = (
    b"",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    b"GET /_stcore/health HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHost: loc",  # the second one
    b"PUT /_stcore/upload_file/a/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf",
)
SECONDS = 1.5


def server_with(folder: Path, limits: str) -> Path:
    """A streamlit_server.py with other limits for connections."""
    script = folder / "streamlit_server.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(PROJECT / 'src')!r})\n"
        "from streamlit.starlette import App\nfrom ventes.dashboard import server\n"
        "from ventes.dashboard.connections import ConnectionLimits, Connections\n"
        f"app = App({str(SCRIPT)!r}, **server.options(connections=Connections(ConnectionLimits({limits}))))\n"
    )
    return script


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Site]:
    toml(tmp_path)
    limits = f"request_seconds={SECONDS}, stall_seconds={SECONDS}, in_all=400"
    with serve(tmp_path, server_with(tmp_path, limits)) as running:
        yield running


def half_open(site: Site, sent: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", site.port), timeout=30)
    client.sendall(sent)
    return client


def answers(site: Site) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=5)
    with closing(connection):
        connection.request("GET", "/_stcore/health", headers={"Host": "localhost"})
        return connection.getresponse().read() == b"ok"


def is_closed(client: socket.socket) -> bool:
    try:
        client.settimeout(0.01)
        while client.recv(65_536):
            pass
        return True
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_three_hundred_half_open_requests_do_not_stay(impatient: Site) -> None:
    before = psutil.Process(impatient.pid).num_fds()
    with ExitStack() as clients, connect(f"ws://localhost:{impatient.port}/_stcore/stream") as viewer:
        began = time.monotonic()
        opened = [
            clients.enter_context(half_open(impatient, HALF_OPEN[number % len(HALF_OPEN)])) for number in range(300)
        ]
        assert answers(impatient)
        wait_for(lambda: all(is_closed(client) for client in opened), "all are closed", 20)
        assert time.monotonic() - began >= SECONDS, "none had its time"
        viewer.ping().wait(5)  # connected viewers stay
    wait_for(lambda: psutil.Process(impatient.pid).num_fds() <= before + 5, "their files are closed", 10)
    log = (impatient.folder / "streamlit.log").read_text()
    assert 1 <= log.count("connections that made no progress") <= 2


def test_a_client_that_reads_nothing_of_the_pages_files_is_disconnected(impatient: Site) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", impatient.port))
        main = _largest_file(impatient)
        for _ in range(20):  # more than the kernel buffers for a client that reads nothing
            client.sendall(f"GET {main} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        server = psutil.Process(impatient.pid)
        mine = client.getsockname()[1]
        wait_for(
            lambda: not any(c.raddr and c.raddr.port == mine for c in server.net_connections("tcp")),
            "it is dropped",
            20,
        )


def _largest_file(site: Site) -> str:
    """The address of one of Streamlit's own scripts."""
    import streamlit

    folder = Path(streamlit.__file__).parent / "static"
    largest = max(folder.rglob("*.js"), key=lambda path: path.stat().st_size)
    return "/" + largest.relative_to(folder).as_posix()


def test_too_many_connections_are_told_to_wait_and_idle_ones_are_closed(tmp_path: Path) -> None:
    toml(tmp_path)
    with (
        serve(tmp_path, server_with(tmp_path, f"request_seconds={SECONDS}, in_all=20")) as site,
        ExitStack() as clients,
    ):
        for _ in range(20):
            clients.enter_context(half_open(site, HALF_OPEN[1]))
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=5)
        with closing(connection):
            connection.connect()
            answer = connection.sock.recv(1000)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"Try again" in answer
        wait_for(lambda: _answers(site), "there is room again", 10)


def test_the_oldest_without_a_request_makes_room(tmp_path: Path) -> None:
    toml(tmp_path)
    limits = "request_seconds=60, without_request=5"
    with serve(tmp_path, server_with(tmp_path, limits)) as site, ExitStack() as clients:
        opened = [clients.enter_context(half_open(site, HALF_OPEN[1])) for _ in range(8)]
        assert answers(site)
        wait_for(lambda: is_closed(opened[0]), "the oldest is closed", 10)
        assert not is_closed(opened[-1])


def _answers(site: Site) -> bool:
    try:
        return answers(site)
    except (OSError, http.client.HTTPException):
        return False


def ask(site: Site, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    with closing(connection):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.mark.parametrize(
    "path", ["/", "/_stcore/host-config", "/_stcore/metrics", "/static/index.html", "/csv/-", "/x"]
)
def test_other_host_names_get_no_content(site: Site, path: str) -> None:
    """A web site may let its own host name resolve to this machine."""
    for host in ("evil.example", f"evil.example:{site.port}", "localhost.evil.example", "", "[::1"):
        status, body = ask(site, path, Host=host)
        assert status == 403, host
        assert len(body) < 200
    assert ask(site, path, Host=f"localhost:{site.port}")[0] == (404 if path == "/csv/-" else 200)
    assert ask(site, "/_stcore/health", Host="evil.example") == (200, b"ok")


def test_metrics_are_for_this_machine(site: Site) -> None:
    """A proxy on this machine names its client in a header."""
    there = {"Host": "localhost", "X-Forwarded-For": "192.0.2.7"}
    assert ask(site, "/_stcore/metrics", **there)[0] == 403
    assert ask(site, "/_stcore/host-config", **there)[0] == 200, "a viewer's browser needs it"
