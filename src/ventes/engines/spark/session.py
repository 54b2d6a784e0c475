"""One SparkSession per job: the JVM with its flags and files, and every setting with its reason.

If this module starts the JVM, it has local addresses, its own temporary files in <state>/spark/<job>-<pid>/ and its own
log. Under `spark-submit` it exists already: its settings have precedence, and `Session.remarks` lists the differences.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyspark
from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from ventes.config import PROJECT, Settings
from ventes.engines.job import Crashed, Job
from ventes.engines.spark import cluster_plan, cluster_start, gateway
from ventes.engines.spark.cluster_plan import ClusterPlan
from ventes.engines.spark.cluster_watch import ClusterWatch
from ventes.errors import ConfigError, InstallError
from ventes.install import class_archive, java
from ventes.install import spark as spark_installation
from ventes.runtime import child_environment, disk, java_errors
from ventes.runtime.files import write_atomically

HERE = Path(__file__).resolve().parent

# Both of Java's compilers: with C1 alone a job that received 200,000 messages processed 18,800 per second in Bronze and
# 13,300 in Silver; with both 51,700 and 30,400 (bench/compare.py, 2 cores). C1 alone is fast sooner after the start.
_COMPILERS = (
    # C2 only for methods that are called ten times more often than its default: it then uses less of the same cores.
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=6000",
    "-XX:Tier4CompileThreshold=150000",
    "-XX:Tier4BackEdgeThreshold=400000",
)


@dataclass
class Session:
    """A running SparkSession and its JVM."""

    spark: SparkSession
    jvm_pid: int
    remarks: tuple[str, ...]
    """Settings of an existing session that differ from ours; empty if this process started the session."""
    scratch: Path
    watch: ClusterWatch | None = None
    """On a cluster, for a job."""

    @property
    def jvm(self) -> Any:
        return self.spark._jvm

    @property
    def alive(self) -> bool:
        """Whether the JVM runs: without it this session cannot be used again."""
        try:
            return bool(psutil.Process(self.jvm_pid).status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    @property
    def usable(self) -> bool:
        """Whether Spark still accepts work: its JVM runs, and the cluster has not removed the application."""
        try:
            return self.alive and not self.spark.sparkContext._jsc.sc().isStopped()
        except (Py4JError, OSError):
            return False

    @property
    def exit_reason(self) -> str:
        """Why `usable` is False."""
        what = self.watch.gave_up if self.watch is not None else ""
        if not what and self.alive:
            on_cluster = not str(self.spark.sparkContext.master).startswith("local")
            what = "was removed by its cluster" if on_cluster else "stops after an error: see its log"
        return f"Spark (JVM pid {self.jvm_pid}) {what or 'has ended'}"

    def close(self, seconds: float = 3.0) -> None:
        """Stop Spark and wait until its JVM has ended, which releases its files and lock; killed after `seconds`."""
        if self.watch is not None:
            self.watch.close()
        connected = SparkContext._gateway
        process = getattr(connected, "proc", None)
        if self.alive:
            with contextlib.suppress(Py4JError, OSError):  # a JVM may end at this moment, by an error of its own
                self.spark.stop()
                if connected is not None:
                    connected.shutdown()
        SparkContext._gateway = None
        if process is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()  # the JVM ends when its stdin does
            try:
                process.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()  # nothing is open in it any more
                process.wait()
        shutil.rmtree(self.scratch, ignore_errors=True)


def configuration(settings: Settings, job: str, scratch: Path, cluster: ClusterPlan | None = None) -> dict[str, str]:
    """Every Spark setting of a job ("bronze", "silver"): our defaults, overridden by the user's [spark.conf].

    `cluster`: what is asked of it; None for a master in this process.
    """
    jars = settings.jars / "spark"
    conf = {
        "spark.master": settings.spark.master,
        "spark.app.name": f"ventes-{job}",
        "spark.driver.memory": settings.spark.driver_memory,
        "spark.driver.extraJavaOptions": " ".join(map(_quoted, jvm_options(settings, job, scratch))),
        # On the JVM's class path, not in spark.jars: the class-data archive covers only the class path.
        "spark.driver.extraClassPath": str(jars / "*"),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        # Listen on this machine only.
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": str(scratch / "local"),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        # For two cores: 200 shuffle tasks and a 50-task Delta snapshot would be most of a batch's time.
        "spark.sql.shuffle.partitions": "2",
        "spark.databricks.delta.snapshotPartitions": "1",
        # A checkpoint is a cache of Bronze's position: few batches of it are enough.
        "spark.sql.streaming.minBatchesToRetain": "10",
        # After SIGTERM the job has ten seconds; a query that hangs is abandoned with its JVM.
        "spark.sql.streaming.stopTimeout": "3s",
        # A job runs for months: keep no history of finished batches.
        "spark.sql.streaming.numRecentProgressUpdates": "2",
        "spark.ui.retainedJobs": "20",
        "spark.ui.retainedStages": "20",
        "spark.ui.retainedTasks": "200",
        "spark.sql.ui.retainedExecutions": "10",
        "spark.ui.retainedDeadExecutors": "2",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # Rows per Arrow batch to Python; 4,096 were no faster. Its bytes are limited because 1,000 messages of 5 MB
        # would not fit.
        "spark.sql.execution.arrow.maxRecordsPerBatch": "1024",
        "spark.sql.execution.arrow.maxBytesPerBatch": str(16 * 1024 * 1024),
        # What a task read ahead and did not use is kept for a next one that begins there. A batch that is read twice
        # leaves what its first reading held, 6 MB with a message of 5 MB: in 5 min, the default, a heap is full.
        "spark.kafka.consumer.fetchedData.cache.timeout": "2s",
        "spark.kafka.consumer.fetchedData.cache.evictorThreadRunInterval": "1s",
        # Few rows are collected (frames.py), unless their total size is larger than this. Tasks of Silver return the
        # partial rows of the roll-ups: with a key of its own for each event they are as large as the lot's messages.
        "spark.driver.maxResultSize": "512m" if job == "silver" else "64m",
        # Secrets of [kafka.security] are source options: keep them out of plans and logs.
        "spark.redaction.regex": "(?i)secret|pass|token|credential|(access|account|api)[.]?key|jaas|keystore",
        "spark.sql.redaction.options.regex": "(?i)secret|pass|token|credential|jaas|keystore",
    }
    if cluster is None:
        conf["spark.authenticate"] = "true"  # Spark creates the secret; on a cluster it must be set in [spark.conf]
        # Of Python's workers: glibc raises both limits where large pieces are freed, and keeps as much. Fixed, the peak
        # of a worker was 332 instead of 368 MB after twelve tasks, for the same CPU.
        conf["spark.executorEnv.MALLOC_MMAP_THRESHOLD_"] = "131072"
        conf["spark.executorEnv.MALLOC_TRIM_THRESHOLD_"] = "131072"
    else:
        conf["spark.jars"] = ",".join(str(jar) for jar in sorted(jars.glob("*.jar")))
        conf |= cluster.conf()
    given = settings.spark.further_conf()
    for key in ("spark.driver.extraJavaOptions", "spark.executor.extraJavaOptions"):
        if options := given.pop(key, ""):
            conf[key] = f"{conf.get(key, '')} {options}".strip()
    return {**conf, **given}


def jvm_options(settings: Settings, job: str, scratch: Path) -> tuple[str, ...]:
    """Flags of the driver's JVM."""
    log = settings.state / "log" / f"spark-{job}.log"
    return (
        # One garbage collector thread: on two shared cores parallel collectors wait for each other.
        "-XX:+UseSerialGC",
        # The heap begins small and grows up to spark.driver_memory as it is needed: 70 MB of it live, large messages or
        # lots need more. By default it begins with 1/64 of the machine's memory.
        "-Xms96m",
        # What is read and passed on dies young: half of the young part for what survives a collection, by default a
        # fifth, so that it does not move to the old part, which then grows. A small one is collected more often.
        "-Xmn32m",
        "-XX:SurvivorRatio=2",
        # By default 40 to 70 % of the old part are kept free.
        "-XX:MinHeapFreeRatio=20",
        "-XX:MaxHeapFreeRatio=40",
        # Java would collect the whole heap at 21, 35, 58 and 97 MB of classes, while it starts.
        "-XX:MetaspaceSize=192m",
        # Generated code fills the default code cache, and then the JIT compiler stops permanently.
        "-XX:ReservedCodeCacheSize=240m",
        *_COMPILERS,
        # Classes mapped from the archive: half the time, and half the CPU, from start to the first commit.
        *class_archive.use(settings.jars, java.find_java(settings), "spark"),
        *child_environment.JVM_OPTIONS,
        "-Duser.timezone=UTC",
        "-Dderby.system.home=" + str(scratch),
        f"-Djava.io.tmpdir={scratch / 'tmp'}",
        f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}",
        f"-Dventes.jvm.log={log}",
        f"-Dventes.jvm.log.mb={settings.logs.max_mb}",
        f"-Dventes.jvm.log.keep={settings.logs.keep}",
    )


