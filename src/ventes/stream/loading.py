"""Reads a declaration: a Python file that makes exactly one Stream."""

from __future__ import annotations

import traceback
from functools import lru_cache
from pathlib import Path

from ventes.stream.declaration import Stream
from ventes.stream.declared import DeclarationError


@lru_cache(maxsize=8)
def load(file: Path) -> Stream:
    """The Stream that `file` declares; read once per process.

    Raises DeclarationError, which names the file, the line and the mistake.
    """
    try:
        source = file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise DeclarationError(
            f"{file} cannot be read: {error}", hint="set `stream` in ventes.toml to the file of a declaration"
        ) from None
    found: dict[str, object] = {"__name__": f"ventes_stream_{file.stem}", "__file__": str(file)}
    try:
        exec(compile(source, str(file), "exec"), found)
    except DeclarationError as error:
        raise DeclarationError(f"{file}, line {error.line}: {error.what}") from None
    except SyntaxError as error:
        raise DeclarationError(f"{file}, line {error.lineno}: {error.msg}") from None
    except Exception as error:
        raise DeclarationError(f"{file}, line {_line(error, file)}: {type(error).__name__}: {error}") from None
    streams = {id(value): value for value in found.values() if isinstance(value, Stream)}
    if len(streams) != 1:
        raise DeclarationError(
            f"{file} makes {len(streams)} streams; a declaration makes one", hint="STREAM = Stream(…)"
        )
    return next(iter(streams.values()))


def _line(error: Exception, file: Path) -> int:
    """The last line of `file` on the way to the error."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return (lines[-1] if lines else 0) or 0
