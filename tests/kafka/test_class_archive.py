"""The training run: a real broker writes its class-data archive; if it does not start, the cause is reported."""

import os
from pathlib import Path

import pytest

from harness.clone import Clone
from ventes.config import PROJECT
from ventes.install import class_archive, java

TRAIN = """
import os, sys
from ventes.errors import InstallError
from ventes.install import class_archive, class_archive_training as training, java
found = java.find(os.environ, training.STATE / "java")
try:
    training.train(found, "spark" in sys.argv, print)
except InstallError as error:
    sys.exit(f"{error}")
print(*class_archive.use(training.JARS, found, "kafka"), sep="\\n")
"""


@pytest.fixture
def clone(tmp_path):
    return Clone(tmp_path)


def trained(clone, *of):
    process = clone.start("training", "-c", TRAIN, *of)
    code = process.wait(300)
    return code, (clone.folder / "training.out").read_text("utf-8").splitlines()


def test_the_brokers_first_start_leaves_an_archive_that_later_ones_use(clone):
    archives = clone.folder / ".ventes" / "archive"
    archives.mkdir()
    (archives / "kafka-of-another-java.jsa").touch()
    code, (said, option, *_) = trained(clone)
    assert code == 0
    assert said.startswith("first start of the broker")
    (archive,) = archives.iterdir()
    assert option == f"-XX:SharedArchiveFile={archive}"
    assert archive.stat().st_size > 10_000_000
    made = archive.stat().st_mtime_ns
    assert trained(clone)[1][0] == option  # no output, no change
    assert archive.stat().st_mtime_ns == made
    assert sorted(path.name for path in (clone.folder / ".ventes").iterdir()) == ["archive", "jars"]


def test_this_installation_has_both_archives():
    """The installation goes on without them: starts only take longer, which nobody would notice."""
    found = java.find(os.environ, PROJECT / ".ventes" / "java")
    jars = PROJECT / ".ventes" / "jars"
    assert [name for name in ("kafka", "spark") if not class_archive.use(jars, found, name)] == []


@pytest.mark.long
def test_sparks_first_start_leaves_an_archive_too(clone):
    pytest.importorskip("pyspark")
    code, (said, *_) = trained(clone, "spark")
    assert code == 0
    assert said.startswith("first start of the broker and Spark")
    (archive,) = (clone.folder / ".ventes" / "archive").glob("spark-*.jsa")
    assert archive.stat().st_size > 100_000_000


def test_a_broker_that_does_not_start_is_reported_with_its_cause(clone, tmp_path):
    home = tmp_path / "java"
    (home / "bin").mkdir(parents=True)
    (home / "release").write_text('JAVA_VERSION="17.0.1"\n')
    (home / "bin" / "java").write_text("#!/bin/sh\necho 'Exception in thread \"main\" x.Y: no luck' >&2\nexit 1\n")
    (home / "bin" / "java").chmod(0o755)
    clone.environment["VENTES_JAVA_HOME"] = str(home)
    code, said = trained(clone)
    assert code == 1
    assert "broker does not start: Kafka cannot use" in said[-1]
    assert "x.Y: no luck" in said[-1]
    assert "VENTES_JAVA_HOME" in said[-1]
    assert "no luck" in Path(said[-1].rpartition("its log: ")[2]).read_text("utf-8")
