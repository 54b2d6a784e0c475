"""Readable log lines, rotated by size, with control characters made harmless.

`setup("bronze", settings)` sends the process's log to the guide's file, and to the terminal too if there is one.
"""

from __future__ import annotations

import logging
import logging.handlers
import re
import sys
import time

from ventes.config import Settings

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """`text` with control and direction characters as \\xNN escapes: data cannot forge or hide a log line."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match.group()):02x}", text)


class _Line(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(printable(line) for line in super().format(record).split("\n"))


def setup(service: str, settings: Settings) -> logging.Logger:
    """Configure the root logger for one service; returns the logger `ventes.<service>`."""
    path = settings.log(service)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = _Line("%(asctime)s %(levelname)-7s %(message)s")
    handlers: list[logging.Handler] = [
        logging.handlers.RotatingFileHandler(
            path, maxBytes=settings.logs.max_mb * 1_000_000, backupCount=settings.logs.keep, encoding="utf-8"
        )
    ]
    if sys.stderr is not None and sys.stderr.isatty():
        handlers.append(logging.StreamHandler())
    root = logging.getLogger()
    for handler in handlers:
        handler.setFormatter(line)
    root.handlers[:] = handlers
    root.setLevel(logging.WARNING)
    logger = logging.getLogger(f"ventes.{service}")
    logging.getLogger("ventes").setLevel(settings.logs.level.upper())
    return logger
