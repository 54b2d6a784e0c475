"""The Spark engine over a lake on S3: its tasks in this process, and real jobs with their JVMs."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from harness.in_process_tasks import Context, LargeLotsInProcess
from harness.object_store import SECRET, Proxy
from harness.pipeline import Pipeline, free_ports, sales, wait_for
from harness.shipped import BRONZE, CLEAN, REJETS
from harness.silver_run import Row, killed_at, loop_of, rows_of, settings_of, stored_rollups
from harness.spark_cluster import SparkCluster, folder_of_all
from tests.store.test_pipeline_on_s3 import phase
from tests.unit.test_silver_loop import assert_exact, fill_bronze
from ventes.config import Settings
from ventes.engines import id_index
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.engines.spark import large_lots, worker_probe
from ventes.engines.spark.task_lake import TaskLake
from ventes.errors import ConfigError, StoreRefused, StoreUnavailable
from ventes.lake import tables
from ventes.operations.rebuild import rebuild
from ventes.runtime.stop import Stopper
from ventes.store import places

LOCAL, CLUSTER = "local[2]", "spark://nowhere:7077"


@pytest.fixture
def settings(tmp_path: Path, bucket: str) -> Settings:
    settings = settings_of(tmp_path, f"{bucket}/lake", engine="spark")
    tables.ensure(settings, BRONZE)
    return settings


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that an application has on a worker, whose tasks are this process's."""
    blocks = tmp_path / "worker" / "executor-1" / "blockmgr-1"
    blocks.mkdir(parents=True)
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(blocks))
    return blocks.parent


def run(settings: Settings, master: str) -> None:
    assert loop_of(settings, partial(LargeLotsInProcess, master=master), max_rows=10_000).run() == 0


def elsewhere(settings: Settings, tmp_path: Path) -> Settings:
    """The same lake as another machine sees it."""
    return settings_of(tmp_path / "elsewhere", str(settings.paths.lake), engine="spark")


@pytest.mark.parametrize("master", [LOCAL, CLUSTER])
def test_large_lots_are_exact_with_tasks_here_and_on_another_machine(
    settings: Settings, tmp_path: Path, worker: Path, monkeypatch: pytest.MonkeyPatch, master: str
) -> None:
    """Two lots; half of the ids come again, in files of the index of ids, which a worker does not have."""
    monkeypatch.setattr(large_lots, "PART_ROWS", 40)
    monkeypatch.setattr(id_index, "MOST_IN_MEMORY", 20)
    for batch in range(3):
        fill_bronze(settings, seed=batch, count=150, first=batch * 150)
        run(settings, master)
    assert_exact(elsewhere(settings, tmp_path))
    assert list((tables.path_of(settings, CLEAN) / id_index.FOLDER).glob("*.run"))
    fetched = list(worker.rglob("bronze/**/*.parquet"))
    assert bool(fetched) == (master == CLUSTER)
    assert not list(worker.rglob("*.run"))


def test_every_engine_makes_the_same_tables(settings: Settings, tmp_path: Path, bucket: str, worker: Path) -> None:
    other = settings_of(tmp_path / "embedded", f"{bucket}/other")
    tables.ensure(other, BRONZE)
    for one in (settings, other):
        fill_bronze(one, seed=4, count=300)
    run(settings, CLUSTER)
    assert loop_of(other, EmbeddedSilver, max_rows=10_000).run() == 0
    for table in (CLEAN, REJETS):
        assert _without_times(rows_of(settings, table)) == _without_times(rows_of(other, table)), table.name
    assert stored_rollups(settings) == stored_rollups(other)


def _without_times(rows: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name != "date_traitement"} for row in rows]


def test_after_a_rebuild_tasks_write_to_the_generation_that_counts(
    settings: Settings, tmp_path: Path, worker: Path
) -> None:
    fill_bronze(settings, count=50)
    run(settings, CLUSTER)
    assert rebuild(settings, print, print, Stopper()) is not None
    fill_bronze(settings, seed=2, count=50, first=50)
    run(settings, CLUSTER)
    assert sorted(path.name.rpartition("-")[2] for path in worker.glob("lake-*")) == ["0", "1"]
    far = elsewhere(settings, tmp_path)
    clean, rejected = rows_of(far, CLEAN), rows_of(far, REJETS)
    assert len(clean) + len(rejected) == 100
    assert {row["lot"] for row in clean} == {max(row["lot"] for row in rejected)}  # what was judged again is invalid


# -- credentials --------------------------------------------------------------------------------------------------


