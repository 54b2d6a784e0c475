"""The project's Python: .venv, and the packages that pip installs from locks. Standard library only.

An error of pip or venv is reported as a cause and a next step; their full output is in <state>/install-*.log.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ventes.errors import InstallError
from ventes.runtime import child_environment
from ventes.runtime.files import write_if_changed

MEGABYTE = 1_000_000
AGAIN = "then run `bash start_pipeline.sh` again: it continues from here"


_COMMAND = """\
#!/bin/sh
'''exec' {} "$0" "$@"
' '''
import sys

from ventes.cli import main

sys.exit(main())
"""
"""A shell script that runs itself as Python, because a path after #! must not contain a blank."""


class Environment:
    """<root>/.venv."""

    def __init__(self, root: Path, state: Path, say: Callable[[str], None], pip: Sequence[str] | None = None) -> None:
        """`state`: the folder for logs. `pip`: the command to run instead of .venv's."""
        self.folder = root / ".venv"
        self.python = self.folder / "bin" / "python"
        self._root = root
        self._state = state
        self._say = say
        self._pip = [*(pip or (str(self.python), "-m", "pip")), "--disable-pip-version-check", "--no-input"]

    @property
    def is_mine(self) -> bool:
        """Whether this process runs in it."""
        return Path(sys.prefix).resolve() == self.folder.resolve()

    def has(self, package: str) -> bool:
        """Whether a package is installed in it."""
        return any(self.folder.glob(f"lib/python*/site-packages/{package}"))

    def create(self) -> None:
        """Create it, empty. Raises InstallError; also if it is a link: others may use its target."""
        if self.folder.is_symlink():
            raise InstallError(
                f"{self.folder} is a link to {os.readlink(self.folder)}, which would be emptied", f"rm {self.folder}"
            )
        # not the one inside the .venv that is about to be deleted
        base = getattr(sys, "_base_executable", sys.executable)
        done = _run([base, "-m", "venv", "--clear", str(self.folder)])
        if done.returncode:
            raise venv_error(done.stdout)

    def install_lock(self, step: str, lock: Path, space_mb: int) -> None:
        """Install a lock's packages, each with its hash; pip keeps what it downloaded, so a second try is quicker.

        Raises InstallError; also if the disk has less than `space_mb` megabytes free.
        """
        require_space(self._root, space_mb)
        total = len(re.findall(r"^\S+==", lock.read_text(encoding="utf-8"), re.MULTILINE))
        self._say(f"{step}: {total} from requirements/{lock.name}")
        log = self._state / f"install-{step}.log"
        command = [*self._pip, "install", "--progress-bar", "off", "--require-hashes", "-r", str(lock)]
        seen = 0
        with (
            log.open("w", encoding="utf-8") as kept,
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=_clean(),
                close_fds=False,  # pip inherits the installation's lock, see steps._alone
            ) as pip,
        ):
            assert pip.stdout is not None
            for line in pip.stdout:
                kept.write(line)
                if line.startswith("Collecting "):
                    seen += 1
                    if seen % 10 == 0:
                        self._say(f"{step}: {seen}/{total}")
                elif line.startswith(("Building wheels", "Installing collected")):
                    self._say(f"{step}: {line.split(':')[0].strip().lower()}")
        if pip.returncode:
            raise self._pip_error(step, log)

    def install_project(self) -> None:
        """Install bin/ventes and make `ventes` importable from this folder; nothing is copied. Idempotent.

        Not with pip: it would write the folder's name into a .pth, which Python reads as ASCII if LC_ALL=C.
        """
        for site in self.folder.glob("lib/python*/site-packages"):
            write_if_changed(site / "ventes.pth", f"{os.path.relpath(self._root / 'src', site)}\n", 0o644)
        write_if_changed(self.folder / "bin" / "ventes", _COMMAND.format(shlex.quote(str(self.python))), 0o755)

    def _pip_error(self, step: str, log: Path) -> InstallError:
        lines = [line.strip() for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
        text = "\n".join(lines)
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:] or ["pip gave no reason"]
        if "No space left" in text:
            return InstallError(
                f"{step}: the disk of {self._root} or of the temporary folder is full", f"make room, {AGAIN}"
            )
        if "DO NOT MATCH THE HASHES" in text:
            return InstallError(
                f"{step}: a package is not the one that is locked: {errors[0]}",
                "something on the way changes files (a proxy, an index of your own?); nothing of it was installed; "
                f"all of it: {log}",
            )
        if "No matching distribution" in text or "Could not find a version" in text:
            return InstallError(
                f"{step}: {errors[-1]} (this is Python {_version(2)})",
                f"check the network and the index (PIP_INDEX_URL), or use Python 3.10 to 3.13, {AGAIN}; "
                f"all of it: {log}",
            )
        return InstallError(f"{step}: {errors[-1]}", f"check the network (HTTPS_PROXY), {AGAIN}; all of it: {log}")


def require_space(folder: Path, megabytes: int) -> None:
    """Raise InstallError if the disk of `folder` has less free."""
    # not runtime.disk: it needs psutil, which may not be installed yet
    free = shutil.disk_usage(folder).free // MEGABYTE
    if free < megabytes:
        raise InstallError(
            f"{folder} has {free} MB free, the installation needs {megabytes} MB", "make room, then run it again"
        )


def venv_error(output: str) -> InstallError:
    """The error for a failed `python -m venv`."""
    if "ensurepip" in output:
        return InstallError(
            f"Python {_version(2)} here cannot make an environment: its venv part is not installed",
            f"Debian and Ubuntu: sudo apt install python{_version(2)}-venv, then run it again",
        )
    return InstallError(f".venv could not be made: {_last(output)}", "fix that, then run it again")


def _version(parts: int) -> str:
    return ".".join(map(str, sys.version_info[:parts]))


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        env=_clean(),
        close_fds=False,
    )


def _clean() -> dict[str, str]:
    """The environment for another Python, without variables that would make it import this one's modules."""
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    return child_environment.variables(kept)


def _last(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason was given"
