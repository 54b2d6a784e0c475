"""The real supervisor over five small processes: `python -m harness.small_supervisor`.

Each service ignores nothing, holds a "JVM" (a child that outlives a killed parent until the test ends it) if it is
bronze, and says one line.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from ventes import config
from ventes.config import Settings
from ventes.supervise import services
from ventes.supervise.services import Service
from ventes.supervise.supervisor import supervise

SLEEPER = "import signal, sys; print('hello from', sys.argv[1], flush=True); signal.pause()"
PARENT = (
    "import os, signal, subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()', 'jvm'])\n"
    "def end(*_):\n    child.kill(); child.wait(); os._exit(0)\n"
    "signal.signal(signal.SIGTERM, end)\n"
    "print('hello from', sys.argv[1], flush=True)\n"
    "while True: signal.pause()\n"
)


def small(service: Service) -> Service:
    def argv(_: Settings) -> list[str]:
        return [sys.executable, "-c", PARENT if service.name == "bronze" else SLEEPER, service.name]

    return replace(service, argv=argv, ready=lambda _: (True, ""), listens=None, stop_seconds=3)


if __name__ == "__main__":
    supervise(config.load(), [small(service) for service in services.ALL])
