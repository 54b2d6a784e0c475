"""An OpenID Connect provider as a process of its own, for tests of the page's login: oidc-provider-mock."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.pipeline import free_ports


@contextmanager
def provider(folder: Path, people: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The issuer's address and its process, until the block ends. `people`: subject → claims; each can log in with one
    click."""
    (port,) = free_ports(1)
    issuer = f"http://127.0.0.1:{port}"
    users = [f"--user-claims={json.dumps({'sub': name, **claims})}" for name, claims in people.items()]
    with (folder / "provider.out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "oidc_provider_mock", f"--port={port}", *users],
            env={**os.environ, "NO_COLOR": "1"},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            _until_it_answers(f"{issuer}/.well-known/openid-configuration", process)
            yield issuer, process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(10)


def _until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the provider ended"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")
