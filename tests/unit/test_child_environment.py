"""The environment of the programs that we start; the user's shell must not break it."""

import resource
import subprocess
import sys

import pytest

from ventes.config import PROJECT, Settings
from ventes.engines.spark.session import _quoted
from ventes.runtime import child_environment
from ventes.supervise import services

RAISE = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from ventes.errors import VentesError
from ventes.runtime.child_environment import allow_open_files
try:
    allow_open_files()
except VentesError as error:
    sys.exit(str(error))
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_our_locale_wins_and_everything_else_stays():
    given = child_environment.variables({"LC_ALL": "tr_TR.UTF-8", "LANG": "de_DE.ISO-8859-1", "HOME": "/h"})
    assert given == {"LC_ALL": "C.UTF-8", "LANG": "de_DE.ISO-8859-1", "HOME": "/h"}


def raised(soft: int, hard: int) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    return subprocess.run(
        [sys.executable, "-c", RAISE, str(PROJECT / "src")], preexec_fn=limit, capture_output=True, text=True
    )


def test_the_limit_of_open_files_is_raised_as_far_as_is_allowed():
    assert raised(256, 2048).stdout.strip() == "2048"


def test_a_limit_that_cannot_be_raised_enough_is_named_with_the_next_step():
    refused = raised(256, 256)
    assert refused.returncode == 1
    assert "only 256 files" in refused.stderr
    assert "limits.conf" in refused.stderr


@pytest.mark.parametrize("option", ["-Dx=/my state/é", "-Xmx1g", '-Dx="a"', "-Dx=a\\b", "-Dx=it's"])
def test_an_option_with_blanks_and_quotes_reaches_sparks_jvm_whole(option):
    """Spark splits a list of options (CommandBuilderUtils.parseOptionString) as the shell does here."""
    divided = subprocess.run(
        ["sh", "-c", f'printf "%s\\n" {_quoted(option)} {_quoted("-Dnext")}'], capture_output=True, text=True
    )
    assert divided.stdout.splitlines() == [option, "-Dnext"]


def test_every_service_is_given_it():
    assert services.environment(Settings())["LC_ALL"] == "C.UTF-8"
