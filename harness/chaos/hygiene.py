"""Finds what a running pipeline must not have and what a stopped one must not leave: one sentence each."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import psutil

from harness.chaos.deployment import Deployment
from harness.chaos.watch import ProcessSample
from ventes.lake import writer_lock
from ventes.runtime import disk
from ventes.supervise import control, services
from ventes.supervise.daemon import lock_path

SETTLE_SECONDS = 25.0
"""Time limit for what ends by itself: Spark's JVM, a page's child, a thread that closes a Kafka client."""
SAME_LINE = 60
"""The most repetitions of a log line within a minute."""
LINES = 1_500
"""The most new lines of a log within a minute; Spark writes some for each query that fails."""
HANDLES = 150
"""The most open files of a process above those of its service in the first check."""
DELETED = 40
"""The most open files of a process that are already deleted: those of a compaction."""


def when_settled(look: Callable[[], list[str]], seconds: float = SETTLE_SECONDS) -> list[str]:
    """Repeat `look` until it returns nothing, for up to `seconds`; returns its last result."""
    deadline = time.monotonic() + seconds
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


# -- while it runs --------------------------------------------------------------------------------


def running(deployment: Deployment, expected: Sequence[str]) -> list[str]:
    """Processes, ports and locks of a pipeline whose services `expected` run."""
    found = deployment.services()
    missing = {"supervisor", *expected} - set(found)
    problems = [f"{name} has no process" for name in sorted(missing)]
    families = {name: _family(process) for name, process in found.items()}
    if "supervisor" in found:
        problems += _strangers(deployment, found, families)
        problems += [f"a zombie below the supervisor: {name}" for name in _zombies(found["supervisor"])]
    problems += _ports(deployment, families)
    for job in services.JOBS:
        holder = writer_lock.holder(writer_lock.lock_path(deployment.settings, job))
        if job in expected and holder not in {process.pid for process in families.get(job, ())}:
            problems.append(f"the lock of {job} is held by {holder}, not by its own process")
    return problems


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return [process]


def _strangers(
    deployment: Deployment, found: dict[str, psutil.Process], families: dict[str, list[psutil.Process]]
) -> list[str]:
    """Processes of the pipeline that belong to no service, and services that run twice."""
    known = {process.pid for name, family in families.items() if name != "supervisor" for process in family}
    known.add(found["supervisor"].pid)
    return [f"a process too many: {_described(one)}" for one in deployment.all_processes() if one.pid not in known]


def _zombies(supervisor: psutil.Process) -> list[str]:
    names = []
    with contextlib.suppress(psutil.Error):
        for child in supervisor.children():
            with contextlib.suppress(psutil.Error):
                if child.status() == psutil.STATUS_ZOMBIE:
                    names.append(f"{child.name()} {child.pid}")
    return names


def _ports(deployment: Deployment, families: dict[str, list[psutil.Process]]) -> list[str]:
    """Unexpected listening ports. A Spark job's JVM and Python have some of their own."""
    wanted = set(deployment.ports.values())
    problems = []
    for name, family in families.items():
        spark = any("java" in _name(process) for process in family) and name in services.JOBS
        for process in family if not spark and name != "supervisor" else ():
            with contextlib.suppress(psutil.Error):
                for connection in process.net_connections("tcp"):
                    port = connection.laddr.port if connection.laddr else 0
                    if connection.status == psutil.CONN_LISTEN and port not in wanted:
                        problems.append(f"{name} listens on port {port}")
    return problems


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""


