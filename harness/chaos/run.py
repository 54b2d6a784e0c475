"""A run: steps; after every ten of them end all faults and check; at the end stop, and look for leftovers."""

from __future__ import annotations

import json
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from deltalake import DeltaTable

from harness.chaos import hygiene, ledger
from harness.chaos.deployment import Command, Deployment, can_mount, settings_text
from harness.chaos.faults import Faults, TimedFaults
from harness.chaos.honesty import Span, complaints
from harness.chaos.load import LoadProcess
from harness.chaos.report import Report
from harness.chaos.rubbish import Rubbish
from harness.chaos.schedule import ROUND, Step, schedule
from harness.chaos.watch import Watch
from ventes import kafka
from ventes.deltalog.create import open_with_deltalake
from ventes.errors import BrokerUnavailable
from ventes.supervise import processes, services

COMMAND_SECONDS = 200.0
"""Time limit of a command after every fault has ended; beyond it, the command hangs."""
START_SECONDS = 200.0
CAUGHT_UP_SECONDS = 60.0
VERIFY_SECONDS = 180.0
VERIFIED_A_SECOND = 5_000
"""Messages for which `verify` gets one second more: it reads all, a million in 85 to 110 s beside other work."""
WATCH_SECONDS = 5.0
"""The highest age of an answer of `status` when it is recorded."""
SAID_SECONDS = 60.0
"""Time limit until `ventes status` reports that the topic was created anew."""
CODES = {0, 1, 2, 3, 130, 143}
"""Exit codes of `ventes`; a killed command has others."""


@dataclass(frozen=True)
class Options:
    """The options of a run: `minutes`, or `steps` if that is given."""

    seed: int
    engine: str
    minutes: float
    steps: int | None
    out: Path
    rate: float = 100.0
    """Messages per second of the load."""

    @property
    def command(self) -> str:
        """The command that repeats this run."""
        until = f"--minutes {self.minutes:g}" if self.steps is None else f"--steps {self.steps}"
        rate = "" if self.rate == Options.rate else f" --rate {self.rate:g}"
        return f"python -m harness.chaos --seed {self.seed} --engine {self.engine} {until}{rate}"


class Broken(Exception):
    """A problem after which later steps would give no more information."""


def run(options: Options, report: Report) -> bool:
    """Carry the run out; returns whether there was no problem."""
    report.say(f"seed {options.seed}; to repeat it: {options.command}")
    if why := hygiene.disk_of_machine(Path(tempfile.gettempdir())):
        raise SystemExit(why)
    if why := can_mount():
        report.say(f"full disks are skipped: {why}")
    with tempfile.TemporaryDirectory(prefix="ventes-chaos-") as folder:
        engine = "embedded" if options.engine == "both" else options.engine
        text = partial(settings_text, engine)
        with Deployment(Path(folder) / "pipeline", text, disks=not can_mount()) as deployment:
            carry_out(Run(options, report, deployment, Path(folder)))
    return summed_up(options, report)


def carry_out(one: Run) -> None:
    """All of a run; its problems are in its report."""
    try:
        one.run()
    except Broken:
        pass
    finally:
        one.close()


def summed_up(options: Options, report: Report) -> bool:
    """Print the last lines; whether there was no problem."""
    if report.problems:
        report.say(f"FAILED, seed {options.seed}: {len(report.problems)} problem(s). To repeat it: {options.command}")
    else:
        report.say(f"passed, seed {options.seed}")
    report.say(f"results: {report.folder}")
    return not report.problems


