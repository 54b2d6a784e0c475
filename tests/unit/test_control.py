"""The control socket: no client can stop the server, and other users are refused."""

from __future__ import annotations

import json
import os
import selectors
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from ventes.errors import VentesError
from ventes.supervise import control, control_server
from ventes.supervise.control import Client, Disconnected, Message
from ventes.supervise.control_server import Connection, Server


class Scene:
    """A server that answers each request with the request, in the test's own thread: `turn` is its loop."""

    def __init__(self, folder: Path) -> None:
        self.state = folder
        control.path_of(folder).parent.mkdir(parents=True, exist_ok=True)
        self.requests: list[Message] = []
        self.connections: list[Connection] = []
        self.gone: list[Connection] = []
        self._clients = ExitStack()
        self._selector = selectors.DefaultSelector()
        self._server = Server(folder, self._selector, self._handle, self.gone.append)

    def _handle(self, connection: Connection, request: Message) -> None:
        self.requests.append(request)
        self.connections.append(connection)
        connection.send({"event": "echo", **request})

    def turn(self, until: Callable[[], object] = lambda: True) -> None:
        """Run the server's loop until it is idle, or until the condition of the test is met."""
        for _ in range(10_000):
            ready = self._selector.select(0)
            for key, events in ready:
                key.data(events)
            if not ready and until():
                return
        pytest.fail("the server did not come to rest")

    def open(self) -> Client:
        client = control.connect(self.state)
        assert client is not None
        self.turn()
        return self._clients.enter_context(client)

    def raw(self) -> socket.socket:
        """A client that ignores the protocol. Its path is short enough for a socket address."""
        found = self._clients.enter_context(socket.socket(socket.AF_UNIX))
        found.connect(str(control.path_of(self.state)))
        found.setblocking(False)
        self.turn()
        return found

    def ask(self, client: Client, request: str, **arguments: object) -> Message | None:
        client.send(request, **arguments)
        self.turn()
        return client.receive(1.0)

    def close_idle(self, after: float) -> None:
        self._server.close_idle(time.monotonic() + after)

    def end(self) -> None:
        self._server.close()

    def close(self) -> None:
        self._clients.close()
        self._selector.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    found = Scene(tmp_path)
    yield found
    found.end()
    found.close()


def works(scene: Scene) -> bool:
    """Whether a new client is served."""
    with scene.open() as client:
        return scene.ask(client, "still there") == {"event": "echo", "request": "still there"}


def received(client: socket.socket) -> bytes:
    """The data to read; b"" if the connection was closed."""
    data = b""
    with suppress(BlockingIOError, ConnectionResetError):
        while part := client.recv(65_536):
            data += part
    return data


def is_closed(client: socket.socket) -> bool:
    try:
        while client.recv(65_536):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        pass
    return True


def test_two_clients_at_once_each_get_their_own_answers(scene: Scene) -> None:
    with scene.open() as first, scene.open() as second:
        first.send("one", number=1)
        second.send("two", text="é\n")
        scene.turn()
        assert second.receive(1.0) == {"event": "echo", "request": "two", "text": "é\n"}
        assert first.receive(1.0) == {"event": "echo", "request": "one", "number": 1}
        assert first.receive(0.01) is None
        first.send("three")
        scene.turn()
        assert first.receive(1.0) == {"event": "echo", "request": "three"}
    scene.turn()
    assert len(scene.gone) == 2


def test_server_and_client_each_have_the_pid_of_the_peer(scene: Scene) -> None:
    with scene.open() as client:
        scene.ask(client, "x")
        assert client.pid == scene.connections[0].pid == os.getpid()


