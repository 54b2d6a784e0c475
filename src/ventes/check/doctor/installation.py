"""Checks what is installed: Python and its packages, and every byte of the jars."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from ventes.check.doctor import packages
from ventes.check.doctor.finding import Finding, bad, ok, warn
from ventes.config import PROJECT, Settings
from ventes.install import jars, spark

INSTALL = "bash start_pipeline.sh"


def findings(settings: Settings, repair: bool) -> Iterator[Finding]:
    """All findings about the installation; `repair` removes jars with a wrong hash."""
    yield from python(settings)
    yield from jar_files(settings, repair)


def python(settings: Settings) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield ok("Python", f"{version} in {sys.prefix}")
    yield from _packages("packages", PROJECT / "requirements" / "base.txt")
    if _has_spark(settings):
        yield from _packages("Spark's packages", PROJECT / "requirements" / "spark.txt")
    else:
        yield ok("Spark", f"not installed: this installation has the embedded engine alone; `{spark.ADD}` adds it")


def _packages(name: str, lock: Path) -> Iterator[Finding]:
    if not lock.is_file():
        return
    text = lock.read_text(encoding="utf-8")
    changed = [str(path) for path in packages.edited(text)]
    if odd := list(packages.unlike(text)):
        again = f"{sys.executable} -m pip install --require-hashes -r {lock}"
        yield bad(name, f"not as locked: {', '.join(odd)}", again)
    elif changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        again = f"rm -r {sys.prefix}, then {INSTALL}"
        yield bad(name, f"not what pip installed: {', '.join(changed[:3])}{more}", again)
    else:
        yield ok(name, f"as locked in {lock.name}, byte for byte")


def _has_spark(settings: Settings) -> bool:
    """Whether any part of Spark is installed; then all of it is checked."""
    return spark.package() is not None or any(path.exists() for path in jars.paths(settings.jars, "spark"))


def jar_files(settings: Settings, repair: bool) -> Iterator[Finding]:
    wanted = jars.pinned("kafka") + (jars.pinned("spark") if _has_spark(settings) else [])
    wrong = jars.damaged(settings.jars, wanted)
    if not wrong:
        yield ok("jars", f"all {len(wanted)} are what the list says, byte for byte")
    for jar, why in wrong:
        install = spark.ADD if jar.set == "spark" else INSTALL
        if repair:
            (settings.jars / jar.path).unlink(missing_ok=True)
            yield warn(f"jar {jar.path}", f"{why}; removed", f"{install} fetches it")
        else:
            step = install if why == "missing" else f"ventes doctor --repair removes it, {install} fetches it again"
            yield bad(f"jar {jar.path}", why, step)
