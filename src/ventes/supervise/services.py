"""The services as data: command, dependencies, readiness check.

Tuple order is start order; STOP_ORDER is the direction of the data flow. The commands are the scripts in the project's
root, so that `ps aux | grep -E 'producer|spark_streaming|streamlit'` (dashboard guide) lists them.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from ventes.config import CONFIG_VARIABLE, PROJECT, SUPERVISED_VARIABLE, Settings
from ventes.runtime import child_environment, heartbeat
from ventes.runtime.project import from_project, own_python
from ventes.supervise import ports

Answer = tuple[bool, str]
"""(ready, why not)."""
Port = tuple[str, str, int]
"""(key in ventes.toml, address, number)."""


@dataclass(frozen=True)
class Service:
    """One long-running process. Durations are seconds."""

    name: str
    title: str
    argv: Callable[[Settings], list[str]]
    ready: Callable[[Settings], Answer]
    """Asks the service itself, now; takes 2 s at most. Never raises for a service that is down.

    The supervisor calls it too and must stay small: so it uses only the standard library and psutil.
    """
    needs: tuple[str, ...] = ()
    """Services that must be ready before this one is started."""
    answers: bool = False
    """Whether the watchdog uses `ready` instead of a heartbeat, because the process has no loop of ours."""
    watched: bool = True
    """Whether the watchdog ends it when it hangs."""
    stop_seconds: float = 15.0
    """How long it may take to finish its batch after SIGTERM before it is killed."""
    ports: Callable[[Settings], tuple[Port, ...]] = lambda _: ()
    """The ports of ventes.toml that it listens on."""


def _python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def _broker_argv(settings: Settings) -> list[str]:
    """Its last argument is that of the JVM's command line, which replaces it: service records compare it."""
    return [own_python(), "-m", "ventes.broker.run", from_project(settings.state / "kafka" / "server.properties")]


def _broker_listens(settings: Settings) -> Answer:
    """Whether a TCP connection is accepted. More would need a Kafka client."""
    try:
        socket.create_connection((settings.kafka.host, settings.kafka.port), timeout=0.5).close()
    except OSError as error:
        return False, f"nothing answers at {settings.kafka.bootstrap}: {error.strerror or error}"
    return True, ""


def _reports(name: str) -> Callable[[Settings], Answer]:
    """A job is ready if its heartbeat's phase is "running" and the process that wrote it still runs."""

    def ready(settings: Settings) -> Answer:
        record = heartbeat.read(settings.state, name)
        if record is None or not heartbeat.alive(record):
            return False, "is not running"
        return record.phase == "running", "" if record.phase == "running" else record.reason or record.phase

    return ready


PAGE_SERVER = "streamlit_server.py"
PAGE_SCRIPTS = (PAGE_SERVER, "streamlit_dashboard.py")
"""The page's server, and the page itself, which is what people start by hand."""
HEALTH = "/_stcore/health"


def page_url(settings: Settings) -> str:
    """The page's address for a browser."""
    if settings.page.url:
        return settings.page.url
    address = settings.page.address
    return f"http://{'localhost' if address in {'127.0.0.1', '0.0.0.0'} else address}:{settings.page.port}"


def page_ready(settings: Settings) -> Answer:
    """Request the page's health URL."""
    address = "127.0.0.1" if settings.page.address == "0.0.0.0" else settings.page.address
    path = f"/{settings.page.base}{HEALTH}" if settings.page.base else HEALTH
    url = f"http://{address}:{settings.page.port}{path}"
    connection = http.client.HTTPConnection(address, settings.page.port, timeout=2.0)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return False, f"{url}: {getattr(error, 'strerror', None) or error}"
    finally:
        connection.close()
    return status == 200, "" if status == 200 else f"{url} answers {status}"


def page_hosts(settings: Settings) -> list[str]:
    """Host names that the page accepts. Never all, to prevent DNS rebinding."""
    own = [] if settings.page.address in {"0.0.0.0", "::"} else [settings.page.address]
    named = urlsplit(settings.page.url).hostname
    return list(dict.fromkeys(["localhost", "127.0.0.1", *own, *([named] if named else []), *settings.page.hosts]))


def _page_argv(settings: Settings) -> list[str]:
    options = [f"--server.address={settings.page.address}", f"--server.port={settings.page.port}"]
    options += [f"--server.allowedHosts={host}" for host in page_hosts(settings)]
    if settings.page.base:
        options.append(f"--server.baseUrlPath={settings.page.base}")
    if header := settings.page.login.header:
        # the page takes it from page.login.proxies only; there it is part of what Streamlit knows of a session
        options.append(f"--server.trustedUserHeaders={json.dumps({header: 'address'})}")
    return _python("-m", "streamlit", "run", PAGE_SERVER, *options)


def _broker_ports(settings: Settings) -> tuple[Port, ...]:
    kafka = settings.kafka
    return (("kafka.port", kafka.host, kafka.port), ("kafka.controller_port", "127.0.0.1", kafka.controller_port))


