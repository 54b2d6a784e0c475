"""A run: the parts, the pipeline, and harness.chaos' sequence of steps and checks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest
from deltalake import DeltaTable

from harness.chaos import hygiene, ledger
from harness.chaos.deployment import Deployment
from harness.chaos.faults import TimedFaults
from harness.chaos.report import Report
from harness.chaos.rubbish import Rubbish
from harness.chaos.run import Options, Run, bronze_rows, carry_out, summed_up
from harness.chaos.schedule import Step
from harness.cluster_chaos import schedule
from harness.cluster_chaos.parts import TOPIC, ClusterFaults, Parts, running
from harness.object_store import environment
from ventes.store import places

QUICK = "-XX:TieredStopAtLevel=1"
"""One compiler of Java: on two cores for seven JVMs the other one would take the time of the work."""


def run(options: Options, report: Report) -> bool:
    """Carry the run out; returns whether there was no problem."""
    report.say(f"seed {options.seed}; to repeat it: {options.command}")
    if why := hygiene.disk_of_machine(Path(tempfile.gettempdir())):
        raise SystemExit(why)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="ventes-chaos-") as folder, running(Path(folder)) as parts:
        report.say("three brokers, a master with two workers, and a store are ready")
        os.environ.update(environment(parts.way.endpoint))
        with Deployment(Path(folder) / "pipeline", partial(settings_text, parts), disks=False) as deployment:
            carry_out(ClusterRun(options, report, deployment, Path(folder), parts))
    return summed_up(options, report)


class ClusterRun(Run):
    """All checks of Run; the limits are those of a machine that runs everything at once."""

    round = schedule.ROUND
    command_seconds = 900.0
    start_seconds = 900.0
    verify_seconds = 900.0
    caught_up_seconds = 600.0

    def __init__(self, options: Options, report: Report, deployment: Deployment, folder: Path, parts: Parts) -> None:
        super().__init__(options, report, deployment, folder)
        self._parts = parts

    def _schedule(self) -> Iterator[Step]:
        return schedule.schedule(self._options.seed)

    def _new_faults(self, rubbish: Rubbish) -> TimedFaults:
        return ClusterFaults(self._deployment, self._parts, self._report.say)

    def _heal(self, faults: TimedFaults) -> None:
        try:
            faults.take_back()
            self._parts.heal()
        except pytest.fail.Exception as error:
            self._broken("heal", str(error))
        super()._heal(faults)

    def _bronze_rows(self) -> Iterator[ledger.Row]:
        """From the store, without the mirror."""
        mirror = places.of(self._settings.lake)
        assert mirror is not None
        options = {**environment(self._parts.s3.server.endpoint), "AWS_ALLOW_HTTP": "true"}
        return bronze_rows(DeltaTable(mirror.place(self._settings.bronze), storage_options=options))


def settings_text(parts: Parts, ports: Mapping[str, int]) -> str:
    """ventes.toml of the pipeline."""
    return f"""
engine = "spark"

[kafka]
bootstrap = "{parts.kafka.bootstrap}"
topic = "{TOPIC}"

[paths]
lake = "{parts.lake}"
logs = "state-disk/logs"
state = "state-disk/state"

[producer]
rate = 5
clients = 50

[page]
port = {ports["page"]}

[metrics]
port = {ports["metrics"]}

[spark]
{parts.spark.settings}
executor_memory = "512m"
bronze_trigger_seconds = 0.5
silver_trigger_seconds = 0.5
conf = {{ "spark.driver.extraJavaOptions" = "{QUICK}", "spark.executor.extraJavaOptions" = "{QUICK}" }}

[store]
pace_seconds = 1.0
rollup_seconds = 3.0
poll_seconds = 1.0

[maintenance]
history_hours = 0.1
compact_every = 20
min_free_mb = 60

[supervisor]
backoff_seconds = 0.2
backoff_max_seconds = 5.0
"""
