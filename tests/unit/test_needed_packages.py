"""What an installation without the packages of the tests has is enough for the page and its login."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from pydantic import SecretStr

from harness.sample_lake import settings_at
from ventes.config import PROJECT
from ventes.dashboard.login import running
from ventes.errors import InstallError
from ventes.settings.login import Login

IMPORTS = """
import json, sys
import authlib.integrations.starlette_client  # Streamlit imports it when somebody logs in
import ventes.alerts.service, ventes.cli, ventes.dashboard.page, ventes.dashboard.server
import ventes.engines.embedded.bronze, ventes.engines.embedded.silver, ventes.producer.loop, ventes.supervise.daemon
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""

OPTIONAL = {"ventes", "blinker", "mypy-extensions", "setuptools"}
"""Packages that others import only if they are there."""


def test_every_package_that_is_imported_is_locked_for_each_installation() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], check=True, capture_output=True, text=True, cwd=PROJECT)
    imported = json.loads(done.stdout.splitlines()[-1])
    assert "httpx" in imported, "what a login needs"
    locked = {
        _normal(found[1])
        for found in re.finditer(r"^([\w.-]+)==", (PROJECT / "requirements" / "base.txt").read_text(), re.MULTILINE)
    }
    known = packages_distributions()
    needed = {_normal(known[name][0]): name for name in imported if name in known}
    assert {dist: name for dist, name in needed.items() if dist not in locked | OPTIONAL} == {}


def test_a_login_whose_client_is_missing_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = Login(issuer="https://sso.example.com", client_id="page", client_secret=SecretStr("secret"), viewers=["*"])
    settings = settings_at(tmp_path, login=login)
    monkeypatch.setitem(sys.modules, "httpx", None)
    for name in [name for name in sys.modules if name.startswith("authlib.integrations")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(InstallError, match=r"needs the package httpx.*start_pipeline\.sh"):
        running.start(settings)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
