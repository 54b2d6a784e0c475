"""The server of the metrics and the child process that measures: limits, errors, a taken port, a clean end."""

from __future__ import annotations

import http.client
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from harness.pipeline import free_ports, wait_for
from ventes.config import Settings
from ventes.runtime.measured import Measured
from ventes.supervise.metrics.endpoint import MOST_CONNECTIONS, Endpoint, greeting
from ventes.supervise.metrics.measurer import Measurer
from ventes.supervise.metrics.serving import Serving
from ventes.supervise.services import metrics_url

# -- the server -------------------------------------------------------------------------------


class Text:
    """The metrics: "answer", or as a test sets it."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        self.accepted = ""

    def __call__(self, accept: str) -> tuple[bytes, str]:
        self.accepted = accept
        self.asked.set()
        assert self.go_on.wait(10)
        if self.error is not None:
            raise self.error
        return b"answer", "text/special"


@pytest.fixture
def text() -> Text:
    return Text()


@pytest.fixture
def endpoint(text: Text) -> Iterator[Endpoint]:
    found = Endpoint("127.0.0.1", 0, text, request_seconds=0.5)
    assert found.listen()
    yield found
    text.go_on.set()
    found.close()


def ask(endpoint: Endpoint, path: str = "/metrics", method: str = "GET", **headers: str) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=5)) as connection:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_what_it_answers(endpoint: Endpoint, text: Text) -> None:
    assert ask(endpoint, Accept="application/openmetrics-text") == (200, b"answer")
    assert text.accepted == "application/openmetrics-text"
    assert ask(endpoint, "/metrics?x=1", "HEAD") == (200, b"")
    status, said = ask(endpoint, "/")
    assert (status, said.decode()) == (200, greeting(psutil.Process().pid))
    assert ask(endpoint, "/other")[0] == 404
    assert ask(endpoint, method="POST")[0] == 501  # no such method
    assert not endpoint.listen()


def test_an_error_in_the_metrics_is_one_answer(endpoint: Endpoint, text: Text) -> None:
    text.error = ValueError("secret")
    status, said = ask(endpoint)
    assert status == 500
    assert b"secret" not in said
    text.error = None
    assert ask(endpoint) == (200, b"answer")


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:9464", 200), ("127.0.0.1", 200), ("[::1]:9464", 200), ("10.0.0.5", 200), ("evil.example:9464", 403)],
)
def test_a_web_site_cannot_read_it_under_its_own_name(endpoint: Endpoint, host: str, status: int) -> None:
    assert ask(endpoint, Host=host)[0] == status


def test_another_address_answers_to_every_name(text: Text) -> None:
    with closing(Endpoint("0.0.0.0", 0, text)) as endpoint:
        endpoint.listen()
        assert ask(endpoint, Host="ventes.lan")[0] == 200


def test_many_clients_are_refused_until_some_have_gone(text: Text) -> None:
    with closing(Endpoint("127.0.0.1", 0, text)) as endpoint, ExitStack() as clients:
        endpoint.listen()
        for _ in range(MOST_CONNECTIONS):
            clients.enter_context(socket.create_connection(("127.0.0.1", endpoint.port), 5))
        assert _is_refused(endpoint)
        clients.close()
        wait_for(lambda: not _is_refused(endpoint), "it answers again", 10)


def test_a_client_that_never_ends_its_request_is_dropped(endpoint: Endpoint) -> None:
    with socket.create_connection(("127.0.0.1", endpoint.port), 10) as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        wait_for(lambda: _is_dropped(slow), "it is dropped, although it is never silent", 10)
    assert not _is_refused(endpoint)


def _is_dropped(client: socket.socket) -> bool:
    """Whether the server has closed the connection; else one more byte is sent."""
    try:
        client.sendall(b"x")
    except ConnectionError:
        return True
    return False


def _is_refused(endpoint: Endpoint) -> bool:
    try:
        return ask(endpoint)[0] != 200
    except (OSError, http.client.HTTPException):
        return True


def test_a_taken_port_is_an_error_until_it_is_free(text: Text) -> None:
    (port,) = free_ports(1)
    with closing(Endpoint("127.0.0.1", port, text)) as endpoint:
        with socket.create_server(("127.0.0.1", port)), pytest.raises(OSError, match="in use"):
            endpoint.listen()
        assert endpoint.listen()
        assert ask(endpoint) == (200, b"answer")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 1)


def test_it_ends_while_a_client_waits(endpoint: Endpoint, text: Text) -> None:
    text.go_on.clear()
    with socket.create_connection(("127.0.0.1", endpoint.port), 5) as waiting:
        waiting.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert text.asked.wait(5)
        began = time.monotonic()
        endpoint.close()
        assert time.monotonic() - began < 2
        assert waiting.recv(100) == b""


# -- as the settings say ----------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (port,) = free_ports(1)
    return Settings(config_file=tmp_path / "ventes.toml", paths={"state": tmp_path}, metrics={"port": port})


def with_metrics(settings: Settings, **metrics: object) -> Settings:
    return settings.model_copy(update={"metrics": settings.metrics.model_copy(update=metrics)})


def greets(settings: Settings) -> bool:
    with suppress(OSError), urlopen(metrics_url(settings).removesuffix("metrics"), timeout=5) as answer:
        return answer.read().decode() == greeting(os.getpid())
    return False


def test_a_taken_port_is_named_once_and_tried_again(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with closing(Serving(logging.getLogger("ventes.test"))) as serving:
        with socket.create_server(("127.0.0.1", settings.metrics.port)):
            serving.apply(settings)
            serving.look()
            assert f"port {settings.metrics.port} (metrics.port) is taken by pid {os.getpid()}" in serving.problem
            assert f"everything else runs; stop that, or set another metrics.port in {settings.config_file}" in (
                serving.problem
            )
            assert caplog.messages == [f"no metrics: {serving.problem}"]
        serving.look()
        assert serving.problem == ""
        assert greets(settings)
        assert caplog.messages[1:] == [f"metrics at {metrics_url(settings)}"]


def test_changed_settings_are_applied(settings: Settings) -> None:
    (other,) = free_ports(1)
    moved, off = with_metrics(settings, port=other), with_metrics(settings, enabled=False)
    nowhere = with_metrics(settings, address="192.0.2.1")
    with closing(Serving(logging.getLogger("ventes.test"))) as serving:
        for now, served in (
            (settings, settings),
            (settings, settings),
            (moved, moved),
            (off, None),
            (settings, settings),
        ):
            serving.apply(now)
            assert [one for one in (settings, moved) if greets(one)] == ([served] if served else [])
        assert moved.fingerprint() == settings.fingerprint()  # no service has to be restarted for it
        serving.apply(nowhere)
        assert "metrics.address = 192.0.2.1" in serving.problem
        serving.apply(off)
        assert serving.problem == ""
    assert not greets(settings)


# -- the child process ------------------------------------------------------------------------

ANSWER = Measured(1.0, 0.0, True, {}, {}, None, {}, {}).to_json()
GOOD = f"""
import sys
for number, line in enumerate(sys.stdin):
    print({ANSWER!r}.replace('1.0', str(number)), flush=True)
