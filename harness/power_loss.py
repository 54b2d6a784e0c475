"""What power loss leaves of a folder: a process is traced, and what it did not bring to the disk is dropped.

The model is the strictest that POSIX allows. A file holds what was written before its last fsync, and nothing if there
was a write after it. A name exists if its folder was fsynced after the name was made, and all folders above likewise.
Only what the traced processes did counts, so trace everything that writes, from its first write on.

    command = traced(["python", "job.py"], folder / "trace")
    ...                                     # run it, kill it
    keep_durable(folder / "lake", image, [folder / "trace"])
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CALLS = (
    "openat,open,creat,write,pwrite64,writev,pwritev,ftruncate,copy_file_range,sendfile,fsync,fdatasync,"
    "rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir"
)
_LINE = re.compile(r"(?P<pid>\d+) +(?P<time>[\d.]+) (?P<rest>.*)")
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(?P<rest>.*)")
_CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_HANDLE = re.compile(r"\d+<(?P<path>/[^>]*)>")


def traced(command: Sequence[str], trace: Path) -> list[str]:
    """`command` under strace, which writes `trace`."""
    return ["strace", "-f", "-y", "-ttt", "-qq", "-s", "0", "-e", f"trace={CALLS}", "-o", str(trace), *command]


@dataclass
class _File:
    dirty: bool = True


@dataclass
class _Disk:
    """Names as processes see them, and those that are on the disk."""

    names: dict[str, _File] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    durable: dict[str, _File | None] = field(default_factory=dict)
    """Path → its file, None for a folder."""
    pending: dict[str, dict[str, _File | bool | None]] = field(default_factory=dict)
    """Folder → name → what it is now; False: gone."""

    def note(self, path: str, what: _File | bool | None) -> None:
        self.pending.setdefault(str(Path(path).parent), {})[path] = what

    def sync(self, path: str) -> None:
        if path in self.names:
            self.names[path].dirty = False
        for name, what in self.pending.pop(path, {}).items():
            if isinstance(what, bool):
                self.durable.pop(name, None)
            else:
                self.durable[name] = what


def keep_durable(folder: Path, image: Path, traces: Iterable[Path]) -> int:
    """Make `image` what is left of `folder`, which itself counts as durable. Returns the number of names dropped."""
    disk = _Disk()
    for name, arguments in _calls(traces):
        _apply(disk, name, arguments)
    image.mkdir(parents=True)
    dropped = 0
    for path in sorted(folder.rglob("*")):
        above = [str(one) for one in path.parents if one.is_relative_to(folder) and one != folder]
        if str(path) not in disk.durable or not all(one in disk.durable for one in above):
            dropped += 1
            continue
        target = image / path.relative_to(folder)
        if path.is_dir():
            target.mkdir()
        elif (file := disk.durable[str(path)]) is not None and file.dirty:
            target.write_bytes(b"")
        else:
            shutil.copy2(path, target)
    return dropped


def _apply(disk: _Disk, name: str, arguments: str) -> None:
    texts = [text for text in _TEXT.findall(arguments) if text.startswith("/")]
    handles = [match["path"] for match in _HANDLE.finditer(arguments)]
    if name in {"openat", "open", "creat"} and texts:
        if "O_CREAT" in arguments and texts[0] not in disk.names:
            disk.names[texts[0]] = _File()
            disk.note(texts[0], disk.names[texts[0]])
        elif "O_TRUNC" in arguments and texts[0] in disk.names:
            disk.names[texts[0]].dirty = True
    elif name in {"fsync", "fdatasync"} and handles:
        disk.sync(handles[0])
    elif name.startswith("rename") and len(texts) == 2:
        file = disk.names.pop(texts[0], None)
        if file is not None:
            disk.names[texts[1]] = file
            disk.note(texts[0], False)
            disk.note(texts[1], file)
    elif name.startswith("link") and len(texts) == 2:
        if texts[0] in disk.names:
            disk.names[texts[1]] = disk.names[texts[0]]
            disk.note(texts[1], disk.names[texts[0]])
    elif name in {"unlink", "unlinkat", "rmdir"} and texts:
        disk.names.pop(texts[0], None)
        disk.note(texts[0], False)
    elif name in {"mkdir", "mkdirat"} and texts:
        disk.folders.add(texts[0])
        disk.note(texts[0], None)
    elif handles and handles[-1 if name == "copy_file_range" else 0] in disk.names:
        disk.names[handles[-1 if name == "copy_file_range" else 0]].dirty = True


def _calls(traces: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """(system call, its arguments) of those that succeeded, of all traces, in order."""
    found: list[tuple[float, str, str]] = []
    for trace in traces:
        begun: dict[str, str] = {}
        for line in trace.read_text("utf-8", "replace").splitlines():
            if (match := _LINE.match(line)) is None:
                continue
            rest = match["rest"]
            if rest.endswith("<unfinished ...>"):
                begun[match["pid"]] = rest.removesuffix("<unfinished ...>")
                continue
            if resumed := _RESUMED.match(rest):
                rest = begun.pop(match["pid"], "") + resumed["rest"]
            if (call := _CALL.match(rest)) and int(call["result"]) >= 0:
                found.append((float(match["time"]), call["name"], call["arguments"]))
    for _, name, arguments in sorted(found, key=lambda one: one[0]):
        yield name, arguments
