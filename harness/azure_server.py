"""A real Azure Blob server for tests: Azurite, Microsoft's own (`npm install -g azurite`)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from harness.pipeline import free_ports, wait_for
from ventes.runtime import tcp

COMMAND = "azurite-blob"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's, the same everywhere."""


@dataclass(frozen=True)
class AzureServer:
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    def environment(self) -> dict[str, str]:
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
            "AZURE_STORAGE_ENDPOINT": self.endpoint,
        }

    def make_container(self, name: str) -> str:
        """The address of a new container, as `paths.lake` begins."""
        headers = {
            "x-ms-date": f"{datetime.now(timezone.utc):%a, %d %b %Y %H:%M:%S} GMT",
            "x-ms-version": "2021-08-06",
        }
        listed = "".join(f"{header}:{value}\n" for header, value in sorted(headers.items()))
        # the verb, eleven headers that are not sent, those of Azure, and the resource: the form of its Shared Key
        text = "PUT" + "\n" * 12 + f"{listed}/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
        signed = base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), hashlib.sha256)).decode()
        request = urllib.request.Request(
            f"{self.endpoint}/{name}?restype=container",
            method="PUT",
            headers={**headers, "Authorization": f"SharedKey {ACCOUNT}:{signed}", "Content-Length": "0"},
        )
        with urllib.request.urlopen(request, timeout=30):
            return f"az://{name}"


def is_installed() -> bool:
    return shutil.which(COMMAND) is not None


@contextmanager
def azure_server(folder: Path) -> Iterator[AzureServer]:
    """A running server that keeps its data in `folder`."""
    (port,) = free_ports(1)
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder), "--silent"]
    process = subprocess.Popen(
        [COMMAND, *options, "--skipApiVersionCheck", "--disableTelemetry"], stdout=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: tcp.refusal([("127.0.0.1", port)], 1) is None, "Azurite listens", 60)
        yield AzureServer(port)
    finally:
        process.terminate()
        process.wait(30)
