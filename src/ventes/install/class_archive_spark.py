"""The Spark jobs' training run: once through, on a broker and a lake of its own, to leave a class-data archive behind.

    python -m ventes.install.class_archive_spark

From start to the first rows the jobs then need about half the time and half the CPU.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import SecretStr

from ventes.broker import managed
from ventes.config import PROJECT, Settings, Spark
from ventes.errors import InstallError
from ventes.install import class_archive, class_archive_run
from ventes.install.java import find_java
from ventes.runtime.stop import Stopper

STATE = PROJECT / ".ventes"
START_SECONDS = 60.0


def train_spark(say: Callable[[str], None]) -> None:
    """Make the archive of the Spark jobs if it is not there, in a process of its own. Half a minute.

    Raises InstallError if the jobs do not run through: then they would not run later either.
    """
    settings = class_archive_run._settings(STATE)
    if class_archive.path(settings, find_java(settings), "spark").is_file():
        return
    say("Spark: first run of both jobs, to check them and to make later starts quick")
    log = STATE / "install-spark.log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "ventes.install.class_archive_spark"]
        done = subprocess.run(command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    if done.returncode:
        lines = log.read_text("utf-8", "replace").strip().splitlines()
        raise InstallError(
            f"Spark does not run through: {lines[-1] if lines else f'exit code {done.returncode}'}",
            f"look into {log}; with that mended run it again",
        )


def main() -> int:
    """The training run itself."""
    with tempfile.TemporaryDirectory(prefix="training-", dir=STATE) as folder:
        settings = class_archive_run._settings(Path(folder))
        target = class_archive.path(settings, find_java(settings), "spark")
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = target.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        spark = Spark(bronze_trigger_seconds=0.2, silver_trigger_seconds=0.2, conf=_leave_behind(unfinished))
        settings = settings.model_copy(update={"spark": spark})
        with _broker(settings):
            _rehearse(settings)
        for old in target.parent.glob("spark-*.jsa"):
            old.unlink()
        if unfinished.is_file():  # a JVM without this feature runs as well
            unfinished.replace(target)
    return 0


def _leave_behind(archive: Path) -> dict[str, SecretStr]:
    return {"spark.driver.extraJavaOptions": SecretStr(f"-XX:ArchiveClassesAtExit={archive}")}


def _rehearse(settings: Settings) -> None:
    from ventes import kafka
    from ventes.install import class_archive_jobs
    from ventes.producer import loop
    from ventes.producer.options import Options, read_rate

    def send(count: int) -> object:
        made = Options(rate=read_rate("max"), count=count, seed=1, bad=1.0, late=1.0, duplicates=1.0)
        return loop.run(settings, made, Stopper(), None)

    kafka.ensure_topic(settings)
    send(class_archive_jobs.LARGE)
    class_archive_jobs.rehearse(settings, send)


@contextlib.contextmanager
def _broker(settings: Settings) -> Iterator[None]:
    managed.prepare(settings)
    with (managed.folder(settings) / "out").open("wb") as out:
        process = subprocess.Popen(
            managed.command(settings), cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        until = time.monotonic() + START_SECONDS
        while not managed.ready(settings)[0]:
            if process.poll() is not None or time.monotonic() > until:
                raise InstallError("the broker for the training run does not start", "ventes doctor")
            time.sleep(0.05)
        yield
    finally:
        process.kill()  # its data goes with the folder
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
