"""`ventes rebuild silver`: builds Silver again from the raw bytes in Bronze, with the present rules.

Each message gets a new verdict, so after a change of rules, zones or thresholds rejected sales that are valid now
become clean, once. The new tables are written to a staging folder <lake>/.rebuild, and an interrupted rebuild continues
there; readers use the old tables until the two folders are exchanged. On an object store the new tables are the next
generation of Silver, `silver-<n>/`, and instead of the exchange an object is replaced that says which generation counts
(ventes.store.mirror). State after a crash:

    while judging             staging has its mark; the next rebuild continues, or starts again if the rules changed
    before the exchange       the same, and no message is left to judge
    after the exchange        Silver is the new one; staging, now the old tables, has no mark and is deleted
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ventes
from ventes.config import Settings
from ventes.contract import tables as contract
from ventes.deltalog import history
from ventes.deltalog.log import Log
from ventes.engines.embedded.silver import EmbeddedSilver
from ventes.engines.job import Job, wait_for_predecessor
from ventes.engines.silver_loop import SilverLoop
from ventes.errors import LakeDamaged, StoreUnavailable, VentesError
from ventes.lake import tables, writer_lock
from ventes.lake.doubled_rows import surplus_of
from ventes.lake.open_tables import OpenTables
from ventes.lake.positions import Position, behind, furthest, positions
from ventes.lake.tables import path_of
from ventes.operations import generations
from ventes.operations.swap_folders import swap_folders
from ventes.runtime.failpoints import failpoint
from ventes.runtime.files import sync_folder
from ventes.runtime.heartbeat import Reporter
from ventes.runtime.stop import Stopper
from ventes.store import places
from ventes.supervise import control, services

MARK = ".rebuild"
"""File in the folder of a rebuild, kept until the next one: the rules that it used."""
Say = Callable[[str], None]
STORE_SECONDS = 5.0
"""Pause before an object store that did not answer is asked again."""
HOLD_SECONDS = services.SILVER.stop_seconds + 30.0
"""Timeout in seconds until the Silver job is down."""

_log = logging.getLogger("ventes.silver")


@dataclass(frozen=True)
class Rebuilt:
    """The result of a rebuild."""

    clean: int
    rejected: int
    before: tuple[int, int] | None
    """(clean, rejected) of the tables that were replaced; None if there were none."""
    seconds: float


def rebuild(settings: Settings, say: Say, progress: Say, stopper: Stopper) -> Rebuilt | None:
    """Rebuild Silver; None if `stopper` ended it before it was complete (the next call continues).

    The Silver job is held for that time, if the supervisor runs it. Raises AlreadyRunning if it was started by hand,
    VentesError if there is no Bronze table or no free space.
    """
    began = time.monotonic()
    if not history.there(settings.bronze):
        raise VentesError(f"there is no Bronze table at {places.shown(settings.bronze)}", "`ventes start` makes one")
    if surplus := surplus_of(Log.open(settings.bronze)):
        raise VentesError(
            f"{settings.bronze} holds {surplus:,} rows more than its job wrote: another program changed it",
            "`ventes start`: the Bronze job removes rows that are there twice, and names others",
        )
    with _job_held(settings, say), writer_lock.WriterLock(writer_lock.lock_path(settings, "silver")):
        before = _count(settings)
        staging = _prepare(settings, say)
        if not _judge(staging, progress, stopper):
            return None
        failpoint("rebuild.before_exchange")
        if (mirror := places.of(settings.lake)) is not None:
            generations.make_current(mirror, staging.silver)
        failpoint("rebuild.after_pointer")
        swap_folders(staging.silver, settings.silver)
        failpoint("rebuild.after_exchange")
        shutil.rmtree(staging.lake)
        if mirror is not None:
            generations.remove_others(mirror)
        after = _count(settings) or (0, 0)
        result = Rebuilt(*after, before, time.monotonic() - began)
        _log.info("rebuilt from Bronze in %.1f s: %d clean + %d rejected rows", result.seconds, *after)
        return result


# -- the job that runs ----------------------------------------------------------------------------


@contextmanager
def _job_held(settings: Settings, say: Say) -> Iterator[None]:
    """Hold the Silver job. The supervisor starts it again afterwards, also if this process is killed."""
    client = control.connect(settings.state)
    if client is None:
        wait_for_predecessor(settings, "silver")
        yield
        return
    with client:
        say("keeping the Silver job down during the rebuild; readers keep the old tables")
        starts_again = _hold(client)
        wait_for_predecessor(settings, "silver")
        try:
            yield
        finally:
            if starts_again:
                say("the supervisor starts the Silver job again")


def _hold(client: control.Client) -> bool:
    """Hold the Silver job while `client` is open; returns when it is down, and whether it will be started again."""
    try:
        client.send("hold", service=services.SILVER.name, by="ventes rebuild silver")
        held = client.receive(HOLD_SECONDS)
    except control.Disconnected:
        raise VentesError("the supervisor has just ended", "run the command again") from None
    if held is None:
        raise VentesError(f"the Silver job has not ended within {HOLD_SECONDS:.0f} s", "`ventes logs silver` says why")
    return bool(held["starts_again"])


# -- the staging folder ---------------------------------------------------------------------------


def staging_of(settings: Settings) -> Settings:
    """The settings with <lake>/.rebuild as their lake."""
    lake = settings.lake / ".rebuild"
    return settings.model_copy(
        update={"paths": settings.paths.model_copy(update={"lake": lake, "state": lake / "state"})}
    )


def _prepare(settings: Settings, say: Say) -> Settings:
    """The staging folder, with the result so far of an interrupted rebuild with the same rules."""
    staging = staging_of(settings)
    mark = staging.silver / MARK
    (settings.silver / MARK).unlink(missing_ok=True)
    rules = _rules(settings)
    is_next = not settings.on_a_store or generations.is_next(staging.silver)
    if mark.is_file() and mark.read_text(encoding="utf-8") == rules and is_next:
        say("going on with the rebuild that was interrupted")
        return staging
    if staging.lake.exists():
        shutil.rmtree(staging.lake)
    staging.silver.mkdir(parents=True)
    if (mirror := places.of(settings.lake)) is not None:
        generations.prepare(mirror, staging.silver)
    mark.write_text(rules, encoding="utf-8")
    staging.bronze.parent.mkdir()
    os.symlink(settings.bronze, staging.bronze)
    sync_folder(staging.silver)
    return staging


def _rules(settings: Settings) -> str:
    """A hash of everything that a verdict or a row of Silver depends on: settings, tables, judging code, SQL."""
    parts = [settings.rules.model_dump_json(), settings.source.model_dump_json()]
    package = Path(ventes.__file__).parent
    files = {*package.rglob("*.sql"), *(package / "contract").rglob("*.py"), *(package / "judging").rglob("*.py")}
    parts += [file.read_text(encoding="utf-8") for file in sorted(files)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


# -- the work -------------------------------------------------------------------------------------


class _Progress(Reporter):
    """Prints the loop's heartbeat as a progress line, and stores the reason while it waits."""

    def __init__(self, staging: Settings, total: int, progress: Say) -> None:
        super().__init__(staging.state, "silver", "embedded")
        self.waited_for = ""
        self._total = total
        self._progress = progress

    def update(self, **changes: object) -> None:
        super().update(**changes)
        if self.record.phase == "waiting":
            self.waited_for = self.record.reason
        if self.record.lag is not None:
            done = max(0, self._total - self.record.lag)
            self._progress(f"judging messages again: {done:,} of {self._total:,}")


