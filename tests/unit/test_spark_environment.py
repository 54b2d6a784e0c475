"""`ventes export spark-environment`: one file with the packages that the tasks of a Spark cluster import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ventes import cli
from ventes.config import PROJECT
from ventes.engines.spark.worker_probe import PACKAGES, version_of
from ventes.operations import spark_environment

IMPORTS = """
import ventes.engines.spark.bronze_files, ventes.engines.spark.lot_tasks, ventes.engines.spark.worker_probe
from ventes.store.objects import ObjectStore
from ventes.store.settings_of import Options
ObjectStore(Options("s3://bucket/lake", None, {"AWS_REGION": "eu-west-3"}))
"""


def test_the_tasks_import_nothing_beside_its_packages() -> None:
    """A package that a worker lacks would fail there, not here."""
    code = f"import sys\n{IMPORTS}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(PROJECT / "src"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert set(PACKAGES) - {"sqlglot"} <= loaded  # which only the check of a declared rule imports
    assert not loaded & {"deltalake", "confluent_kafka", "streamlit", "psutil", "typer", "pandas", "plotly", "babel"}


def test_it_has_exactly_the_versions_that_are_installed_here() -> None:
    command = " ".join(spark_environment.command(Path("/x/workers.pex")))
    for name in (*PACKAGES, *spark_environment.ALSO):
        assert f"{name}=={version_of(name)}" in command
    assert f"--venv-repository={sys.prefix}" in command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "-o workers.pex names it"),
        (["-o", "{folder}/workers.zip"], "is not named *.pex → -o {folder}/workers.pex"),
        (["-o", "{folder}/nowhere/workers.pex"], "{folder}/nowhere is not a folder"),
    ],
)
def test_a_place_that_does_not_fit_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    given = [argument.format(folder=tmp_path) for argument in arguments]
    assert cli.main(["export", "spark-environment", *given]) == 2
    assert said.format(folder=tmp_path) in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