def open_session(settings: Settings, name: str, job: Job | None = None) -> Session:
    """Start Spark for the job `name`, or join the Spark that `spark-submit` started. 2–5 s.

    On a cluster `job` waits until the master answers and gives an executor, and reports what it waits for.
    Raises InstallError if the jars or Java are missing, ConfigError for a [spark.conf] that Spark refuses or workers
    that cannot be used, Crashed where a new process may succeed or the job was told to stop.
    """
    if job is not None and settings.spark.on_cluster:
        cluster_start.wait_for_master(job)
    cluster = cluster_plan.plan(settings, name) if settings.spark.on_cluster else None
    if job is not None:
        job.reporter.begin_work()  # `ventes start` then waits for a JVM that starts slowly
    session = _open(settings, name, cluster)
    try:
        if job is not None and cluster is not None:
            cluster_start.prepare(session, job, cluster)
        if job is not None:
            job.reporter.update(working_since=None)
    except BaseException:
        session.close()
        raise
    return session


def _open(settings: Settings, job: str, cluster: ClusterPlan | None) -> Session:
    logging.getLogger("py4j").setLevel(logging.CRITICAL)  # it also logs the exceptions that it raises
    scratch = _scratch(settings, job)
    wanted = configuration(settings, job, scratch, cluster)
    if SparkContext._active_spark_context is not None or "PYSPARK_GATEWAY_PORT" in os.environ:
        spark, remarks = _join(wanted, settings.spark.conf)
    else:
        os.environ["PYSPARK_PYTHON"] = sys.executable if cluster is None else cluster.python
        spark, remarks = _start(settings, wanted, job, scratch), ()
    _needs_delta(spark)
    if not str(spark.sparkContext.master).startswith("local"):
        spark.sparkContext.addPyFile(str(_own_source(scratch)))
    jvm: Any = spark._jvm
    pid = int(jvm.org.apache.logging.log4j.util.ProcessIdUtil.getProcessId())
    return Session(spark, pid, remarks, scratch)


