"""Checks the owner and mode of the folders and logs that the pipeline writes, and opens logs safely.

A place is refused if another user could have created it or could replace it: it belongs to another user, others may
write it, or its path goes through a link of another user. root is trusted.
Folders with the sticky bit (/tmp) are accepted for logs; another user may already have a file of that name there.
"""

from __future__ import annotations

import grp
import logging
import os
import pwd
import stat
from pathlib import Path

from ventes.config import LOG_NAMES, Settings
from ventes.errors import UnsafePlace
from ventes.runtime.umask import UMASK

_log = logging.getLogger("ventes.files")

# -- places -----------------------------------------------------------------------------------


def check(settings: Settings) -> None:
    """Raise UnsafePlace for the first folder or log that must not be used; restrict modes that an older release set.

    Folders that do not exist are accepted if this user will create them.
    """
    for name, folder in settings.folders.items():
        if why := unsafe_folder(folder, shared=name == "logs"):
            raise UnsafePlace(f"paths.{name} = {folder} {why}", _mend(settings, f"paths.{name}", folder, why))
    for folder in own_folders(settings):
        if why := unsafe_folder(folder, inner=True):
            raise UnsafePlace(f"{folder} {why}", _mend(settings, "paths.lake", folder, why))
        _close(folder)
    for log in map(settings.log, LOG_NAMES):
        if why := unsafe_log(log):
            raise UnsafePlace(f"the log {log} {why}", _mend(settings, "paths.logs", log, why))
        for file in (log, *log.parent.glob(f"{log.name}.[0-9]*")):
            _close(file)


def own_folders(settings: Settings) -> list[Path]:
    """Existing folders of the lake that only the pipeline creates."""
    named = (
        settings.bronze.parent,
        settings.silver,
        settings.checkpoints,
        settings.lake / "locks",
        settings.lake / "alerts",
    )
    return [folder for folder in named if os.path.lexists(folder)]


def _mend(settings: Settings, key: str, path: Path, why: str) -> str:
    step = f"chmod go-w {path}" if "may be written" in why else f"look at it (ls -ld {path}), remove it"
    return f"{step}, or set another {key} in {settings.config_file}"


def unsafe_folder(path: Path, user: int | None = None, shared: bool = False, inner: bool = False) -> str:
    """Why `user` (default: this process's) must not keep data in the folder `path`; '' if it may.

    `shared`: a folder that every user may write is accepted if it has the sticky bit (/tmp).
    `inner`: write permission for others is accepted, because it is in a folder that only `user` can change.
    """
    user = os.geteuid() if user is None else user
    try:
        for part in (*reversed(path.parents), path):
            link = os.lstat(part)
            if stat.S_ISLNK(link.st_mode) and link.st_uid not in (user, 0):
                through = "" if part == path else f"leads through {part}, which "
                return f"{through}is a link made by {user_name(link.st_uid)}, another user"
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        return f"cannot be looked at: {error.strerror}"
    return _unsafe_real_folder(Path(os.path.realpath(path)), user, shared, inner)


def _unsafe_real_folder(path: Path, user: int, shared: bool, inner: bool) -> str:
    for part in (*reversed(path.parents), path):
        try:
            info = os.stat(part)
        except FileNotFoundError:
            return ""  # this process will create it
        except OSError as error:
            return f"cannot be looked at: {error.strerror}"
        mode = f"mode {stat.S_IMODE(info.st_mode):04o}"
        sticky = bool(info.st_mode & stat.S_ISVTX)
        if not stat.S_ISDIR(info.st_mode):
            return "is a file, not a folder" if part == path else f"is in {part}, which is a file, not a folder"
        if part != path:
            if info.st_mode & stat.S_IWOTH and not sticky:
                return f"is in {part}, which every user may write ({mode})"
        elif info.st_uid not in (user, 0):
            return f"belongs to {user_name(info.st_uid)}, another user"
        elif not inner and not (shared and sticky) and (whom := others_who_write(info, user)):
            return f"may be written by {whom} ({mode})"
    return ""


def unsafe_log(path: Path, user: int | None = None) -> str:
    """Why `user` must not write to the log file `path`; '' if it may, or if there is none yet."""
    user = os.geteuid() if user is None else user
    try:
        info = os.lstat(path)
        if stat.S_ISLNK(info.st_mode) and not _open_to_others(path.parent):
            info = os.stat(path)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"cannot be looked at: {error.strerror}"
    return _unfit(info, user, _open_to_others(path.parent))


def _unfit(info: os.stat_result, user: int, planted: bool) -> str:
    """`planted`: another user could have put it there."""
    if stat.S_ISLNK(info.st_mode):
        return "is a link, in a folder where every user may put one"
    if not stat.S_ISREG(info.st_mode):
        return "is no regular file"
    if info.st_uid != user and (planted or info.st_uid != 0):
        return f"belongs to {user_name(info.st_uid)}, another user"
    if planted and info.st_nlink > 1:
        return "has a second name somewhere, in a folder where every user may make one"
    return ""


def _open_to_others(folder: Path) -> bool:
    return bool(os.stat(folder).st_mode & (stat.S_IWOTH | stat.S_IWGRP))


def others_who_write(info: os.stat_result, user: int) -> str:
    """Who else may write, as text; '' if no other user. A group with this user as its only member does not count."""
    if info.st_mode & stat.S_IWOTH:
        return "every user of this machine"
    if info.st_mode & stat.S_IWGRP and not private_group(info.st_gid, user):
        return f"the group {group_name(info.st_gid)}"
    return ""


def private_group(group: int, user: int) -> bool:
    """Whether a group is the user's own, with no other member."""
    try:
        person, found = pwd.getpwuid(user), grp.getgrgid(group)
    except KeyError:
        return False
    return person.pw_gid == group and found.gr_name == person.pw_name and set(found.gr_mem) <= {person.pw_name}


def user_name(number: int) -> str:
    """'anna', or 'uid 1000' for one without a name here."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"


def group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return f"gid {number}"


def _close(path: Path) -> None:
    """Remove the permissions of "others" from a folder or log of ours: older releases left them to the umask.

    Group permissions stay if there are no others: they were set on purpose.
    """
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        return
    if info.st_uid == os.geteuid() and info.st_mode & stat.S_IRWXO and not stat.S_ISLNK(info.st_mode):
        os.chmod(path, stat.S_IMODE(info.st_mode) & ~UMASK)
        _log.warning("%s was open to every user (mode %04o), no longer", path, stat.S_IMODE(info.st_mode))


# -- logs -------------------------------------------------------------------------------------


def open_log(path: Path) -> int:
    """A descriptor that appends to the log `path`; it and its folder are made if they are not there.

    No link, pipe or file of another user is opened where one could have been planted. Raises UnsafePlace, OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    planted = _open_to_others(path.parent)
    # O_NONBLOCK: opening a pipe without a reader is an error instead of a wait
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    if planted:
        flags |= os.O_NOFOLLOW
        if why := unsafe_log(path):  # for a better message; the check of the descriptor below is the one that decides
            raise UnsafePlace(f"the log {path} {why}", f"look at it (ls -l {path}), or set another paths.logs")
    descriptor = os.open(path, flags, 0o600)
    info = os.fstat(descriptor)
    if why := _unfit(info, os.geteuid(), planted):
        os.close(descriptor)
        raise UnsafePlace(f"the log {path} {why}", f"look at it (ls -l {path}), or set another paths.logs")
    return descriptor
