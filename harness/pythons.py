"""The unit tests under each Python that is supported, one after the other: `make test-pythons`.

Each has an environment of its own, <folder>/3.N (default: .ventes/pythons), with the locked packages of all engines.
A Python is taken from the PATH (`python3.N`), else from pyenv. One that is not there is named, and that is a failure
unless --there is given.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ventes.config import PROJECT

VERSIONS = ("3.10", "3.11", "3.12", "3.13")
LOCKS = [PROJECT / "requirements" / f"{name}.txt" for name in ("base", "dev", "spark")]


def interpreter(version: str) -> Path | None:
    """The program of a Python, or None if this machine has none."""
    if found := shutil.which(f"python{version}"):
        done = subprocess.run(
            [found, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, check=False
        )
        if done.returncode == 0:  # pyenv's shims are there for versions that are not switched on
            return Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return next(iter(sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True)), None)


def environment(folder: Path, python: Path) -> Path:
    """The Python of an environment in `folder` with what the locks say; made or renewed if it has not."""
    inside = folder / "bin" / "python"
    stamp = folder / ".locks"
    wanted = hashlib.sha256(b"".join(lock.read_bytes() for lock in LOCKS)).hexdigest()
    if inside.exists() and stamp.is_file() and stamp.read_text() == wanted:
        return inside
    subprocess.run([str(python), "-m", "venv", "--clear", str(folder)], check=True)
    for lock in LOCKS:
        pip = [str(inside), "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", str(lock)]
        subprocess.run(pip, check=True)
    stamp.write_text(wanted)
    return inside


def main() -> int:
    parser = argparse.ArgumentParser(prog="make test-pythons", description=__doc__)
    parser.add_argument("versions", nargs="*", default=VERSIONS, metavar="3.N", help="default: all")
    parser.add_argument("--folder", type=Path, default=PROJECT / ".ventes" / "pythons")
    parser.add_argument("--there", action="store_true", help="leave out Pythons that this machine does not have")
    parser.add_argument("--tests", nargs="*", default=["tests/unit"])
    options = parser.parse_args()
    results: dict[str, str] = {}
    for version in options.versions:
        if (python := interpreter(version)) is None:
            results[version] = "left out: not on this machine" if options.there else "MISSING on this machine"
            continue
        inside = environment(options.folder / version, python)
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT / "src"), str(PROJECT)])}
        command = [str(inside), "-m", "pytest", "-q", "-p", "no:cacheprovider", *options.tests]
        done = subprocess.run(command, cwd=PROJECT, env=variables, check=False)
        results[version] = "passed" if done.returncode == 0 else f"FAILED (pytest ended with {done.returncode})"
    print("\n".join(f"Python {version}: {what}" for version, what in results.items()))
    return int(any(what.startswith(("FAILED", "MISSING")) for what in results.values()))


if __name__ == "__main__":
    sys.exit(main())