class Run:
    """One run, of a pipeline with its own broker. Another deployment overrides what differs."""

    round = ROUND
    """Steps between two checks."""
    command_seconds = COMMAND_SECONDS
    start_seconds = START_SECONDS
    verify_seconds = VERIFY_SECONDS
    caught_up_seconds = CAUGHT_UP_SECONDS

    def __init__(self, options: Options, report: Report, deployment: Deployment, folder: Path) -> None:
        self._options = options
        self._report = report
        self._deployment = deployment
        self._settings = deployment.settings
        self._ledgers = (folder / "load.jsonl", folder / "rubbish.jsonl")
        self._output = folder / "load.out"
        self._gone: frozenset[int] = frozenset()
        """Acknowledged in a topic that was deleted before Bronze had read them."""
        self._load: LoadProcess | None = None
        self._rubbish: Rubbish | None = None
        self._faults: TimedFaults | None = None
        self._watch: Watch | None = None
        self._judged = 0
        self._replaced: list[Span] = []
        """When a topic was replaced, until the pipeline was started again."""
        self._logs = hygiene.Logs([self._settings.log("bronze").parent, self._settings.state / "run"])
        self._handles: dict[str, int] = {}
        self._acknowledged = 0

    def close(self) -> None:
        if self._faults is not None:
            self._faults.close()
        if self._load is not None:
            self._load.close()
        if self._rubbish is not None:
            self._rubbish.close()
        if self._watch is not None:
            self._watch.close()
        asked = self._options
        facts = {"seed": asked.seed, "engine": asked.engine, "rate": asked.rate, "command": asked.command}
        kept = {
            "logs": self._settings.log("bronze").parent,
            "run": self._settings.state / "run",
            "lake": self._settings.lake,
        }
        self._report.close(self._watch, kept, self._ledgers, facts)

    # -- the sequence -------------------------------------------------------------------------

    def run(self) -> None:
        self._must("start", seconds=self.start_seconds)
        address, topic = self._settings.kafka.bootstrap, self._settings.topic
        self._load = LoadProcess(address, topic, self._options.rate, self._ledgers[0], self._output)
        self._rubbish = Rubbish(address, topic, self._ledgers[1])
        self._watch = Watch(self._deployment, time.monotonic() - self._report.now)
        self._load.resume()
        faults = self._faults = self._new_faults(self._rubbish)
        checked = 0
        for step in self._steps():
            time.sleep(step.wait)  # part of the schedule: it waits for no condition
            if step.kind == "topic":
                self._replace_topic(faults, step)
            else:
                self._report.step(step.number, str(step), faults.carry_out(step))
            if step.number % self.round == 0:
                checked = step.number
                self._heal(faults)
                self._check()
        if checked != self._last:
            self._heal(faults)
            self._check()
        self._stop()

    def _steps(self) -> Iterator[Step]:
        self._last = 0
        until = self._report.now + self._options.minutes * 60  # the start, which may take minutes, does not count
        for step in self._schedule():
            if self._options.steps is not None:
                if step.number > self._options.steps:
                    return
            elif step.number > 1 and self._report.now > until:
                return
            self._last = step.number
            yield step

    def _schedule(self) -> Iterator[Step]:
        return schedule(self._options.seed, self._options.engine)

    def _new_faults(self, rubbish: Rubbish) -> TimedFaults:
        return Faults(self._deployment, rubbish, self._report.say)

    # -- heal ---------------------------------------------------------------------------------

    def _heal(self, faults: TimedFaults) -> None:
        """End every fault, wait for every command, and start what is down."""
        faults.take_back()
        self._deployment.let_go_on()
        for command in self._deployment.commands:
            self._end(command)
        self._deployment.commands.clear()
        began = time.monotonic()
        self._must("start", seconds=self.start_seconds)
        self._report.say(f"      healed: started in {time.monotonic() - began:.1f} s")

    def _end(self, command: Command) -> None:
        """Wait for a command that a step began, and check how it ended."""
        code = command.wait(self.command_seconds)
        self._report.command(command, code)
        output = command.output()
        if code is None:
            self._report.problem("command", f"{command} hangs: {output[-1500:]}")
        elif "Traceback" in output:
            self._report.problem("command", f"{command} shows a traceback: {output[-1500:]}")
        elif code not in CODES and not command.interrupted:
            self._report.problem("command", f"{command} ended with {code}: {output[-1500:]}")
        command.close()

    def _must(self, *arguments: str, seconds: float) -> str:
        """Run a command that has to succeed; returns its output."""
        code, output = self._deployment.ventes(*arguments, seconds=seconds)
        if code != 0:
            what = f"did not end within {seconds:.0f} s" if code is None else f"ended with {code}"
            (self._report.folder / f"failed-{arguments[0]}.txt").write_text(output, encoding="utf-8")
            self._broken("command", f"ventes {' '.join(arguments)} {what}: {output[-3000:]}")
        if "Traceback" in output:
            self._report.problem("command", f"ventes {' '.join(arguments)} shows a traceback: {output[-1500:]}")
        return output

    def _broken(self, what: str, text: str) -> None:
        self._report.problem(what, text)
        raise Broken(text)

    # -- check --------------------------------------------------------------------------------

    def _check(self) -> None:
        """All checks, once every fault has ended and no new messages arrive."""
        assert self._load is not None
        with self._load.paused() as unknown:
            if unknown:
                self._report.problem("load", f"{unknown} messages had no acknowledgement although the broker is up")
            self._stop_producer()
            began = time.monotonic()
            self._catch_up()
            caught_up = time.monotonic() - began
            began = time.monotonic()
            self._must("verify", seconds=self.verify_seconds + self._acknowledged / VERIFIED_A_SECOND)
            verified = time.monotonic() - began
            self._compare_ledger()
            self._look_for_leftovers()
        began = time.monotonic()
        self._must("start", seconds=self.start_seconds)
        self._report.check(caught_up=caught_up, verified=verified, started_again=time.monotonic() - began)
        if any(problem.what in ("ledger", "lag") for problem in self._report.problems):
            raise Broken

    def _stop_producer(self) -> None:
        """SIGTERM to the product's own producer: without new sales the lag can be exactly 0."""
        process = self._deployment.target("producer")
        if process is None:
            self._broken("process", "there is no producer after `ventes start`")
            return
        processes.send(process, signal.SIGTERM)
        if not processes.wait_until_gone([process], 30):
            self._broken("process", f"the producer (pid {process.pid}) does not end within 30 s of SIGTERM")

    def _catch_up(self) -> None:
        deadline = time.monotonic() + self.caught_up_seconds
        while True:
            found = self._status()
            lags = {name: found[name]["lag_messages"] for name in services.JOBS}
            held = self._held_back()
            if set(lags.values()) == {0} and not held:
                return
            if time.monotonic() > deadline:
                reasons = {name: (found[name]["state"], found[name]["reason"]) for name in found}
                self._broken("lag", f"not 0 within {self.caught_up_seconds:.0f} s: {lags}; {held} held back; {reasons}")

    def _held_back(self) -> int:
        """Messages behind an open transaction: they cannot be read yet, so no lag includes them."""
        try:
            with kafka.Admin(self._settings) as admin:
                readable, written = admin.end_offsets(), admin.end_offsets(committed=False)
        except BrokerUnavailable:
            return 0  # the lag says so
        return sum(end - readable[number][1] for number, (_, end) in written.items())

    def _status(self) -> dict[str, Any]:
        """Service → its part of `ventes status --json`."""
        _, output = self._deployment.ventes("status", "--json", seconds=60)
        try:
            return {service["name"]: service for service in json.loads(output)["services"]}
        except (ValueError, KeyError):
            self._broken("status", f"ventes status --json printed {output[-1500:]!r}")
            raise AssertionError from None

    def _compare_ledger(self) -> None:
        book = ledger.Ledger.read(*self._ledgers)
        rows = list(self._bronze_rows())
        for sentence in ledger.compare(book, rows, self._gone, self._acknowledged):
            self._report.problem("ledger", sentence)
        self._acknowledged = len(book.acknowledged)
        self._report.say(
            f"      ledger: {len(book.attempted):,} attempted, {len(book.acknowledged):,} acknowledged, "
            f"{len(rows):,} in Bronze"
        )

    def _bronze_rows(self) -> Iterator[ledger.Row]:
        return bronze_rows(open_with_deltalake(self._settings.bronze))

    def _look_for_leftovers(self) -> None:
        assert self._watch is not None
        expected = [service.name for service in services.enabled(self._settings) if service.name != "producer"]
        for sentence in hygiene.when_settled(lambda: hygiene.running(self._deployment, expected)):
            self._report.problem("process", sentence)
        for sentence in hygiene.when_settled(lambda: hygiene.handles(self._deployment, self._handles)):
            self._report.problem("handles", sentence)
        for sentence in hygiene.when_settled(lambda: hygiene.leftovers(self._deployment)):
            self._report.problem("files", sentence)
        for sentence in self._logs.floods():
            self._report.problem("logs", sentence)
        errors, self._watch.errors = self._watch.errors, []
        for sentence in errors:
            self._report.problem("status", f"raised an error: {sentence}")
        samples = self._watch.statuses[self._judged :]
        self._judged += len(samples)
        for sentence in complaints(samples, self._replaced):
            self._report.problem("status", sentence)

    # -- the topic ----------------------------------------------------------------------------

    def _replace_topic(self, faults: TimedFaults, step: Step) -> None:
        """Delete the topic and create it again while the jobs run; check their status; `recover`, and start."""
        assert self._load is not None
        self._heal(faults)
        began = self._report.now
        with self._load.paused():
            book = ledger.Ledger.read(*self._ledgers)
            if step.options["kill"]:
                faults.carry_out(
                    Step(step.number, 0, "kill", {"target": step.options["kill"], "signal": "KILL", "then": ""})
                )
            held = {row.number for row in self._bronze_rows()}
            self._gone |= frozenset(book.acknowledged) - held
            self._report.step(step.number, str(step), f"{len(book.acknowledged.keys() - held)} not yet in Bronze")
            self._delete_and_create()
        deadline = time.monotonic() + SAID_SECONDS
        while True:
            bronze = self._status()["bronze"]
            if bronze["state"] == "failed" and "created anew" in bronze["reason"] and "recover" in bronze["reason"]:
                break
            if time.monotonic() > deadline:
                self._broken(
                    "status",
                    f"the topic was created anew, and {SAID_SECONDS:.0f} s later Bronze is {bronze['state']}: "
                    f"{bronze['reason']!r}",
                )
        self._must("recover", "--yes", seconds=60)
        self._must("start", seconds=self.start_seconds)
        self._replaced.append((began, self._report.now + WATCH_SECONDS))

    def _delete_and_create(self) -> None:
        """Repeat until it succeeds: the broker may just have been killed."""
        topic = self._settings.topic
        old = None
        deadline = time.monotonic() + 60
        while True:
            try:
                new = kafka.topic_id(self._settings)
                old = old or new
                if new is not None and new != old:
                    return
                if new is None:
                    kafka.ensure_topic(self._settings)  # unless the producer was faster
                else:
                    client = AdminClient(kafka.client_config(self._settings, log_level=0))
                    client.delete_topics([topic], request_timeout=5)[topic].result(6)
            except (BrokerUnavailable, KafkaException, TimeoutError) as error:
                if time.monotonic() > deadline:
                    self._broken("topic", f"it could not be replaced: {error}")
            time.sleep(0.1)

    # -- the end ------------------------------------------------------------------------------

    def _stop(self) -> None:
        self._must("stop", seconds=self.command_seconds)
        for sentence in hygiene.when_settled(lambda: hygiene.stopped(self._deployment)):
            self._report.problem("left behind", sentence)
        for sentence in hygiene.leftovers(self._deployment):
            self._report.problem("files", sentence)


def bronze_rows(table: DeltaTable) -> Iterator[ledger.Row]:
    """Bronze's rows that have a key of a ledger, read with deltalake."""
    columns = ["key", "value", "topic_id", "partition", "offset"]
    for batch in table.to_pyarrow_dataset().to_batches(columns=columns):
        for key, value, topic_id, partition, offset in zip(*(batch[name].to_pylist() for name in columns), strict=True):
            if (number := ledger.number_of(key)) is not None:
                yield ledger.Row(number, topic_id, partition, offset, ledger.crc(value))
