"""Log lines, rotated by size, with control characters escaped and secrets removed.

`setup("bronze", settings)` writes the process's log to the service's file, and to the terminal if there is one; with
`logs.json` to standard output instead, as JSON, unless the supervisor started the process: then `ventes start
--foreground` writes them.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import re
import sys
import time
from io import TextIOWrapper
from pathlib import Path

from ventes.config import SUPERVISED_VARIABLE, Settings
from ventes.runtime import private_files
from ventes.runtime.redaction import keep_secret, redacted

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """`text` with control and direction characters as \\xNN escapes: data cannot forge or hide a log line."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match.group()):02x}", text)


_FORMAT = "%(asctime)s %(levelname)-7s %(message)s"


class _Line(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(printable(line) for line in redacted(super().format(record)).split("\n"))


_PARTS = re.compile(r"(\d{4}-\d\d-\d\dT\S+Z) (DEBUG|INFO|WARNING|ERROR|CRITICAL) +(.*)", re.DOTALL)


def as_json(service: str, line: str) -> str:
    """A line of a service's log as a JSON object: service, time (ISO 8601, UTC), level, message.

    A line that continues the one before it, as those of a traceback do, has no time and no level of its own.
    """
    parts = _PARTS.fullmatch(line)
    found = {"service": service}
    if parts is not None:
        found |= {"time": parts[1], "level": parts[2].lower()}
    return json.dumps({**found, "message": parts[3] if parts else line}, ensure_ascii=False)


class _JsonLine(_Line):
    """One JSON object per record, a traceback within its message."""

    def __init__(self, service: str) -> None:
        super().__init__(_FORMAT)
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        return as_json(self._service, super().format(record))


class LogFile(logging.handlers.RotatingFileHandler):
    """A rotated log that only its user can read, and that is opened again if its file was removed or moved."""

    def __init__(self, path: Path, max_bytes: int, keep: int) -> None:
        super().__init__(path, maxBytes=max_bytes, backupCount=keep, encoding="utf-8")

    def _open(self) -> TextIOWrapper:
        file = os.fdopen(private_files.open_log(Path(self.baseFilename)), "wb")
        return TextIOWrapper(file, encoding="utf-8", errors="backslashreplace")

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self.stream is not None and self._is_gone(self.stream.fileno()):
                self.stream.close()
                self.stream = self._open()
        except Exception:  # disk full or permission denied: logging must not end a job
            self.handleError(record)
            return
        super().emit(record)

    def _is_gone(self, descriptor: int) -> bool:
        """Whether the log's path is another file than the open one, or no file."""
        try:
            there = os.stat(self.baseFilename)
        except FileNotFoundError:
            return True
        here = os.fstat(descriptor)
        return (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino)


def note(service: str, settings: Settings, message: str) -> None:
    """Write an error of a service into its log, for one that cannot do it any more. Raises OSError or UnsafePlace."""
    file = LogFile(settings.log(service), max_bytes=0, keep=0)  # the service itself rotates its log
    try:
        file.setFormatter(_Line(_FORMAT))
        file.handle(logging.LogRecord(f"ventes.{service}", logging.ERROR, "", 0, message, None, None))
    finally:
        file.close()


def setup(service: str, settings: Settings) -> logging.Logger:
    """Configure the root logger for one service; returns the logger `ventes.<service>`.

    Raises UnsafePlace if tables, state or logs would be kept where another user could change them.
    """
    keep_secret(settings.secrets())
    private_files.check(settings)
    line = _Line(_FORMAT)
    handlers: list[logging.Handler] = [
        LogFile(settings.log(service), settings.logs.max_mb * 1_000_000, settings.logs.keep)
    ]
    for handler in handlers:
        handler.setFormatter(line)
    if settings.logs.json_lines and not os.environ.get(SUPERVISED_VARIABLE):
        shown = logging.StreamHandler(sys.stdout)
        shown.setFormatter(_JsonLine(service))
        handlers.append(shown)
    elif sys.stderr is not None and sys.stderr.isatty():
        shown = logging.StreamHandler()
        shown.setFormatter(line)
        handlers.append(shown)
    root = logging.getLogger()
    root.handlers[:] = handlers
    root.setLevel(logging.WARNING)
    logger = logging.getLogger(f"ventes.{service}")
    logging.getLogger("ventes").setLevel(settings.logs.level.upper())
    return logger