def test_a_task_has_the_credentials_of_the_driver_and_shows_none(
    settings: Settings, worker: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a worker with other credentials of its own, and from a file that the worker does not have."""
    file = tmp_path / "store.env"
    file.write_text(f"AWS_SECRET_ACCESS_KEY={SECRET}\n", encoding="ascii")
    file.chmod(0o600)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "replaced-by-the-file")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/of-this-machine")
    driver = settings.model_copy(update={"store": settings.store.model_copy(update={"credentials": str(file)})})
    lake = TaskLake.of(driver, Context(master=CLUSTER))  # type: ignore[arg-type]
    assert SECRET not in repr(lake) + str(lake)
    sent = pickle.dumps(lake)
    assert SECRET.encode() in sent
    assert b"of-this-machine" not in sent
    file.unlink()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the worker")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of the worker")
    there = pickle.loads(sent).mirror()
    assert there.root.parent == worker
    assert there.store.list("bronze/")
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == SECRET
    assert "AWS_SESSION_TOKEN" not in os.environ


# -- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "kind"),
    [(StoreUnavailable("it is down", "look"), StoreUnavailable), (StoreRefused("no bucket", "make it"), StoreRefused)],
)
def test_what_a_task_raised_about_the_store_is_the_drivers_error(raised: Exception, kind: type[Exception]) -> None:
    lake = TaskLake(Path("/lake"))
    said = (
        f"Job aborted: PythonException: Traceback\n  File x\nventes.errors.{kind.__name__}: {raised}\n\n\tat org.apache"
    )
    told = lake.told(said)
    assert type(told) is kind
    assert str(told) == str(raised)
    assert lake.told("ValueError: something else") is None


def test_a_file_of_a_tasks_mirror_has_the_drivers_name(settings: Settings) -> None:
    lake = TaskLake.of(settings, Context(master=CLUSTER))  # type: ignore[arg-type]
    said = f"FileNotFoundError: '/spark/executor-1/lake-{settings.lake.name}-0/bronze/x/jour=1/part-1.parquet'"
    assert lake.as_named_here(said) == f"FileNotFoundError: '{settings.lake}/bronze/x/jour=1/part-1.parquet'"


def probed(settings: Settings) -> list[worker_probe.Found]:
    context = Context(master=CLUSTER)
    return worker_probe.probe(context, settings, 2, ())  # type: ignore[arg-type]


def test_a_worker_is_asked_whether_it_reaches_the_store(settings: Settings, through: Proxy, worker: Path) -> None:
    """The driver has opened the store before, and does not go through the proxy."""
    assert not probed(settings)[0].problem
    mirror = places.of(settings.lake)
    assert mirror is not None
    assert not mirror.store.list(f"{worker_probe.FOLDER}/")
    assert any(f"/{worker_probe.FOLDER}/" in path for _, path in through.asked)
    through.weather.refuses = (403, "AccessDenied")
    with pytest.raises(ConfigError, match=r"the worker .* cannot use the lake: .* does not allow"):
        probed(settings)
    through.weather.refuses = (403, "RequestTimeTooSkewed")  # it may pass: the job waits
    with pytest.raises(StoreUnavailable, match=r"the worker .* cannot use the lake: .* clock differs"):
        probed(settings)


# -- killed -------------------------------------------------------------------------------------------------------

IN_CI = ["silver.after_rejets"]
POINTS = ["silver.before_rejets", "silver.after_clean", "silver.after_lot", "store.uploaded", "store.published"]


@pytest.mark.parametrize("point", [*IN_CI, *(pytest.param(point, marks=pytest.mark.long) for point in POINTS)])
def test_a_driver_killed_anywhere_goes_on_elsewhere(
    settings: Settings, tmp_path: Path, worker: Path, point: str
) -> None:
    """Its machine is lost with all that was on it; another one goes on."""
    fill_bronze(settings)
    killed_at(point, tmp_path, "tasks", str(settings.paths.lake))
    far = elsewhere(settings, tmp_path)
    tables.ensure(far, BRONZE)
    run(far, CLUSTER)
    assert_exact(far)


# -- real jobs ----------------------------------------------------------------------------------------------------

MANY = 21_000
"""More than the driver takes itself: tasks write the files."""
STORE = "[store]\npace_seconds = 0.5\nrollup_seconds = 1.0\n"


def secret_free(folder: Path) -> None:
    """No file below a folder has the secret key in it, but for what the test itself wrote."""
    for path in folder.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def test_the_jobs_read_a_topic_into_a_lake_on_s3(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With tasks of both jobs; then Bronze goes on with the embedded engine."""
    monkeypatch.setenv("VENTES_PATHS__LAKE", f"{bucket}/lake")
    with Pipeline(tmp_path, engine="spark", partitions=2, extra=STORE) as p:
        p.send(sales(MANY))
        p.start("bronze")
        p.start("silver")
        p.catch_up(180)
        assert p.stop("bronze") == 0
        p.start("bronze", engine="embedded")
        p.send([*sales(20, first_id=MANY), b"{"], partition=1)
        p.catch_up(120)
        p.verify()
        secret_free(tmp_path)


# -- a cluster whose workers share nothing with the driver but the store --------------------------------------------

LONG = 900.0
"""Seconds that a test marked `long` waits: it may run beside other work."""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder of the workers, which another user can reach: pytest's own are closed to them."""
    with folder_of_all() as folder:
        yield folder


def said_by(page: str) -> str:
    with urllib.request.urlopen(page, timeout=60) as answer:
        return str(answer.read().decode())


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for workers of another user")
def test_workers_need_no_folder_of_the_driver_and_show_no_credentials(
    bucket: str, through: Proxy, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They run as `nobody`, with the system's Python and without a variable about the store."""
    monkeypatch.setenv("VENTES_PATHS__LAKE", f"{bucket}/lake")
    events, environment, (ui,) = tmp_path / "events", shared / "workers.pex", free_ports(1)
    events.mkdir()
    conf = f'"spark.eventLog.enabled" = "true", "spark.eventLog.dir" = "file://{events}"'
    conf += f', "spark.ui.enabled" = "true", "spark.ui.port" = "{ui}", "spark.eventLog.compress" = "false"'
    extra = f'executor_memory = "512m"\nenvironment = "{environment}"\nconf = {{ {conf} }}\n{STORE}'
    with (
        SparkCluster(shared / "cluster", cores=2, user="nobody") as cluster,
        Pipeline(tmp_path / "pipeline", engine="spark", partitions=2, extra=cluster.settings + extra) as p,
    ):
        p.ventes("export", "spark-environment", "-o", str(environment))
        p.start("bronze")
        wait_for(lambda: phase(p, "bronze") == "running", "Bronze runs", LONG)
        p.start("silver")
        p.send(sales(MANY))
        p.catch_up(LONG)
        assert f"21000 rows = {MANY} clean" in p.log("silver", 200)
        assert list(shared.rglob("lake-*/bronze/**/*.parquet"))
        assert list(shared.rglob("lake-*/silver/**/*.parquet"))
        for path in ("environment", "jobs", "stages", "executors"):
            app = json.loads(said_by(f"http://127.0.0.1:{ui}/api/v1/applications"))[0]["id"]
            assert SECRET not in said_by(f"http://127.0.0.1:{ui}/api/v1/applications/{app}/{path}")
        assert list(events.rglob("*"))
        for folder in (tmp_path, shared):
            secret_free(folder)
        assert not [one for one in psutil.process_iter() if SECRET in " ".join(command_of(one))]

        pids = [job.pid for job in p.jobs.values()]
        through.weather.down = True
        p.send(sales(MANY, first_id=MANY))
        for job in ("bronze", "silver"):
            wait_for(partial(waits_for_the_store, p, job), f"{job} waits for the store", LONG)
        through.weather.down = False
        p.catch_up(LONG)
        assert [job.pid for job in p.jobs.values()] == pids, "no job was started again"

        p.send(sales(MANY, first_id=2 * MANY), partition=1)
        cluster.kill_worker(cluster.workers[0])
        p.stop("bronze", signal.SIGKILL, LONG)
        p.stop("silver", signal.SIGKILL, LONG)
        cluster.start_worker(cluster.workers[0])
        p.start("silver")
        p.start("bronze")
        p.catch_up(LONG)
        for job in ("bronze", "silver"):
            p.stop(job, signal.SIGTERM, LONG)
            p.start(job, engine="embedded")
        p.send(sales(500, first_id=3 * MANY))
        p.catch_up(LONG)
        p.verify()
        kept = cluster.workers[1].folder  # the other one was killed, and could not clean up
        wait_for(lambda: not list(kept.rglob("lake-*")), "Spark has removed the mirrors of the worker", LONG)


def waits_for_the_store(p: Pipeline, job: str) -> bool:
    record = p.heartbeat(job)
    return record is not None and record.phase == "waiting" and "does not answer" in record.reason


def command_of(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []
