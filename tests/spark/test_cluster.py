"""The jobs on a Spark cluster with a real master and two workers, which lose each of their parts."""

from __future__ import annotations

import os
import pwd
import signal
import struct
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from harness.pipeline import Pipeline, sales, wait_for
from harness.spark_cluster import SparkCluster, folder_of_all
from ventes.check import spark_cluster
from ventes.check.status import status
from ventes.config import PROJECT

SMALL_EXECUTORS = 'executor_memory = "512m"\n'
MANY = 30_000
"""More than the driver takes itself: tasks write the files."""
_QUICK = "-XX:TieredStopAtLevel=1"  # one compiler: all of it is over before the other one is worth its time
QUICK = f'conf = {{ "spark.driver.extraJavaOptions" = "{_QUICK}", "spark.executor.extraJavaOptions" = "{_QUICK}" }}\n'
LONG = 900.0
"""Seconds that a test marked `long` waits: it may run at the lowest priority beside other work."""
BRONZE, SILVER = "ventes-bronze", "ventes-silver"


def reason(p: Pipeline, job: str) -> str:
    return status(p.settings).service(job).reason


def test_bronze_says_what_it_waits_for_without_a_worker_and_goes_on_with_the_next(tmp_path: Path) -> None:
    with (
        SparkCluster(tmp_path / "cluster") as cluster,
        Pipeline(tmp_path / "pipeline", engine="spark", extra=cluster.settings + SMALL_EXECUTORS + QUICK) as p,
    ):
        p.start("silver", engine="embedded")
        p.start("bronze")
        p.send(sales(100))
        p.catch_up()
        assert "half of the cluster's 2" in p.log("bronze"), "where the number of cores comes from"
        found = spark_cluster.of(p.settings, "spark")
        assert found is not None
        assert (found.workers, found.cores, found.cores_free) == (2, 2, 1)
        assert (found.jobs["bronze"].cores, found.jobs["bronze"].lost) == (1, 0)

        for worker in cluster.workers:
            cluster.kill_worker(worker)
        sentence = f"waits for 1 core: the cluster {cluster.url} has no worker"
        wait_for(lambda: reason(p, "bronze") == sentence, "status says what Bronze waits for")
        assert sentence in p.log("bronze")
        assert p.jobs["bronze"].poll() is None, "it waits in the same process"

        p.send(sales(100, first_id=101))
        cluster.start_worker(cluster.workers[0])
        p.catch_up()
        service = status(p.settings).service("bronze")
        assert (service.state, service.reason) == ("running", "")
        found = spark_cluster.of(p.settings, "spark")
        assert found is not None
        assert (found.workers, found.cores_free, found.jobs["bronze"].cores) == (1, 0, 1)
        assert found.jobs["bronze"].lost >= 1
        p.verify()


# -- each part is lost while both jobs work -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SparkCluster, Pipeline]]:
    """A cluster whose master keeps its state, and both jobs on it."""
    folder = tmp_path_factory.mktemp("busy")
    with (
        SparkCluster(folder / "cluster", cores=2, recovery=True) as cluster,
        Pipeline(folder / "pipeline", engine="spark", extra=cluster.settings + SMALL_EXECUTORS) as p,
    ):
        p.start("silver")
        p.start("bronze")
        p.send(sales(10))
        p.catch_up(LONG)
        yield cluster, p


def kill_executor(cluster: SparkCluster, p: Pipeline) -> None:
    for name in (BRONZE, SILVER):
        an_executor(cluster, name).kill()


def an_executor(cluster: SparkCluster, name: str) -> psutil.Process:
    wait_for(lambda: cluster.executors(name), f"{name} has an executor", LONG)
    return cluster.executors(name)[0]


def kill_worker(cluster: SparkCluster, p: Pipeline) -> None:
    cluster.kill_worker(cluster.workers[0])


def kill_all_workers(cluster: SparkCluster, p: Pipeline) -> None:
    for worker in cluster.workers:
        if worker.process is not None:
            cluster.kill_worker(worker)
    wait_for(lambda: "has no worker" in reason(p, "bronze"), "status says what Bronze waits for", LONG)
    wait_for(lambda: "has no worker" in reason(p, "silver"), "status says what Silver waits for", LONG)


def restart_workers(cluster: SparkCluster, p: Pipeline) -> None:
    for worker in cluster.workers:
        if worker.process is None:
            cluster.start_worker(worker)
    cluster.wait_for_workers(2)


def kill_master(cluster: SparkCluster, p: Pipeline) -> None:
    cluster.kill_master()
    found = spark_cluster.of(p.settings, "spark")
    assert found is not None
    assert cluster.page in found.problem, "status says that the master does not answer"


def restart_master(cluster: SparkCluster, p: Pipeline) -> None:
    cluster.start_master()
    cluster.wait_for_workers(2)


def kill_driver(job: str) -> Callable[[SparkCluster, Pipeline], None]:
    def kill(cluster: SparkCluster, p: Pipeline) -> None:
        p.stop(job, signal.SIGKILL, LONG)
        p.start(job)

    return kill


def kill_master_and_driver(cluster: SparkCluster, p: Pipeline) -> None:
    cluster.kill_master()
    p.stop("bronze", signal.SIGKILL, LONG)
    p.start("bronze")
    wait_for(lambda: "does not answer" in reason(p, "bronze"), "Bronze waits for the master", LONG)


def nothing(cluster: SparkCluster, p: Pipeline) -> None:
    pass


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("lose", "heal"),
    [
        (kill_executor, nothing),
        (kill_worker, restart_workers),
        (kill_all_workers, restart_workers),
        (kill_master, restart_master),
        (kill_driver("bronze"), nothing),
        (kill_driver("silver"), nothing),
        (kill_master_and_driver, restart_master),
    ],
    ids=["an executor of each job", "a worker", "all workers", "the master", "Bronze", "Silver", "master and Bronze"],
)
def test_no_sale_is_lost_or_doubled_without(
    busy: tuple[SparkCluster, Pipeline],
    lose: Callable[[SparkCluster, Pipeline], None],
    heal: Callable[[SparkCluster, Pipeline], None],
) -> None:
    cluster, p = busy
    p.send(sales(MANY, first_id=p.sent + 1))
    wait_for(lambda: works(p), "a job works on the sales", LONG)
    lose(cluster, p)
    p.send(sales(100, first_id=p.sent + 1))
    heal(cluster, p)
    p.catch_up(LONG)
    p.verify()


def works(p: Pipeline) -> bool:
    records = [p.heartbeat(job) for job in ("bronze", "silver")]
    return any(record is not None and record.working_since is not None for record in records)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_master_that_lost_its_state_is_asked_anew(tmp_path: Path) -> None:
    """Without spark.deploy.recoveryMode the new master does not know the application: the job ends, and is started."""
    extra = "bronze_cores = 1\n" + SMALL_EXECUTORS
    with (
        SparkCluster(tmp_path / "cluster", workers=1) as cluster,
        Pipeline(tmp_path / "pipeline", engine="spark", extra=cluster.settings + extra) as p,
    ):
        p.start("silver", engine="embedded")
        p.start("bronze")
        p.send(sales(100))
        p.catch_up(LONG)
        cluster.kill_master()
        cluster.start_master()
        cluster.wait_for_workers(1)
        assert p.died("bronze", LONG) == 1, "its supervisor starts it again"
        assert "is not known to the master" in p.log("bronze")
        p.start("bronze")
        p.send(sales(100, first_id=101))
        p.catch_up(LONG)
        p.verify()


# -- other machines -----------------------------------------------------------------------------------------------


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users can reach: pytest's own are closed to them."""
    with folder_of_all() as folder:
        yield folder


@pytest.fixture
def network() -> Iterator[tuple[str, str, str]]:
    """A network of its own that a pair of interfaces connects: (its name, this side's address, the other side's)."""
    name, number = f"ventes{os.getpid() % 100_000}", os.getpid() % 64
    here, there = f"10.199.{number}.1", f"10.199.{number}.2"
    run("ip", "netns", "add", name)
    try:
        run("ip", "link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", name)
        run("ip", "address", "add", f"{here}/24", "dev", f"{name}a")
        run("ip", "link", "set", f"{name}a", "up")
        run("ip", "-n", name, "address", "add", f"{there}/24", "dev", f"{name}b")
        run("ip", "-n", name, "link", "set", f"{name}b", "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        yield name, here, there
    finally:
        run("ip", "netns", "delete", name)


def run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=30)


def let_write(folder: Path, user: str) -> None:
    """What `setfacl -m u:USER:rwx -m d:u:USER:rwx FOLDER` does, where that program is not installed."""
    number = pwd.getpwnam(user).pw_uid
    nobody = 0xFFFFFFFF
    entries = [(1, 7, nobody), (2, 7, number), (4, 0, nobody), (16, 7, nobody), (32, 0, nobody)]
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    os.setxattr(folder, "system.posix_acl_access", value)
    os.setxattr(folder, "system.posix_acl_default", value)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a network of its own and for another user")
