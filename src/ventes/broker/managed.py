"""The managed Kafka broker: one JVM that is broker and controller (KRaft), on this machine, for this pipeline.

Its files are in <state>/kafka: server.properties and jvm.options (written by `prepare` at each start, not to be
edited) and data/ (formatted once). The settings below are for one machine: one replica of everything, few threads, no
work while idle. When idle it uses about 0.01 core; it answers 1.2 s after start.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import shutil
import socket
import subprocess
import uuid
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata

from ventes import kafka
from ventes.config import Settings
from ventes.errors import ConfigError, InstallError, LakeDamaged, VentesError
from ventes.install import class_archive, jars
from ventes.install.java import Java, find_java
from ventes.runtime import child_environment, java_errors
from ventes.runtime.files import write_if_changed
from ventes.runtime.private_files import open_log
from ventes.runtime.project import from_project

_LOG4J = Path(__file__).resolve().parent / "log4j2.xml"
_JVM = (
    "-XX:+UseSerialGC",  # one small heap: G1's threads cost more than they save
    "-XX:TieredStopAtLevel=1",  # same CPU per message as C2 (the work is I/O), half the CPU to start
    "-XX:-UsePerfData",  # no file in /tmp, no wake-ups to fill it
    "-XX:+ExitOnOutOfMemoryError",  # a restart is better than a JVM that continues after OutOfMemoryError
    "-Djava.awt.headless=true",
)
ANSWER_SECONDS = 2.0


def folder(settings: Settings) -> Path:
    """The broker's folder; Kafka's data is in its sub-folder data/."""
    return settings.state / "kafka"


def command(settings: Settings) -> list[str]:
    """The broker's command line, to be run in the project's folder. `prepare` must have run.

    `pkill -f 'producer|spark_streaming|streamlit'` must not match the broker: so the class path is in a file, and paths
    are relative to the project, whose folder may be called streamlit-demo.
    """
    options, properties = (from_project(folder(settings) / name) for name in ("jvm.options", "server.properties"))
    return [str(find_java(settings).bin), f"@{options}", "kafka.Kafka", properties]


def environment(settings: Settings) -> dict[str, str]:
    """The environment for `command`."""
    return find_java(settings).environment()


def prepare(settings: Settings) -> None:
    """Write <state>/kafka from the settings, and format the storage the first time (1 s). Idempotent.

    Raises ConfigError for an address that cannot be served, InstallError without jars or Java, LakeDamaged when
    the data folder has lost its identity.
    """
    _check(settings)
    java = find_java(settings)
    home = folder(settings)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(open_log(settings.log("broker")))  # create it safely: the JVM would follow a link planted there
    write_if_changed(home / "jvm.options", _lines(_jvm_options(settings, java)))
    if cluster_id(settings) is None:
        _format(settings, java)
    write_if_changed(home / "server.properties", _properties(settings, home / "data"))


def cluster_id(settings: Settings) -> str | None:
    """The identity of the managed broker's storage; None before it was formatted."""
    try:
        text = (folder(settings) / "data" / "meta.properties").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return values.get("cluster.id", "").strip() or None