def _quoted(option: str) -> str:
    """An option of the JVM as Spark reads it in a list of them, where blanks divide."""
    return '"' + option.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _start(settings: Settings, wanted: Mapping[str, str], job: str, scratch: Path) -> SparkSession:
    child_environment.allow_open_files()
    child_environment.require_user()
    os.environ.update(java.find_java(settings).environment())
    os.environ["SPARK_HOME"] = str(Path(pyspark.__file__).parent)  # not another Spark of this machine
    os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    # Python workers import this package, installed or not.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(PROJECT / "src"), os.environ.get("PYTHONPATH"))))
    # Spark's conf folder is on the class path, and a class-data archive requires it to be empty. The defaults for a
    # manual spark-submit are not for the jobs.
    empty = settings.jars.parent / "spark-conf"
    empty.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.environ["SPARK_CONF_DIR"] = str(empty)
    os.environ["SPARK_LOCAL_IP"] = wanted["spark.driver.bindAddress"]
    spark_installation.require(settings.jars)
    conf = SparkConf(loadDefaults=False)
    for key, value in wanted.items():
        conf.set(key, value)
    # A private file instead of --conf: every user can read command lines, and [spark.conf] may hold a secret.
    properties = scratch / "spark.properties"
    write_atomically(properties, "".join(_property(key, value) for key, value in wanted.items()))
    further = shlex.split(os.environ.get("PYSPARK_SUBMIT_ARGS", "pyspark-shell"))
    arguments = ["--properties-file", str(properties), *further]
    console = settings.state / "log" / f"spark-{job}-console.log"
    console.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with console.open("w") as output:
        try:
            started = gateway.start(arguments, scratch, output)
            return SparkSession(SparkContext(conf=conf, gateway=started))
        except Crashed:
            raise
        except Exception as error:  # the JVM's error is in its log; py4j's traceback contains less
            said = java_errors.cause(console.read_text(encoding="utf-8", errors="replace"))
            if disk.is_told_full(said) or disk.full(settings):
                raise Crashed(f"Spark does not start, the disk is full: {said}") from None
            if why := cluster_plan.master_answers(settings):
                raise Crashed(f"Spark does not start: {why}") from None
            if not said:  # a wrong setting has a message; a JVM that is killed has none, and a new one may start
                raise Crashed(
                    f"Spark's JVM ended while it started, without a message (was it killed?): {error}"
                ) from None
            raise ConfigError(
                f"Spark does not start: {said}",
                f"look into {console}; [spark] master, driver_memory and conf in ventes.toml decide how it starts",
            ) from error
        finally:
            properties.unlink(missing_ok=True)