def _described(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return f"pid {process.pid}, parent {process.ppid()}, {' '.join(process.cmdline())[:200]}"
    return f"pid {process.pid}"


def handles(deployment: Deployment, first: dict[str, int]) -> list[str]:
    """Open files per service compared with the first check, which `first` (service → number) records."""
    problems = []
    for name, process in deployment.services().items():
        with contextlib.suppress(psutil.Error):
            number = process.num_fds()
            limit = first.setdefault(name, number) + HANDLES
            if number > limit:
                problems.append(f"{name} has {number} open files, {first[name]} at the first check")
            deleted = [link for link in _links(process) if link.endswith(" (deleted)")]
            if len(deleted) > DELETED:
                problems.append(f"{name} keeps {len(deleted)} deleted files open: {', '.join(deleted[:3])}")
    return problems


def _links(process: psutil.Process) -> Iterator[str]:
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            yield str(link.readlink())


# -- files ----------------------------------------------------------------------------------------

_OWNER = re.compile(r"\.(\d+)-\d+\.tmp$")
"""The pid in the name of a temporary file: `.bronze.json.4711-140.tmp`."""
OLD_SECONDS = 60.0


def leftovers(deployment: Deployment) -> list[str]:
    """Temporary files and folders of processes that have ended."""
    state, lake = deployment.settings.state, deployment.settings.lake
    found = [path for folder in (state, lake) for path in folder.rglob(".*.tmp") if _abandoned(path)]
    found += [path for path in (state / "spark").glob("*-*") if not _lives(path.name.rpartition("-")[2])]
    found += [path for path in deployment.temporary.iterdir() if not _in_use(path)]
    return [f"left behind: {path}" for path in found]


def _abandoned(path: Path) -> bool:
    owner = _OWNER.search(path.name)
    if owner is not None:
        return not _lives(owner[1])
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime > OLD_SECONDS
    return False


def _in_use(path: Path) -> bool:
    """Whether a running process holds this temporary folder: it is locked then."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # its process has just ended, and removed it
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)


def _lives(pid: str) -> bool:
    return pid.isdecimal() and psutil.pid_exists(int(pid))


# -- after `ventes stop` --------------------------------------------------------------------------


def stopped(deployment: Deployment) -> list[str]:
    """Leftovers of a stopped pipeline: processes, ports, locks, its socket."""
    problems = [f"still runs: {_described(process)}" for process in deployment.all_processes()]
    listening = {c.laddr.port for c in psutil.net_connections("tcp") if c.laddr and c.status == psutil.CONN_LISTEN}
    problems += [f"port {port} ({name}) is still taken" for name, port in deployment.ports.items() if port in listening]
    settings = deployment.settings
    for path in (lock_path(settings.state), *(writer_lock.lock_path(settings, job) for job in services.JOBS)):
        if (holder := writer_lock.holder(path)) is not None:
            problems.append(f"{path} is still held, by pid {holder}")
    if control.path_of(settings.state).exists():
        problems.append(f"{control.path_of(settings.state)} is still there")
    return problems


# -- logs -----------------------------------------------------------------------------------------

_STAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d{3}Z ")


class Logs:
    """Reads the new lines of the logs since the last call."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._read: dict[Path, tuple[int, int]] = {}
        """File → (inode, bytes read)."""
        self._asked = time.monotonic()

    def floods(self) -> list[str]:
        """A sentence for each log that repeats a line too often, or grows too much."""
        minutes = max(1.0, (time.monotonic() - self._asked) / 60)
        self._asked = time.monotonic()
        problems = []
        for folder in self._folders:
            for path in sorted([*folder.glob("*.log"), *folder.glob("*.out")]):
                problems += flood(path.name, self._new_lines(path), minutes)
        return problems

    def _new_lines(self, path: Path) -> list[str]:
        try:
            stat = path.stat()
            inode, done = self._read.get(path, (stat.st_ino, 0))
            if inode != stat.st_ino or stat.st_size < done:  # rotated, or emptied by a new process
                done = 0
            with path.open("rb") as file:
                file.seek(done)
                data = file.read()
        except OSError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._read[path] = (stat.st_ino, done + len(whole))
        return whole.decode("utf-8", "replace").splitlines()


def flood(name: str, lines: Sequence[str], minutes: float) -> list[str]:
    """Checks whether these new lines of a log are too many. Pure."""
    problems = []
    if len(lines) > LINES * minutes:
        problems.append(f"{name} grew by {len(lines)} lines in {minutes:.1f} min")
    stamped: dict[str, list[float]] = defaultdict(list)
    plain: Counter[str] = Counter()
    for line in lines:
        stamp = _STAMP.match(line)
        if stamp is None:
            plain[line] += 1
        else:
            at = datetime.fromisoformat(stamp[1] + "+00:00").timestamp()
            stamped[line[stamp.end() :]].append(at)
    for text, times in stamped.items():
        most = _most_within(sorted(times), 60.0)
        if most > SAME_LINE:
            problems.append(f"{name} has a line {most} times within a minute: {text[:200]}")
    if plain and (worst := plain.most_common(1)[0])[1] > SAME_LINE * minutes and worst[0].strip():
        problems.append(f"{name} has a line without a time {worst[1]} times in {minutes:.1f} min: {worst[0][:200]}")
    return problems


def _most_within(times: Sequence[float], seconds: float) -> int:
    """The largest number of these (sorted) times within `seconds`."""
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] > seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def memory(samples: Sequence[ProcessSample]) -> dict[str, dict[str, float]]:
    """Process name → its highest RSS in MB, and that of its last sample."""
    found: dict[str, dict[str, float]] = {}
    for sample in samples:
        one = found.setdefault(sample.name, {"most": 0.0, "last": 0.0, "handles": 0.0})
        one["most"] = max(one["most"], round(sample.rss_mb, 1))
        one["last"] = round(sample.rss_mb, 1)
        one["handles"] = max(one["handles"], sample.handles)
    return found


def disk_of_machine(folder: Path) -> str:
    """The reason why the machine has no space for a run; '' if it has."""
    return disk.shortage(folder, 2_000)
