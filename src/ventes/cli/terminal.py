"""What goes to a terminal: data can neither move the cursor there nor change colours, title or writing direction.

`guard` puts itself before stdout and stderr where they are terminals. Control characters and those of the writing
direction become \\xNN escapes then, in text and in bytes, in every command. To a pipe or a file everything goes as
it is.
"""

from __future__ import annotations

import codecs
import io
import sys
from typing import BinaryIO, cast

from ventes.runtime.logs import printable

_LINE_START = b"\r\033[K"
"""Back to the beginning of the line, which is emptied."""


class _Escaping(io.BufferedIOBase):
    """The bytes of a terminal, with what it would obey written as an escape."""

    def __init__(self, out: BinaryIO, encoding: str) -> None:
        self.out = out
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("backslashreplace")

    def write(self, data: bytes) -> int:  # type: ignore[override]  # as bytes-like as TextIOWrapper gives it
        text = self._decoder.decode(bytes(data))
        self.out.write(printable(text).encode(self._encoding, "backslashreplace"))
        return len(data)

    def flush(self) -> None:
        self.out.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.out.fileno()


def guard() -> None:
    """Let nothing but harmless text reach a terminal for the rest of this process. Safe to repeat."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and stream.isatty() and not isinstance(stream.buffer, _Escaping):
            stream.flush()
            escaping = _Escaping(stream.buffer, stream.encoding)
            harmless = io.TextIOWrapper(
                cast(BinaryIO, escaping), stream.encoding, "backslashreplace", line_buffering=True
            )
            setattr(sys, name, harmless)


def progress(text: str) -> None:
    """Show `text` in place of the line before, on stderr, if that is a terminal."""
    stream = sys.stderr
    if stream is None or not stream.isatty():
        return
    stream.flush()
    out = stream.buffer.out if isinstance(stream.buffer, _Escaping) else stream.buffer
    out.write(_LINE_START + printable(text).encode(stream.encoding, "backslashreplace"))
    out.flush()
