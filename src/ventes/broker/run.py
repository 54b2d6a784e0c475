"""`python -m ventes.broker.run`: prepare the managed broker, then exec it.

A separate program, so that the supervisor does not wait for the formatting and needs no Kafka client.
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
