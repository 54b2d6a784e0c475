"""The page of a Spark master, for tests that need no Spark: the answers of a real one, with other numbers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from ventes.config import Settings
from ventes.engines.spark import master_page

APPLICATION = "app-20261129074403-0001"


def worker(host: str = "h1", state: str = "ALIVE", cores: int = 4, used: int = 0, memory: int = 2048) -> dict[str, Any]:
    """One of the page's workers: the keys are those of a real master."""
    return {
        "id": f"worker-20261129073647-{host}-40297",
        "host": host,
        "port": 40297,
        "webuiaddress": f"http://{host}:36901",
        "cores": cores,
        "coresused": used,
        "coresfree": cores - used,
        "memory": memory,
        "memoryused": 0,
        "memoryfree": memory,
        "resources": {},
        "state": state,
        "lastheartbeat": 1795937813754,
    }


def app(name: str, cores: int, id_: str = APPLICATION) -> dict[str, Any]:
    return {
        "id": id_,
        "name": name,
        "cores": cores,
        "user": "anna",
        "memoryperexecutor": 1024,
        "state": "RUNNING" if cores else "WAITING",
        "duration": 107822,
    }


def state(workers: list[dict[str, Any]], apps: Sequence[dict[str, Any]] = (), status: str = "ALIVE") -> dict[str, Any]:
    return {"url": "spark://h:7077", "workers": workers, "activeapps": list(apps), "status": status}


def cluster(
    *workers: dict[str, Any], apps: Sequence[dict[str, Any]] = (), status: str = "ALIVE"
) -> master_page.Cluster:
    return master_page.parsed(state(list(workers), apps, status))


class Master:
    """A page that answers what a test sets; None: an error 500."""

    def __init__(self) -> None:
        self.state: dict[str, Any] | None = state([worker()])
        self.asked = 0


@contextmanager
def serving(master: Master) -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            master.asked += 1
            self.send_response(200 if master.state is not None else 500)
            self.end_headers()
            self.wfile.write(json.dumps(master.state).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def settings_of(folder: Path, **spark: Any) -> Settings:
    values = {"master": "spark://127.0.0.1:7077", **spark}
    return Settings(spark=values, paths={"lake": folder / "lake", "state": folder / "state", "logs": folder / "logs"})