def ready(settings: Settings) -> tuple[bool, str]:
    """Ask the managed broker for its metadata: (True, its address and cluster) or (False, why not). Never raises.

    Up to 2 s. One that is not managed is asked by `kafka.cluster_ready`.

    Ready means: it answers, it is the managed broker, it is not fenced, and each partition of the topic has a leader.
    """
    address = settings.kafka.bootstrap
    try:
        # librdkafka would retry for its whole timeout; a TCP connection shows at once that nothing listens
        socket.create_connection((settings.kafka.host, settings.kafka.port), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        return False, f"nothing answers at {address}: {error.strerror or error}"
    try:
        metadata = _metadata(settings)
    except (KafkaException, VentesError) as error:
        reason = error.args[0] if error.args else error
        said = kafka.plain(reason.str()) if isinstance(reason, KafkaError) else reason
        return False, f"something listens at {address}, but does not answer as Kafka: {said}"
    ours = cluster_id(settings)
    if ours is not None and metadata.cluster_id != ours:
        return False, f"the Kafka at {address} is another one (cluster {metadata.cluster_id}, ours is {ours})"
    if not metadata.brokers:
        return False, f"the broker at {address} is still registering"
    topic = metadata.topics.get(settings.topic)
    headless = [part.id for part in topic.partitions.values() if part.leader < 0] if topic else []
    if headless:
        return False, f"{settings.topic}: no leader yet for partition(s) {', '.join(map(str, headless))}"
    return True, f"Kafka at {address}, cluster {metadata.cluster_id}"


def _metadata(settings: Settings) -> ClusterMetadata:
    config = kafka.client_config(settings, log_level=0)
    del config["logger"]  # every failure comes back as the exception
    with AdminClient(config) as client:
        metadata: ClusterMetadata = client.list_topics(timeout=ANSWER_SECONDS)
        return metadata


def _check(settings: Settings) -> None:
    host = settings.kafka.host
    if host in {"0.0.0.0", "::", ""}:
        raise ConfigError(
            f"kafka.host = {host!r} is no address that a client could be sent to",
            "name one address of this machine, for example 127.0.0.1",
        )
    if settings.kafka.port == settings.kafka.controller_port:
        raise ConfigError(
            f"kafka.port and kafka.controller_port are both {settings.kafka.port}", "give them different ports"
        )
    if settings.kafka.security:
        raise ConfigError(
            "[kafka.security] is set, but the managed broker speaks plain text on this machine only",
            "name the servers of a broker of your own in kafka.bootstrap, or remove [kafka.security]",
        )
    missing = [path for path in jars.paths(settings.jars, "kafka") if not path.is_file()]
    if missing:
        raise InstallError(f"the broker's jar {missing[0]} is missing", "run `bash start_pipeline.sh`: it fetches jars")


def _new_identity() -> str:
    """A random cluster id in Kafka's form; it does not begin with "-", which Kafka's tools would read as an option."""
    while (identity := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")).startswith("-"):
        pass
    return identity


def _format(settings: Settings, java: Java) -> None:
    """Format the storage, in a temporary folder that is renamed, so that an interruption leaves no partial storage."""
    home = folder(settings)
    data, new = home / "data", home / ".data.new"
    if data.is_dir() and any(data.iterdir()):
        raise LakeDamaged(
            f"{data} holds files, but no meta.properties that says whose they are",
            "restore that file from a backup, or `ventes reset` to start with an empty topic",
        )
    shutil.rmtree(new, ignore_errors=True)
    properties = home / "format.properties"
    write_if_changed(properties, _properties(settings, new))
    tool = ["kafka.tools.StorageTool", "format", "--cluster-id", _new_identity(), "--config", str(properties)]
    done = subprocess.run(
        [str(java.bin), f"@{home / 'jvm.options'}", *tool],
        env=java.environment(),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=120,
    )
    if done.returncode:
        said = java_errors.cause(done.stderr) or java_errors.cause(done.stdout) or f"exit code {done.returncode}"
        raise VentesError(f"Kafka cannot use {home}: {said}", "correct that, then start again")
    if data.is_dir():
        data.rmdir()
    new.rename(data)
    properties.unlink()


def _properties(settings: Settings, data: Path) -> str:
    ours = settings.kafka
    host = "127.0.0.1" if ours.host == "localhost" else ours.host  # one family, whatever the hosts file says
    inner = host if _loopback(host) else "127.0.0.1"  # only the broker itself talks to the controller
    values: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{inner}:{ours.controller_port}",
        "listeners": f"PLAINTEXT://{host}:{ours.port},CONTROLLER://{inner}:{ours.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{ours.host}:{ours.port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": data,
        # topics
        "auto.create.topics.enable": "false",  # a mistyped name must be an error, not a new topic
        "default.replication.factor": 1,
        "log.message.timestamp.type": "LogAppendTime",
        "message.max.bytes": ours.max_message_bytes,
        "replica.fetch.max.bytes": ours.max_message_bytes,
        "log.retention.hours": ours.retention_hours,
        "log.segment.bytes": max(128 * 1024 * 1024, ours.max_message_bytes),  # retention deletes whole segments only
        # internal topics: one partition is enough for one machine, 50 take seconds and many files
        "offsets.topic.num.partitions": 1,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # few threads, little memory
        "num.network.threads": 1,
        "num.io.threads": 2,
        "num.replica.fetchers": 1,
        "background.threads": 1,
        "num.recovery.threads.per.data.dir": 1,
        "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,  # 128 MB by default, a third of the heap
        "group.initial.rebalance.delay.ms": 0,
        # no record in the metadata log, and no fsync, every 500 ms while idle
        "metadata.max.idle.interval.ms": 0,
        # After kill -9 the controller refuses the new process until the old one's session ends. The defaults make
        # that 9 s; a longer pause than this (SIGSTOP) only fences the broker until its next heartbeat.
        "broker.heartbeat.interval.ms": 1500,
        "broker.session.timeout.ms": 4500,
    }
    if ours.flush_every_message:
        values["log.flush.interval.messages"] = 1
    return _lines([f"{name}={_escaped(str(value))}" for name, value in values.items()])


def _jvm_options(settings: Settings, java: Java) -> list[str]:
    """The lines of jvm.options, in the java launcher's @file syntax."""
    home, logs = folder(settings), settings.logs
    heap = settings.kafka.heap_mb
    class_path = os.pathsep.join(map(str, jars.paths(settings.jars, "kafka")))
    options = [
        f"-Xms{min(64, heap)}m",
        f"-Xmx{heap}m",
        *_JVM,
        *class_archive.use(settings.jars, java, "kafka"),
        *child_environment.JVM_OPTIONS,
        f"-XX:ErrorFile={home}/hs_err_%p.log",
        f"-Dlog4j2.configurationFile={_LOG4J}",
        f"-Dbroker.log={settings.log('broker')}",
        f"-Dbroker.log.size={logs.max_mb}MB",
        f"-Dbroker.log.keep={logs.keep}",
        "-cp",
        class_path,
    ]
    return [_argument(option) for option in options]


def _argument(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escaped(value: str) -> str:
    """`value` escaped for Java's properties reader, which reads Latin-1 and JSON's escapes."""
    return json.dumps(value)[1:-1]


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _lines(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