"""
HANGS = "import sys, time\nsys.stdin.readline(); time.sleep(1000)"
NONSENSE = "import sys\nfor line in sys.stdin: print('?', flush=True)"
ENDS = "import sys\nsys.stdin.readline()"


def measurer(program: str, fresh_seconds: float = 60.0) -> Measurer:
    return Measurer({}, [sys.executable, "-c", program], fresh_seconds)


def test_one_process_measures_and_ends_with_its_owner() -> None:
    with closing(measurer(GOOD)) as one:
        first = one.latest(10)
        assert first is not None
        assert one.latest(10) == first  # fresh enough
        (process,) = _children()
    assert not process.is_running()
    assert one.latest(1) is None  # closed


@pytest.mark.parametrize("program", [HANGS, NONSENSE, ENDS, "1/0"])
def test_without_an_answer_the_caller_goes_on(program: str) -> None:
    with closing(measurer(program)) as one:
        began = time.monotonic()
        for _ in range(2):
            assert one.latest(0.3) is None
        assert time.monotonic() - began < 3
    assert _children() == []


def test_a_program_that_cannot_be_started() -> None:
    with closing(Measurer({}, ["/no/such/program"])) as one:
        assert one.latest(0.3) is None


def test_an_answer_that_comes_too_late_is_not_given_to_the_next_call() -> None:
    slow = GOOD.replace("print", "__import__('time').sleep(0.5 if number == 0 else 0) or print")
    with closing(measurer(slow)) as one:
        assert one.latest(0.1) is None
        second = one.latest(10)
        assert second is not None
        assert second.at == 1  # the answer number 0 was left out


def test_a_new_process_takes_the_place_of_one_that_was_killed() -> None:
    with closing(measurer(GOOD, fresh_seconds=0.0)) as one:
        assert one.latest(10) is not None
        (process,) = _children()
        process.kill()
        process.wait()
        one.reap()
        assert one.latest(10) is not None
        assert [child.pid for child in _children()] != [process.pid]


def _children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
