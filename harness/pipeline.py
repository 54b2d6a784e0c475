"""A whole pipeline for one test: real broker, real jobs as processes, its own folders and ports.

with Pipeline(tmp_path, engine="spark") as p:
    p.start("bronze"); p.start("silver")
    p.send(sales(100))
    p.catch_up()
    p.kill("silver", signal.SIGKILL)
    p.verify()
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import psutil
import pytest
from confluent_kafka import Producer

from harness.broker import Broker
from ventes import config, kafka
from ventes.check.report import Report
from ventes.check.verify import Verification
from ventes.contract import tables as contract
from ventes.contract.tables import Tables
from ventes.deltalog.create import open_with_deltalake
from ventes.deltalog.table import Table
from ventes.errors import BrokerUnavailable
from ventes.lake import tables
from ventes.lake.positions import positions
from ventes.lake.tables import path_of
from ventes.runtime import heartbeat

SCRIPTS = {"bronze": "spark_streaming_delta.py", "silver": "streaming_silver.py", "producer": "producer.py"}


def free_ports(count: int) -> list[int]:
    """Ports that are free now; all bound at the same time while they are chosen, so that they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_for(question: Callable[[], object], what: str, seconds: float = 90.0) -> None:
    """Repeat `question` until the answer is true; after `seconds` fail with `what`."""
    until = time.monotonic() + seconds
    while not question():
        if time.monotonic() > until:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)


_Answer = TypeVar("_Answer")


def patiently(question: Callable[..., _Answer], *given: object) -> _Answer:
    """The answer of a broker that may need more than one try on a busy machine: while it is unavailable, ask again."""
    answers: list[_Answer] = []

    def answered() -> bool:
        with contextlib.suppress(BrokerUnavailable):
            answers.append(question(*given))
        return bool(answers)

    wait_for(answered, f"an answer to {question.__name__}", 90)
    return answers[0]


def run_ventes(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, seconds: float, code: int | None = 0
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does, in `folder`, for at most so long. `code`: its exit code; None: any."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ventes")), *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done