def _property(key: str, value: str) -> str:
    """A line that Java's properties reader parses as this key and value."""
    key = re.sub(r"([\\:=# ])", r"\\\1", key)
    value = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{key}={value}\n"


def _join(wanted: Mapping[str, str], hidden: Container[str]) -> tuple[SparkSession, tuple[str, ...]]:
    """Use the existing JVM; its settings have precedence over `wanted`. Values of `hidden` keys are not shown."""
    conf = SparkConf(loadDefaults=True) if SparkContext._active_spark_context is None else SparkConf(False)
    for key, value in wanted.items():
        if not conf.contains(key) or key == "spark.app.name":
            conf.set(key, value)
    spark = SparkSession.builder.config(conf=conf).getOrCreate()
    there = dict(spark.sparkContext.getConf().getAll())
    started = {"spark.driver.extraJavaOptions", "spark.driver.memory", "spark.driver.extraClassPath", "spark.app.name"}
    remarks = [
        f"{key} is not what [spark.conf] says" if key in hidden else f"{key} is {there.get(key, 'unset')}, not {value}"
        for key, value in wanted.items()
        if there.get(key) != value and key not in started
    ]
    return spark, tuple(remarks)


def _needs_delta(spark: SparkSession) -> None:
    jvm: Any = spark._jvm
    for name in ("io.delta.sql.DeltaSparkSessionExtension", "org.apache.spark.sql.kafka010.KafkaSourceProvider"):
        if not jvm.org.apache.spark.util.Utils.classIsLoadable(name):
            home, ours = os.environ.get("SPARK_HOME"), spark_installation.package()
            raise InstallError(
                f"this Spark does not know {name.rpartition('.')[2]}",
                "`python -m ventes.install` configures .venv/bin/spark-submit; or run the script with python"
                if home is None or Path(home) == ours
                else f"SPARK_HOME={home} is another one: unset it; or run the script with python",
            )


def _scratch(settings: Settings, job: str) -> Path:
    """A new folder for the JVM's temporary files; those of ended processes are removed."""
    root = settings.state / "spark"
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in root.glob(f"{job}-*"):
        pid = old.name.rpartition("-")[2]
        if not (pid.isdecimal() and psutil.pid_exists(int(pid)) and int(pid) != os.getpid()):
            shutil.rmtree(old, ignore_errors=True)
    scratch = root / f"{job}-{os.getpid()}"
    for name in ("local", "tmp", "warehouse"):
        (scratch / name).mkdir(parents=True, mode=0o700)
    return scratch


def _own_source(scratch: Path) -> Path:
    """This package as a zip, for executors on other machines: they judge messages with it."""
    target = scratch / "ventes.zip"
    source = PROJECT / "src"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archived:
        for file in sorted(source.rglob("*")):
            if file.suffix in (".py", ".sql"):
                archived.write(file, file.relative_to(source))
    return target