def _page_ports(settings: Settings) -> tuple[Port, ...]:
    return (("page.port", settings.page.address, settings.page.port),)


def taken_ports(settings: Settings, service: Service) -> Iterator[tuple[Port, psutil.Process | None]]:
    """Those of its ports that are in use, each with the process that listens, if this user may see it."""
    for key, address, number in service.ports(settings):
        if ports.taken(address, number):
            yield (key, address, number), ports.holder(number)


def in_the_way(port: Port, holder: psutil.Process | None) -> str:
    """'port 8501 (page.port) is taken by pid 4711 (python -m http.server 8501)'."""
    return f"port {port[2]} ({port[0]}) is taken by {ports.describe(holder)}"


def metrics_url(settings: Settings) -> str:
    """Where the supervisor serves metrics, for a client on this machine."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.metrics.address, settings.metrics.address)
    return f"http://{f'[{address}]' if ':' in address else address}:{settings.metrics.port}/metrics"


BROKER = Service(
    "broker", "Kafka broker", _broker_argv, _broker_listens, watched=False, stop_seconds=30, ports=_broker_ports
)
SILVER = Service("silver", "Silver job", lambda _: _python("streaming_silver.py"), _reports("silver"))
PAGE = Service("page", "page", _page_argv, page_ready, answers=True, stop_seconds=5, ports=_page_ports)
BRONZE = Service(
    "bronze", "Bronze job", lambda _: _python("spark_streaming_delta.py"), _reports("bronze"), needs=("broker",)
)
PRODUCER = Service("producer", "producer", lambda _: _python("producer.py"), _reports("producer"), needs=("broker",))
ALERTS = Service(
    "alerts", "alerts service", lambda _: _python("-m", "ventes.alerts.run"), _reports("alerts"), stop_seconds=10
)

ALL = (BROKER, SILVER, BRONZE, PRODUCER, PAGE, ALERTS)
BY_NAME = {service.name: service for service in ALL}
JOBS = ("bronze", "silver")
"""The services that a change of the engine restarts."""
STOP_ORDER = ("alerts", "producer", "bronze", "silver", "page", "broker")
"""The alerts first: what is stopped on purpose is no reason for one."""
STOP_SECONDS = 20.0 + sum(service.stop_seconds for service in ALL)
"""What the services may take to end one after the other, and some time on top."""


@dataclass(frozen=True)
class ByHand:
    """A service that runs although no supervisor started it."""

    pid: int

    def process(self) -> psutil.Process | None:
        """The process, if it still lives."""
        try:
            return psutil.Process(self.pid)
        except psutil.NoSuchProcess:
            return None

    def __str__(self) -> str:
        return f"started by hand, pid {self.pid}"


def started_by_hand(settings: Settings, service: Service) -> ByHand | None:
    """The process that runs this service although no supervisor started it, if there is one."""
    if (record := heartbeat.by_hand(settings.state, service.name)) is not None:
        return ByHand(record.pid)
    # a page that was never opened in a browser has no heartbeat
    if service.name == PAGE.name and page_ready(settings)[0]:
        process = ports.holder(settings.page.port)
        if process is not None and _is_by_hand(process):
            return ByHand(process.pid)
    return None


def _is_by_hand(process: psutil.Process) -> bool:
    try:
        ours = any(script in argument for argument in process.cmdline() for script in PAGE_SCRIPTS)
        return ours and SUPERVISED_VARIABLE not in process.environ()
    except psutil.Error:
        return False


def enabled(settings: Settings, among: Iterable[Service] = ALL) -> tuple[Service, ...]:
    """The services that these settings ask for, in start order."""
    left_out = not_asked_for(settings)
    return tuple(service for service in among if service.name not in left_out)


def not_asked_for(settings: Settings) -> dict[str, str]:
    """The services that these settings do not ask for → why."""
    reasons = {
        BROKER.name: "" if settings.kafka.managed else "kafka.managed is false",
        PRODUCER.name: "" if settings.producer.enabled else "producer.enabled is false",
        ALERTS.name: "" if settings.alerts else "there is no [[alerts]]",
    }
    return {name: why for name, why in reasons.items() if why}


def environment(settings: Settings) -> dict[str, str]:
    """The environment of every service: all read the same settings, including those from flags."""
    ours = {SUPERVISED_VARIABLE: "1", "VENTES_ENGINE": settings.engine, "PYTHONUNBUFFERED": "1"}
    if settings.config_file.is_file():
        ours[CONFIG_VARIABLE] = str(settings.config_file)
    return child_environment.variables({**os.environ, **ours})


def folder() -> Path:
    """The working folder of every service: the root scripts are named relative to it."""
    return PROJECT


def output(settings: Settings, name: str) -> Path:
    """What a service wrote to stdout and stderr since its last start."""
    return settings.state / "run" / f"{name}.out"
