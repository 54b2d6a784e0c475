"""A real broker for a test: prepared, started, polled until it is ready, always stopped at the end.

with running_broker(settings) as broker:
    ...
    broker.kill(); broker.start()
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from ventes.broker import managed
from ventes.config import PROJECT, Settings


class Broker:
    """The broker of `settings`, as a child of the test. `stop` and `kill` may be followed by `start`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> str:
        """Its output, and the end of its log."""
        texts = []
        for path in (managed.folder(self.settings) / "test.out", self.settings.log("broker")):
            if path.is_file():
                texts.append(path.read_text("utf-8", "replace")[-4000:])
        return "\n".join(texts)

    def launch(self) -> None:
        """Start it and do not wait."""
        assert self.process is None or self.process.poll() is not None, "it runs already"
        managed.prepare(self.settings)
        with (managed.folder(self.settings) / "test.out").open("wb") as out:
            self.process = subprocess.Popen(
                managed.command(self.settings),
                env=managed.environment(self.settings),
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start(self, seconds: float = 60.0) -> None:
        """Start it and wait until it is ready; fails with its log if it ends or is not ready in time."""
        self.launch()
        self._wait_until_ready(seconds)

    def _wait_until_ready(self, seconds: float) -> None:
        assert self.process is not None
        until = time.monotonic() + seconds
        while True:
            answers, why = managed.ready(self.settings)
            if answers:
                return
            if self.process.poll() is not None:
                pytest.fail(f"the broker ended with {self.process.returncode}\n{self.output}")
            if time.monotonic() > until:
                self.kill()
                pytest.fail(f"the broker was not ready within {seconds:.0f} s: {why}\n{self.output}")
            time.sleep(0.05)

    def stop(self, seconds: float = 20.0) -> int | None:
        """SIGTERM and wait; returns the exit code (None if it was not running)."""
        return self._end(signal.SIGTERM, seconds)

    def kill(self) -> int | None:
        """kill -9."""
        return self._end(signal.SIGKILL, 10)

    def pause(self) -> None:
        """Suspend it (SIGSTOP) until `resume`: it looks hung from outside."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on, and wait until it is ready: after a long pause it must register again."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self._wait_until_ready(60.0)

    def _end(self, number: signal.Signals, seconds: float) -> int | None:
        process, self.process = self.process, None
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)  # a suspended process would not handle SIGTERM
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
            pytest.fail(f"the broker did not end within {seconds:.0f} s after {number.name}\n{self.output}")


@contextlib.contextmanager
def running_broker(settings: Settings) -> Iterator[Broker]:
    """A broker that is ready; always stopped at the end."""
    one = Broker(settings)
    one.start()
    try:
        yield one
    finally:
        one.stop()
