"""`python -m ventes.broker.run`: make the managed broker ready to run, then become it.

A program of its own, so that the supervisor neither waits for the storage to be formatted nor holds a Kafka client.
The process keeps its pid, session and output; only its program changes.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from ventes import config
from ventes.broker import managed
from ventes.errors import VentesError
from ventes.runtime import child_environment
from ventes.runtime.exit_codes import NEEDS_A_PERSON
from ventes.runtime.umask import keep_private


def main() -> NoReturn:
    keep_private()
    try:
        settings = config.load()
        child_environment.allow_open_files()
        managed.prepare(settings)
        argv, environment = managed.command(settings), managed.environment(settings)
    except VentesError as error:
        print(error, file=sys.stderr)
        sys.exit(NEEDS_A_PERSON)
    os.execve(argv[0], argv, environment)


if __name__ == "__main__":
    main()
