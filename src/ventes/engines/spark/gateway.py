"""Starts the JVM of a Spark job, and connects to it.

pyspark can do this too, but waits for the JVM without a limit, and its JVM ends when its stdin does: one that is
stopped, or that failed before it reads stdin (its disk is full, for example), would stay after its driver was killed.
Here the wait is bounded, and the kernel ends the JVM with its driver.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pyspark.java_gateway import launch_gateway
from pyspark.serializers import UTF8Deserializer, read_int

from ventes.engines.job import Crashed
from ventes.runtime import parent_death


class JvmEnded(Exception):
    """The JVM ended while it started; what it printed has the cause, unless it was killed."""


START_SECONDS = 120.0
"""A JVM starts within 2 to 5 s; within 40 s on two cores with a load of 20."""
_PORT, _SECRET = "PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET"


def start(arguments: list[str], folder: Path, output: IO[str]) -> Any:
    """Start Spark's JVM with `arguments` of spark-submit; its py4j gateway, whose `proc` is the JVM's process.

    `folder`: a private one, for the address and the secret of the JVM, which are deleted. `output`: for what the JVM
    prints. Raises JvmEnded if it ends, Crashed if it gives no address within START_SECONDS.
    """
    connection = folder / "connection"
    connection.unlink(missing_ok=True)
    process = _launch(arguments, connection, output)
    try:
        with _announced(process, connection):
            gateway = launch_gateway()  # type: ignore[no-untyped-call]  # it connects to the announced one
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        connection.unlink(missing_ok=True)
    gateway.proc = process
    return gateway


def _launch(arguments: list[str], connection: Path, output: IO[str]) -> subprocess.Popen[bytes]:
    driver = os.getpid()

    def before_exec() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches only Python; the running batch can finish
        parent_death.end_with(driver)

    return subprocess.Popen(
        [os.path.join(os.environ["SPARK_HOME"], "bin", "spark-submit"), *arguments],
        # by default glibc keeps what was freed in eight arenas for each core
        env={
            "MALLOC_ARENA_MAX": "2",
            **os.environ,
            "SPARK_CONNECT_MODE": "0",
            "_PYSPARK_DRIVER_CONN_INFO_PATH": str(connection),
        },
        stdin=subprocess.PIPE,  # the JVM also ends when this does
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # a SIGTERM to the group reaches only Python
        preexec_fn=before_exec,
    )


@contextlib.contextmanager
def _announced(process: subprocess.Popen[bytes], connection: Path) -> Iterator[None]:
    """Wait until the JVM has written its address, and announce it to pyspark meanwhile."""
    until = time.monotonic() + START_SECONDS
    while not connection.exists():
        if process.poll() is not None:
            raise JvmEnded(f"exit code {process.returncode}")
        if time.monotonic() > until:
            raise Crashed(f"Spark's JVM has not started within {START_SECONDS:.0f} s")
        time.sleep(0.05)
    with connection.open("rb") as written:
        port, secret = read_int(written), UTF8Deserializer().loads(written)  # type: ignore[no-untyped-call]
    os.environ.update({_PORT: str(port), _SECRET: secret})
    try:
        yield
    finally:
        for name in (_PORT, _SECRET):
            os.environ.pop(name, None)
