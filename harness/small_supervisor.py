"""The real supervisor over small processes, one for each service: `python -m harness.small_supervisor`.

Each service prints one line and ends on SIGTERM. Two are closer to the real ones: bronze has a "JVM" (a child that
keeps running after its parent was killed, until the test ends it), and silver writes a heartbeat. While the file
<state>/busy exists, silver only records a SIGTERM, as in the middle of a large lot, and ends when the file is removed.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from ventes import config
from ventes.config import Settings
from ventes.supervise import services
from ventes.supervise.daemon import supervise
from ventes.supervise.services import Service

SLEEPER = "import signal, sys; print('hello from', sys.argv[-1], flush=True); signal.pause()"
PARENT = (
    "import os, signal, subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()', 'jvm'])\n"
    "def end(*_):\n    child.kill(); child.wait(); os._exit(0)\n"
    "signal.signal(signal.SIGTERM, end)\n"
    "print('hello from', sys.argv[-1], flush=True)\n"
    "while True: signal.pause()\n"
)
BUSY = (
    "import pathlib, sys, time\n"
    "from ventes.runtime.heartbeat import Reporter\n"
    "from ventes.runtime.stop import Stopper\n"
    "state = pathlib.Path(sys.argv[1])\n"
    "reporter = Reporter(state, sys.argv[-1])\n"
    "stopper = Stopper().install(reporter.stopping)\n"
    "reporter.update(phase='running')\n"
    "print('hello from', sys.argv[-1], flush=True)\n"
    "stopper.wait(1000)\n"
    "while (state / 'busy').exists(): time.sleep(0.02)\n"
    "reporter.update(phase='stopped')\n"
)
PROGRAMS = {"bronze": PARENT, "silver": BUSY}


def small(service: Service) -> Service:
    def argv(settings: Settings) -> list[str]:
        return [sys.executable, "-c", PROGRAMS.get(service.name, SLEEPER), str(settings.state), service.name]

    ready = service.ready if service.name == "silver" else lambda _: (True, "")
    return replace(service, argv=argv, ready=ready, stop_seconds=3)


if __name__ == "__main__":
    supervise(config.load(), [small(service) for service in services.ALL])
