"""Small files written so that a reader sees the old or the new content, never a part. No package is needed."""

from __future__ import annotations

import os
from pathlib import Path

from ventes.store.local import sync, temporary_beside


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace `path` by a file that holds `text` (UTF-8) with the permissions `mode`. Raises OSError.

    The new file is not synced: after power loss `path` may be the old one, or empty.
    """
    temporary = temporary_beside(path)
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as file:
            # sets the mode whatever the umask is, and if an interrupted write left the file
            os.fchmod(file.fileno(), mode)
            file.write(text.encode("utf-8"))
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_if_changed(path: Path, text: str, mode: int = 0o600) -> bool:
    """Write `text` to `path` unless it has it already; True if it was written. Raises OSError."""
    if path.is_file() and path.read_bytes() == text.encode("utf-8"):
        return False
    write_atomically(path, text, mode)
    return True


def sync_file(path: Path) -> None:
    """Flush what others wrote to `path` to the disk. Raises OSError."""
    sync(path)


def sync_folder(folder: Path) -> None:
    """Flush the directory entries of `folder` to the disk. Raises OSError."""
    sync(folder)