def test_workers_of_another_user_and_address_get_their_packages_from_the_driver(
    shared: Path, network: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Master and workers are in a network of their own. The workers run as `nobody`, in another folder, with the
    system's Python, which has none of the packages. Only the lake is theirs too, once they are let in."""
    namespace, here, there = network
    inside = ("ip", "netns", "exec", namespace)
    monkeypatch.setenv("VENTES_KAFKA__HOST", here)
    environment = shared / "workers.pex"
    secret = "one-that-everybody-of-the-cluster-knows"
    conf = f'{{ "spark.authenticate" = "true", "spark.authenticate.secret" = "{secret}" }}'
    extra = SMALL_EXECUTORS + f'environment = "{environment}"\nconf = {conf}\n'
    with (
        SparkCluster(shared / "cluster", host=there, user="nobody", prefix=inside, secret=secret) as cluster,
        Pipeline(shared / "pipeline", engine="spark", extra=cluster.settings + extra) as p,
    ):
        p.ventes("export", "spark-environment", "-o", str(environment))
        p.start("bronze")
        assert p.died("bronze", LONG) == 3, "a person must let the workers in"
        assert "(user nobody, " in p.log("bronze")
        assert f"cannot write {p.settings.lake}: Permission denied" in p.log("bronze")

        let_write(p.settings.lake, "nobody")
        p.start("silver")
        p.start("bronze")
        p.send(sales(MANY))
        p.catch_up(LONG)
        assert f"the driver is at {here}" in p.log("bronze")
        assert secret not in p.log("bronze") + p.log("silver")
        p.verify()


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_path_of_python_on_the_workers_is_a_setting(tmp_path: Path) -> None:
    other = tmp_path / "other" / "environment"
    venv.create(other, with_pip=False)
    packages = next((other / "lib").glob("python*/site-packages"))
    packages.joinpath("same.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    python = other / "bin" / "python"
    with SparkCluster(tmp_path / "cluster", workers=1) as cluster:
        wrong = cluster.settings + SMALL_EXECUTORS + 'python = "/nowhere/python"\n'
        with Pipeline(tmp_path / "wrong", engine="spark", extra=wrong) as p:
            p.start("bronze")
            assert p.died("bronze", LONG) == 3
            assert "cannot run Python as /nowhere/python: No such file" in p.log("bronze")
            assert "spark.python" in p.log("bronze")
        right = cluster.settings + SMALL_EXECUTORS + f'python = "{python}"\n'
        with Pipeline(tmp_path / "right", engine="spark", extra=right) as p:
            p.start("silver", engine="embedded")
            p.start("bronze")
            p.send(sales(MANY))
            p.catch_up(LONG)
            assert f"Python {python}" in p.log("bronze")
            p.verify()


# -- start and status ---------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_start_says_which_job_waits_for_cores_and_status_knows_the_cluster(tmp_path: Path) -> None:
    extra = SMALL_EXECUTORS + "bronze_cores = 1\nsilver_cores = 1\n"
    with (
        SparkCluster(tmp_path / "cluster", workers=2) as cluster,
        Pipeline(tmp_path / "pipeline", engine="spark", extra=cluster.settings + extra) as p,
    ):
        p.environment["VENTES_KAFKA__MANAGED"] = "false"
        cluster.kill_worker(cluster.workers[1])
        start = subprocess.Popen(
            [sys.executable, "-c", "import sys; from ventes.cli import main; sys.exit(main())", "start"],
            env={**p.environment, "PYTHONPATH": str(PROJECT / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            assert start.stdout is not None
            said: list[str] = []
            while not (said and "waits for 1 core" in said[-1]):
                said.append(start.stdout.readline())
                assert said[-1], f"it ended: {said}"
            held = [f"the cluster has 0 free of 1 ({name} has 1)" for name in (BRONZE, SILVER)]
            assert any(text in said[-1] for text in held), said[-1]
            cluster.start_worker(cluster.workers[1])
            rest = start.stdout.read()
            assert start.wait(LONG) == 0, rest
            text = p.ventes("status", code=None)
            assert f"{cluster.url} ALIVE · 2 workers, 1 lost · 0 of 2 cores free" in text, text
            assert "bronze has 1 of the 1 core that it asks for, 1 executor" in text, text
        finally:
            start.kill()
            p.ventes("stop", code=None)