class Pipeline:
    def __init__(
        self,
        folder: Path,
        engine: str = "embedded",
        partitions: int = 1,
        extra: str = "",
        beside: Pipeline | None = None,
        bootstrap: str = "",
        topic: str = "",
    ) -> None:
        """`beside`: read the topic of that pipeline's broker into separate tables. `bootstrap`: of that cluster."""
        self.folder = folder
        self.engine = engine
        self.settings: config.Settings
        self._borrows_broker = beside is not None or bool(bootstrap)
        broker_port, controller_port, page_port, metrics_port = free_ports(4)
        if beside is not None:
            broker_port = beside.settings.kafka.port
        folder.mkdir(parents=True, exist_ok=True)
        toml = folder / "ventes.toml"
        toml.touch(0o600)  # `extra` may hold a password
        toml.write_text(
            f"""
            engine = "{engine}"
            [kafka]
            port = {broker_port}
            controller_port = {controller_port}
            partitions = {partitions}
            bootstrap = "{bootstrap}"
            topic = "{topic}"
            [paths]
            lake = "lake"
            logs = "logs"
            state = "state"
            [page]
            port = {page_port}
            [metrics]
            port = {metrics_port}
            [spark]
            bronze_trigger_seconds = 0.5
            silver_trigger_seconds = 0.5
            {extra}
            """,
            encoding="utf-8",
        )
        self.environment = {**os.environ, "VENTES_CONFIG": str(toml)}
        self._before = os.environ.get("VENTES_CONFIG")
        os.environ["VENTES_CONFIG"] = str(toml)
        self.settings = config.load()
        self.broker = Broker(self.settings)
        self.jobs: dict[str, subprocess.Popen[bytes]] = {}
        self.sent = 0

    def __enter__(self) -> Pipeline:
        if not self._borrows_broker:
            self.broker.start()
            kafka.ensure_topic(self.settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for name in list(self.jobs):
                self.stop(name, signal.SIGKILL if error else signal.SIGTERM)
        finally:
            if not self._borrows_broker:
                self.broker.stop()
            if self._before is None:
                del os.environ["VENTES_CONFIG"]
            else:
                os.environ["VENTES_CONFIG"] = self._before

    @property
    def tables(self) -> Tables:
        """Those of the stream that its settings name."""
        return contract.of(self.settings)

    # -- jobs -----------------------------------------------------------------------------------

    def start(
        self, job: str, failpoints: str = "", engine: str | None = None, *options: str
    ) -> subprocess.Popen[bytes]:
        """Start the guide's script of a job, as a user does."""
        environment = {**self.environment, "VENTES_ENGINE": engine or self.engine}
        if failpoints:
            environment["VENTES_FAILPOINTS"] = failpoints
        output = (self.folder / f"{job}.out").open("ab")
        process = subprocess.Popen(
            [sys.executable, str(config.PROJECT / SCRIPTS[job]), *options],
            env=environment,
            cwd=self.folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        output.close()
        self.jobs[job] = process
        return process

    def jvm(self, job: str) -> psutil.Process | None:
        """The JVM of a running Spark job."""
        children = psutil.Process(self.jobs[job].pid).children(recursive=True)
        return next((child for child in children if "java" in child.name()), None)

    def stop(self, job: str, number: signal.Signals = signal.SIGTERM, seconds: float = 30.0) -> int:
        """Signal a job and wait until it and all its children have ended; returns the exit code."""
        process = self.jobs.pop(job)
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(process.pid).children(recursive=True)
            if process.poll() is None:
                process.send_signal(number)
            process.wait(seconds)
            _, left = psutil.wait_procs(family, timeout=15)
            assert not left, f"{job} left {left}"
        return process.wait(seconds)

    def kill(self, job: str) -> int:
        return self.stop(job, signal.SIGKILL)

    def died(self, job: str, seconds: float = 90.0) -> int:
        """Wait until a job has ended by itself (a failpoint, an error); returns its exit code."""
        process = self.jobs[job]
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{job} did not end within {seconds:.0f} s\n{self.log(job)}")
        psutil.wait_procs(family, timeout=15)
        del self.jobs[job]
        return process.returncode

    def ventes(self, *arguments: str, code: int | None = 0) -> str:
        """Run the command line as a user does; returns its output. `code` None: any exit code."""
        return run_ventes(arguments, self.environment, self.folder, 120, code).stdout

    def log(self, job: str, lines: int = 30) -> str:
        found = []
        for path in (self.settings.log(job), self.folder / f"{job}.out"):
            if path.is_file():
                found += [f"-- {path.name}", *path.read_text("utf-8", "replace").splitlines()[-lines:]]
        return "\n".join(found)

    def heartbeat(self, job: str) -> heartbeat.Heartbeat | None:
        return heartbeat.read(self.settings.state, job)

    # -- messages -------------------------------------------------------------------------------

    def send(self, values: Iterable[bytes | None], partition: int = 0) -> int:
        """Send raw bytes to the topic; returns when the broker has acknowledged all."""
        failed = []

        def delivered(error: object, _: object) -> None:
            if error is not None:
                failed.append(error)

        options = {"acks": "all", "linger.ms": 5, "message.max.bytes": 10_000_000, "enable.idempotence": True}
        producer = Producer(kafka.client_config(self.settings, **options))
        count = 0
        for value in values:
            while True:
                try:
                    producer.produce(self.settings.topic, value, key=b"1", partition=partition, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.1)
            count += 1
        assert producer.flush(60) == 0
        assert not failed, failed[:3]
        self.sent += count
        return count

    # -- conditions -----------------------------------------------------------------------------

    def lag(self) -> str:
        """A text of the work that is left; '' when every table holds all of the topic."""
        try:
            topic_id = kafka.topic_id(self.settings)
            ends = {p: high - 1 for p, (_, high) in kafka.end_offsets(self.settings).items() if high > 0}
        except BrokerUnavailable as error:  # a busy machine, or a broker that was killed a moment ago
            return str(error)
        bronze = {p: last for (name, p), last in positions(self.settings.bronze).items() if _plain(name) == topic_id}
        if any(bronze.get(p, -1) < last for p, last in ends.items()):
            return f"bronze at {bronze}, topic at {ends}"
        silver: dict[tuple[str, int], int] = {}
        own, app = self.tables, self.settings.stream.silver_app
        for table in own.outcomes:
            for place, last in positions(path_of(self.settings, table)).items():
                silver[place] = max(last, silver.get(place, -1))
        everything = positions(self.settings.bronze)
        if silver != everything:
            return f"silver at {silver}, bronze at {everything}"
        if not everything:
            return ""
        lots = {
            table.name: open_with_deltalake(path_of(self.settings, table)).transaction_version(app)
            for table in own.silver
            if (path_of(self.settings, table) / "_delta_log").is_dir()
        }
        done = lots.get(own.clean.name)  # committed after a lot's rejets, before its roll-ups
        started = lots.pop(own.rejets.name, None) or 0
        whole = len(lots) == 1 + len(own.rollups) and set(lots.values()) == {done}
        complete = done is not None and started <= done and whole
        return "" if complete else f"rejets at {started}, the others at {lots}"

    def catch_up(self, seconds: float = 90.0) -> None:
        """Wait until no work is left; else fail with the work that is left, and the jobs' logs."""
        until = time.monotonic() + seconds
        while lag := self.lag():
            ended = [job for job, process in self.jobs.items() if process.poll() is not None]
            if ended or time.monotonic() > until:
                logs = "\n".join(self.log(job) for job in SCRIPTS)
                pytest.fail(f"not caught up ({lag}); ended: {ended}\n{logs}")
            time.sleep(0.1)

    def verify(self, read_topic: bool = True) -> Report:
        report = Verification(self.settings, read_topic=read_topic).run()
        failed = [f"{check.line()} {check.differences}" for check in report.checks if not check.ok]
        assert report.ok, "\n".join(failed)
        return report

    def rows(self, table: Table) -> int:

        return tables.snapshot(self.settings, table).rows


def _plain(label: str) -> str:
    return label.partition("~")[0]


def sales(count: int, first_id: int = 1, seed: int = 0) -> Iterator[bytes]:
    """Valid sales with ids from `first_id`."""
    import json
    import random
    from datetime import datetime, timezone

    rng = random.Random(seed)
    for number in range(first_id, first_id + count):
        client, product = rng.randrange(1, 50), rng.randrange(1, 20)
        yield json.dumps(
            {
                "vente_id": number,
                "client_id": client,
                "produit_id": product,
                "timestamp": datetime.now(timezone.utc).isoformat(),
                "quantite": rng.randrange(1, 5),
                "montant": round(rng.uniform(1, 300), 2),
                "client_nom": f"Client {client} é",
                "produit_nom": f"Produit {product}",
                "categorie": f"Catégorie {product % 4}",
                "pays": ["France", "Belgique", "Suisse"][client % 3],
                "segment": ["Particulier", "Pro"][client % 2],
            }
        ).encode()