class _UntilDone(Stopper):
    """Ends the loop when it has processed `rows`, when it would become idle, and when the user's stopper is set."""

    def __init__(self, outer: Stopper, reporter: Reporter, rows: int) -> None:
        super().__init__()
        self._outer = outer
        self._reporter = reporter
        self._upto = reporter.record.total + rows

    @property
    def stopping(self) -> bool:
        return self._outer.stopping or super().stopping or self._reporter.record.total >= self._upto

    def wait(self, seconds: float) -> bool:
        self.stop()
        return True


def _judge(staging: Settings, progress: Say, stopper: Stopper) -> bool:
    """Run Silver in the staging folder until it has all rows of Bronze; False if told to stop before.

    Later rows of Bronze may be missing: the Silver job processes them afterwards.
    """
    wanted = positions(staging.bronze)
    reporter = _Progress(staging, tables.snapshot(staging, contract.of(staging).bronze).rows, progress)
    while True:
        before = reporter.record.total
        until = _UntilDone(stopper, reporter, max(1, behind(_position(staging), wanted)))
        opened = OpenTables(staging)
        engine = EmbeddedSilver(staging, opened, rejudge=True)
        job = Job(staging, _log, reporter, until)
        try:
            SilverLoop(job, engine, opened, max_rows=staging.embedded.max_rows_per_batch).run()
        except StoreUnavailable as error:
            progress(f"waiting: {error.message}")
            if stopper.wait(STORE_SECONDS):
                return False
            continue
        if stopper.stopping:
            return False
        if not behind(_position(staging), wanted):
            return True
        if reporter.record.total == before:
            raise VentesError(
                f"the rebuild could not continue: {reporter.waited_for or 'Bronze gave no rows'}",
                "fix that, then `ventes rebuild silver` continues where it was",
            )


def _position(settings: Settings) -> Position:
    return furthest(*(positions(path_of(settings, table)) for table in contract.of(settings).outcomes))


def _count(settings: Settings) -> tuple[int, int] | None:
    """(clean, rejected) rows of Silver; None if there is none, or it cannot be read."""
    try:
        clean, rejected = (tables.snapshot(settings, table).rows for table in contract.of(settings).outcomes)
    except LakeDamaged:  # also a reason to rebuild
        return None
    return clean, rejected
