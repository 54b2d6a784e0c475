"""A real S3 server for all tests of this folder, and a bucket for each."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness import azure_server
from harness.azure_server import AzureServer
from harness.object_store import Proxy, S3Server, environment, proxy, s3_server
from ventes.store import objects, places

pytest.importorskip("moto", reason="pip install the packages of requirements/dev.txt")
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@contextmanager
def _own_mirrors() -> Iterator[None]:
    """The mirrors that are known within this block are forgotten after it."""
    known = dict(places._mirrors)
    yield
    places._mirrors.clear()
    places._mirrors.update(known)


@pytest.fixture
def bucket(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a new bucket, which this process and its children reach by their environment."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "VENTES_"))]:
        monkeypatch.delenv(name)
    for name, value in environment(server.endpoint).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(objects._SMALL, "timeout", "120s")  # the server shares this machine, which may be busy
    with _own_mirrors():
        yield server.make_bucket(f"bucket-{os.getpid()}-{next(_numbers)}")


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    if not azure_server.is_installed():
        pytest.skip(f"{azure_server.COMMAND} is missing: npm install -g azurite")
    with azure_server.azure_server(tmp_path_factory.mktemp("azure")) as running:
        yield running


@pytest.fixture
def container(azure: AzureServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a new container of Azure, which this process and its children reach by their environment."""
    for name, value in azure.environment().items():
        monkeypatch.setenv(name, value)
    with _own_mirrors():
        yield azure.make_container(f"container-{os.getpid()}-{next(_numbers)}")


@pytest.fixture
def through(server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy through which this process and its children reach the bucket."""
    with proxy(server) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.endpoint)
        yield running
