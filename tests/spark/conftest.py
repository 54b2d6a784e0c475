"""One Spark for all tests of this layer, with the settings that the jobs run with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from harness.silver_run import settings_of
from ventes.engines.spark.session import Session, open_session


@pytest.fixture(scope="session")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    opened = open_session(settings_of(tmp_path_factory.mktemp("spark")), "tests")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def spark(session: Session) -> SparkSession:
    return session.spark