@pytest.mark.parametrize("name", ["x" * 120, "a clone é in ñ folders " * 7, "平" * 60])
def test_a_long_path_with_blanks_and_accents_works(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name / name
    assert len(os.fsencode(control.path_of(folder))) > 107
    scene = Scene(folder)
    assert works(scene)
    scene.end()
    scene.close()
    assert not control.path_of(folder).exists()


def test_only_its_owner_gets_in(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o777)
    (tmp_path / "run").chmod(0o777)
    before = os.umask(0)
    try:
        scene = Scene(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700
    assert stat.S_IMODE(control.path_of(tmp_path).stat().st_mode) == 0o600
    scene.end()
    scene.close()


def test_connect_returns_none_without_a_supervisor(tmp_path: Path) -> None:
    assert control.connect(tmp_path) is None
    (tmp_path / "run").mkdir()
    assert control.connect(tmp_path) is None
    with socket.socket(socket.AF_UNIX) as killed:  # leaves its socket behind
        killed.bind(str(control.path_of(tmp_path)))
    assert control.path_of(tmp_path).exists()
    assert control.connect(tmp_path) is None
    scene = Scene(tmp_path)
    assert works(scene)
    scene.end()
    scene.close()


def test_something_else_in_its_place_is_named(tmp_path: Path) -> None:
    control.path_of(tmp_path).mkdir(parents=True)
    with pytest.raises(VentesError, match=r"control\.sock cannot be made"):
        Scene(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        b"rubbish",
        b"",
        b"\xff\xfe\x00",
        b"[1, 2]",
        b"null",
        b"{}",
        b'{"request": 5}',
        b'{"request": ["start"]}',
        b"[" * 4000,
        b"1" * 4000,
        b'{"request": "sta',
    ],
)
def test_invalid_input_gets_an_error_and_the_connection_stays_open(scene: Scene, line: bytes) -> None:
    client = scene.raw()
    client.sendall(line + b"\n")
    scene.turn()
    answer = json.loads(received(client))
    assert answer["event"] == "error"
    assert "not a request" in answer["message"]
    client.sendall(b'{"request": "x"}\n')
    scene.turn()
    assert json.loads(received(client)) == {"event": "echo", "request": "x"}
    assert scene.requests == [{"request": "x"}]


def test_a_request_may_come_in_pieces_and_several_at_once(scene: Scene) -> None:
    client = scene.raw()
    for piece in (b'{"requ', b'est": "a"', b'}\n{"request": "b"}\n{"re', b'quest": "c"}\n'):
        client.sendall(piece)
        scene.turn()
    assert [request["request"] for request in scene.requests] == ["a", "b", "c"]


def test_a_client_that_sends_a_too_long_line_gets_an_error_and_is_closed(scene: Scene) -> None:
    client = scene.raw()
    with suppress(BrokenPipeError, ConnectionResetError):
        for _ in range(100):
            client.send(b"x" * 4096)
            scene.turn()
    assert b"at most 4096 bytes" in received(client)
    assert is_closed(client)
    assert works(scene)


def test_a_client_that_does_not_read_is_closed_once_its_buffer_is_full(scene: Scene) -> None:
    client = scene.raw()
    client.sendall(b'{"request": "x"}\n')
    scene.turn()
    (connection,) = scene.connections
    sent = 0
    while not connection.closed:
        connection.send({"event": "service", "reason": "x" * 1000})
        sent += 1000
        assert sent < 2_000_000
    assert sent > control_server.MOST_UNREAD
    assert scene.gone == [connection]
    connection.send({"event": "more"})  # is lost, like the client
    assert works(scene)


def test_a_client_that_reads_late_gets_everything(scene: Scene) -> None:
    with scene.open() as client:
        scene.ask(client, "x")
        (connection,) = scene.connections
        for number in range(300):
            connection.send({"event": "service", "number": number, "reason": "x" * 1000})
        got: list[int] = []
        while len(got) < 300:
            event = client.receive(0.01)
            if event is not None:
                got.append(event["number"])
            scene.turn()
        assert got == list(range(300))


@pytest.mark.parametrize("sends", [b"", b'{"request": "x"}\n', b'{"request": "x"}\n{"req'])
def test_a_client_that_disconnects_is_noticed(scene: Scene, sends: bytes) -> None:
    client = scene.raw()
    client.sendall(sends)
    client.close()
    scene.turn(lambda: scene.gone)
    for connection in scene.connections:
        connection.send({"event": "late"})
    assert works(scene)


def test_too_many_clients_are_refused_and_the_others_stay_connected(scene: Scene) -> None:
    clients = [scene.open() for _ in range(control_server.MOST_CLIENTS)]
    with scene.open() as one_more, pytest.raises(VentesError, match="32 clients are connected"):
        one_more.receive(1.0)
    assert scene.ask(clients[0], "x") is not None
    with clients.pop():
        pass
    scene.turn()
    assert works(scene)


def test_an_idle_client_is_closed_unless_it_receives_events(scene: Scene) -> None:
    with scene.open() as silent, scene.open() as served:
        scene.ask(served, "x")
        scene.connections[0].served = True
        scene.close_idle(after=0)
        assert silent.receive(0.01) is None
        scene.close_idle(after=control_server.IDLE_SECONDS + 1)
        with pytest.raises(Disconnected):
            silent.receive(1.0)
        assert scene.ask(served, "y") is not None


def test_a_refusal_is_an_error_of_the_command(scene: Scene) -> None:
    with scene.open() as client:
        scene.ask(client, "x")
        scene.connections[0].refuse(VentesError("no such engine: 'flink'", "spark or embedded"))
        with pytest.raises(VentesError, match="no such engine: 'flink' → spark or embedded"):
            client.receive(1.0)


def test_a_server_that_ends_leaves_no_socket_and_tells_its_clients(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with scene.open() as client:
        scene.ask(client, "x")
        scene.connections[0].send({"event": "stopped"})
        scene.end()
        assert client.receive(1.0) == {"event": "stopped"}
        with pytest.raises(Disconnected):
            client.receive(1.0)
        with pytest.raises(Disconnected):
            client.send("y")
    scene.close()
    assert not control.path_of(tmp_path).exists()


def test_nothing_of_it_reaches_a_child(scene: Scene) -> None:
    """A service that the supervisor starts must not keep the socket open."""
    with scene.open() as client:
        scene.ask(client, "x")
        inheritable: dict[str, Any] = {}
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                if os.get_inheritable(int(name)):
                    inheritable[name] = os.readlink(f"/proc/self/fd/{name}")
        ours = [target for target in inheritable.values() if str(scene.state) in target]
        assert ours == []
        assert not os.get_inheritable(scene.connections[0].fileno())
