"""The locale and the limit of open files of the programs that we start, independent of shell and machine.

A JVM formats and compares by its locale, and names files in its encoding. In Turkish "classic".toUpperCase() is
CLASSİC, which crashes Kafka; in LC_ALL=C a folder with a letter that is not ASCII cannot be named.
"""

from __future__ import annotations

import os
import pwd
import resource
from collections.abc import Mapping

from ventes.errors import VentesError

LOCALE = "C.UTF-8"

JVM_OPTIONS = ("-Duser.language=en", "-Duser.country=", "-Duser.variant=", "-Dfile.encoding=UTF-8")
"""On the command line they override JAVA_TOOL_OPTIONS and JDK_JAVA_OPTIONS."""

LEAST_FILES = 1024
"""Open files that one process may need. A Spark job's JVM has 335, the broker 100 plus a few per log segment."""


def require_user() -> None:
    """Raise VentesError if this user is not in /etc/passwd, as in a container that runs with `--user 1234`: Spark asks
    for the name and the home of the user, and does not start without them."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        raise VentesError(
            f"the user with the number {os.getuid()} has no entry in /etc/passwd, and Spark does not start without one",
            "add one, run it as another user, or choose --engine embedded",
        ) from None


def variables(env: Mapping[str, str]) -> dict[str, str]:
    """`env` with our locale, which overrides every LC_* and LANG."""
    return {**env, "LC_ALL": LOCALE}


def allow_open_files() -> None:
    """Raise this process's limit of open files, which its children inherit, as far as is allowed.

    Raises VentesError if that is less than LEAST_FILES.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < LEAST_FILES:
        raise VentesError(
            f"a process may open only {hard} files here (ulimit -Hn), the pipeline needs {LEAST_FILES}",
            "raise nofile in /etc/security/limits.conf, or start from another shell",
        )
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
