"""`ventes reset`: removes topic, tables, checkpoints, unsent sales and the alerts' state and history together."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from ventes import kafka
from ventes.broker import managed
from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.errors import AlreadyRunning, VentesError
from ventes.lake import accepted_gaps, alert_history, writer_lock
from ventes.lake.tables import path_of
from ventes.operations import generations
from ventes.operations.rebuild import MARK, staging_of
from ventes.producer import spool
from ventes.runtime import alert_records
from ventes.store import lease, places
from ventes.store.mirror import POINTER, Mirror
from ventes.supervise import orphans, service_records, services


@dataclass(frozen=True)
class Removal:
    """What a reset removes: existing folders and files; `topic` is set for an external broker."""

    paths: tuple[Path, ...]
    topic: str = ""
    store: str = ""
    """The address of a lake on an object store, whose objects are removed."""

    def sentences(self) -> list[str]:
        lines = [f"all tables, gaps and leases under {self.store}"] if self.store else []
        lines += [f"{path}" for path in self.paths]
        return [*lines, f"topic {self.topic} on a broker that is not managed here"] if self.topic else lines


def what_to_remove(settings: Settings) -> Removal:
    """What there is to remove. Raises AlreadyRunning while any part of the pipeline runs."""
    refuse_while_running(settings)
    mirror = places.of(settings.lake)
    if mirror is not None:
        return Removal(
            tuple(path for path in (settings.lake, *_beside_the_lake(settings)) if path.exists()),
            _topic_of_others(settings),
            mirror.url if any(_objects(settings, mirror)) else "",
        )
    candidates = [path_of(settings, table) for table in contract.of(settings).all]
    candidates += [
        settings.checkpoints,
        accepted_gaps.path_of(settings.lake),
        writer_lock.lock_path(settings, contract.of(settings).bronze.name).parent,
    ]
    candidates += [staging_of(settings).lake, settings.silver / MARK]
    candidates += [alert_history.path_of(settings).parent, *_beside_the_lake(settings)]
    found = tuple(path for path in candidates if path.exists() or path.is_symlink())
    return Removal(found, _topic_of_others(settings))


def _beside_the_lake(settings: Settings) -> list[Path]:
    found = [alert_records.folder(settings.state), spool.folder(settings)]
    return [*found, managed.folder(settings) / "data"] if settings.kafka.managed else found


def _topic_of_others(settings: Settings) -> str:
    """The topic on a broker that is not managed here; "" if there is none."""
    return "" if settings.kafka.managed or kafka.topic_id(settings) is None else settings.topic


def _objects(settings: Settings, mirror: Mirror) -> list[str]:
    """The keys of this pipeline's objects: not what else is under the same address."""
    own = (
        mirror.key(settings.bronze) + "/",
        f"{accepted_gaps.OBJECTS}/",
        "locks/",
        mirror.key(alert_history.path_of(settings).parent) + "/",
    )
    keys = [one.key for one in mirror.store.list("")]
    return [key for key in keys if key.startswith(own) or key == POINTER or generations.is_silver(key)]


def refuse_while_running(settings: Settings) -> None:
    """Raises AlreadyRunning with each part of the pipeline that runs, its pid and the command that stops it."""
    records = service_records.read(settings.state)
    supervised = records.supervisor() is not None
    running = [f"supervisor (pid {records.supervisor_pid})"] if supervised else []
    left = {} if supervised else orphans.find(settings)
    with_all = False
    for service in services.ALL:
        if by_hand := services.started_by_hand(settings, service):
            running.append(f"{service.title} ({by_hand})")
            with_all = True
        elif processes := left.get(service.name):
            running.append(f"{service.title} (pid {processes[0].pid})")
        elif service.name in services.JOBS and (
            pid := writer_lock.holder(writer_lock.lock_path(settings, service.name))
        ):
            running.append(f"{service.title} (pid {pid})")
    if running:
        verb = "runs" if len(running) == 1 else "run"
        raise AlreadyRunning(f"{', '.join(running)} {verb}", f"ventes stop{' --all' if with_all else ''}")


def carry_out(settings: Settings, wanted: Removal, say: Callable[[str], None]) -> None:
    """Remove it, the topic first: after a crash in between the tables are complete, and no topic is read again."""
    if wanted.topic:
        _delete_topic(settings, wanted.topic)
        say(f"deleted topic {wanted.topic}")
    if wanted.store and (mirror := places.of(settings.lake)) is not None:
        with ExitStack() as leases:  # nobody begins to write meanwhile
            for job in services.JOBS:
                leases.enter_context(writer_lock.WriterLock(writer_lock.lock_path(settings, job), say))
            # the logs first: a table without one is not read, and a second reset removes the rest
            mirror.store.delete(sorted(_objects(settings, mirror), key=lambda key: "/_delta_log/" not in key))
        mirror.store.delete([lease.key_of(job) for job in services.JOBS])
        say(f"removed {wanted.store}")
    for path in wanted.paths:
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()  # for a symbolic link only the link: its target was not created by the pipeline
        except OSError as error:
            raise VentesError(
                f"{path} cannot be removed: {error.strerror}", "fix that and run `ventes reset` again"
            ) from None
        say(f"removed {path}")
    for folder in (settings.bronze.parent, settings.silver, settings.lake):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _delete_topic(settings: Settings, topic: str) -> None:
    config = kafka.client_config(settings, log_level=0)
    del config["logger"]
    with kafka.made(AdminClient, config) as client:
        try:
            client.delete_topics([topic], operation_timeout=10)[topic].result(15)
        except KafkaException as error:
            raise VentesError(f"topic {topic!r} cannot be deleted: {error.args[0].str()}", "ask its owner") from None
