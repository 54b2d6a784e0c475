"""`ventes start`: starts everything that is down; returns when events are visible in Silver and the page answers.

It asks the running supervisor to start services that are down, or launches a supervisor, and follows the start
(`start_progress`). After an error or Ctrl-C a supervisor that it launched is stopped again with all its services. One
that ran before continues.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ventes.config import CONFIG_VARIABLE, PROJECT, Settings
from ventes.errors import VentesError
from ventes.runtime.project import own_python
from ventes.supervise import control, orphans, preflight, service_records, services, shutdown
from ventes.supervise.control import Client, Disconnected, Message
from ventes.supervise.start_progress import Say, Started, StartFailed, StartProgress, supervisor_ended

CONNECT_SECONDS = 60.0
"""Timeout in seconds until a launched supervisor listens; it normally takes 0.5 s."""


def start(settings: Settings, engine: str | None, say: Say, agreed: Callable[[str], bool]) -> Started:
    """Start everything that is down and return when all of it is ready.

    `engine`: from the flag. `agreed` is called before a running pipeline changes its engine.
    Raises VentesError; after StartFailed nothing that this call started still runs.
    """
    began = time.monotonic()
    state = _running(settings, say)
    if state is None:
        return _fresh(settings, say, began)
    if engine is not None and engine != state["engine"]:
        preflight.engine(settings)
        if not agreed(f"The {state['engine']} engine runs. Stop its jobs and continue with the {engine} engine?"):
            raise VentesError(
                f"the {state['engine']} engine continues", f"ventes start --engine {engine} --yes changes it"
            )
        say(f"stopping the {state['engine']} engine's jobs; {engine} continues from their position")
    client = control.connect(settings.state)
    if client is None:
        raise VentesError("the supervisor has just ended", "run the command again")
    with client:
        return StartProgress(settings, client, say, began).run(engine)


def _running(settings: Settings, say: Say) -> Message | None:
    """The state of the running supervisor; None if there is none. One that is stopping is waited for."""
    while (client := control.connect(settings.state)) is not None:
        with client:
            try:
                state = client.ask("state")
                if not state["stopping"]:
                    return state
                say("everything is being stopped just now; waiting for that")
                client.send("start")  # it is no longer accepted, but the answers tell how the stop proceeds
            except Disconnected:
                continue
            shutdown.follow_to_the_end(settings, client, say)
    return None


def _fresh(settings: Settings, say: Say, began: float) -> Started:
    preflight.check(settings)
    if left := orphans.find(settings):
        say(f"an earlier supervisor was killed; ending what it left: {', '.join(left)}")
    with _Interrupts() as interrupts:
        with interrupts.noted_only():
            process = launch(settings)
        try:
            interrupts.check()
            with _connected(settings, process) as client:
                return StartProgress(settings, client, say, began, launched=True).run(None)
        except BaseException as error:
            interrupts.ignore()
            if process.poll() is None:
                say("stopping again" if isinstance(error, VentesError) else "interrupted: stopping what was started")
            _take_back(settings, process)
            raise


class _Interrupts:
    """While it is entered, the first Ctrl-C, SIGTERM (of a `timeout`) or SIGHUP (of a closed terminal) raises
    KeyboardInterrupt or SystemExit, and later ones are ignored: they would leave the clearing-up half done.

    What was ignored before (by nohup, by a shell that runs this in the background) stays so.
    """

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._only_note = False
        self._noted: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Interrupts:
        for number in self.NUMBERS:
            if (before := signal.getsignal(number)) != signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items() if self._noted is None else ():
            signal.signal(number, before)

    def ignore(self) -> None:
        for number in self._before:
            signal.signal(number, lambda *_: None)  # not SIG_IGN: Python would complain of one that comes just now

    @contextmanager
    def noted_only(self) -> Iterator[None]:
        """For a step that must not be interrupted: `check` raises afterwards."""
        self._only_note = True
        yield
        self._only_note = False

    def check(self) -> None:
        if self._noted is not None:
            raise KeyboardInterrupt if self._noted == signal.SIGINT else SystemExit(128 + self._noted)

    def _note(self, number: int, _: object) -> None:
        self.ignore()
        self._noted = number
        if not self._only_note:
            self.check()


def _take_back(settings: Settings, process: subprocess.Popen[bytes]) -> None:
    """Stop the supervisor that this process launched, and never another one."""
    if process.poll() is None:
        process.terminate()
        process.wait()
    if service_records.read(settings.state).supervisor_pid == process.pid:
        shutdown.stop(settings, lambda _: None)  # the services it left, if it was killed


def launch(settings: Settings) -> subprocess.Popen[bytes]:
    """Start the supervisor in a separate session: it continues after this process and its terminal have ended."""
    output = services.output(settings, "supervisor")
    output.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    environment = {**os.environ, "VENTES_ENGINE": settings.engine}
    if settings.config_file.is_file():
        environment[CONFIG_VARIABLE] = str(settings.config_file)
    with output.open("wb") as file:
        return subprocess.Popen(
            [own_python(), "-m", "ventes.supervise.daemon"],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def _connected(settings: Settings, process: subprocess.Popen[bytes]) -> Client:
    """A connection to the supervisor that was launched, or to one that another process launched just before."""
    until = time.monotonic() + CONNECT_SECONDS
    while time.monotonic() < until:
        ended = process.poll() is not None
        if (client := control.connect(settings.state)) is not None:
            return client
        if ended:
            raise supervisor_ended(settings)
        time.sleep(0.02)
    raise StartFailed(f"the supervisor (pid {process.pid}) does not listen", f"look at {settings.log('supervisor')}")
