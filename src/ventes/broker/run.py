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
from ventes.runtime.umask import keep_private
from ventes.supervise.restart import NEEDS_A_PERSON


def main() -> NoReturn:
    keep_private()
    try:
        settings = config.load()
        managed.prepare(settings)
        argv = managed.command(settings)
    except VentesError as error:
        print(error, file=sys.stderr)
        sys.exit(NEEDS_A_PERSON)
    os.execv(argv[0], argv)


if __name__ == "__main__":
    main()
