"""Checks before anything is started: ports, folders, disks, jars, Java.

Each error names the value, the process that uses it, and the key of ventes.toml that changes it.
"""

from __future__ import annotations

import os

from ventes.config import Settings
from ventes.errors import InstallError, VentesError
from ventes.runtime import child_environment, disk, private_files
from ventes.supervise import orphans, services


def check(settings: Settings) -> None:
    """Raise a VentesError for the first problem that would prevent the start. Creates the folders of the settings;
    changes nothing else."""
    engine(settings)
    settings.page.login.require_secret()
    child_environment.allow_open_files()
    _folders(settings)
    private_files.check(settings)
    _ports(settings)
    if settings.kafka.managed or settings.engine == "spark":
        _java(settings)


def _folders(settings: Settings) -> None:
    for name in ("state", "lake", "logs"):
        key, folder = f"paths.{name}", settings.folders[name]
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise VentesError(f"{key} = {folder} cannot be made: {error.strerror}", _move(settings, key)) from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise VentesError(f"{key} = {folder} cannot be written by this user", _move(settings, key))
        free = disk.free_mb(folder)
        if free < settings.maintenance.min_free_mb:
            raise VentesError(
                f"{key} = {folder}: its disk ({disk.mount_of(folder)}) has {free} MB free, "
                f"maintenance.min_free_mb asks for {settings.maintenance.min_free_mb}",
                f"free some space, or {_move(settings, key)}",
            )


def _ports(settings: Settings) -> None:
    ours: set[int] | None = None
    for service in services.enabled(settings):
        for port, holder in services.taken_ports(settings, service):
            if ours is None:  # the pipeline's own: by hand, or left by a killed supervisor
                ours = _our_pids(settings)
            if holder is None or holder.pid not in ours:
                raise VentesError(services.in_the_way(port, holder), f"stop that, or {_move(settings, port[0])}")


def _our_pids(settings: Settings) -> set[int]:
    pids = {process.pid for living in orphans.find(settings).values() for process in living}
    for service in services.ALL:
        if by_hand := services.started_by_hand(settings, service):
            pids.add(by_hand.pid)
    return pids


def _java(settings: Settings) -> None:
    from ventes.install import jars, java

    java.find_java(settings)
    if settings.kafka.managed and not jars.ready(settings.jars, "kafka"):
        raise InstallError(
            f"the broker's pinned jars in {settings.jars} are not complete", "bash start_pipeline.sh fetches them"
        )


def engine(settings: Settings) -> None:
    """Raise InstallError if the engine of the settings is not installed here, VentesError if it cannot run here."""
    if settings.engine == "spark":
        from ventes.install import spark

        spark.require(settings.jars)
        child_environment.require_user()


def _move(settings: Settings, key: str) -> str:
    return f"set another {key} in {settings.config_file}"
