"""`ventes export systemd`: a unit that systemd accepts, whatever the paths look like."""

from __future__ import annotations

import getpass
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ventes.cli import app as application
from ventes.cli import mount, run
from ventes.config import PROJECT, Settings
from ventes.operations import systemd

ODD = "vente à $HOME (x) #1"


def settings(folder: Path, **more: Any) -> Settings:
    paths = {"lake": folder / "lake", "state": folder / "state", "logs": folder / "logs"}
    return Settings(config_file=folder / "ventes.toml", paths=paths, **more)


def verified(text: str, folder: Path) -> str:
    """What `systemd-analyze verify` says about the unit; '' if it has no remark."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze on this machine: `apt-get install systemd`")
    file = folder / "ventes.service"
    file.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [program, "verify", "--man=no", str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode == 0) or done.stderr
    return "\n".join(line for line in done.stderr.splitlines() if "ventes" in line)


@pytest.mark.parametrize("name", ["plain", ODD], ids=["plain", "odd"])
def test_systemd_accepts_the_unit(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    user = getpass.getuser()
    text = systemd.unit(settings(folder), user, user)
    ready = (PROJECT / ".venv" / "bin" / "ventes").is_file()  # else systemd rightly says that the program is missing
    found = verified(text if ready else text.replace(str(PROJECT / ".venv" / "bin" / "ventes"), "/bin/true"), tmp_path)
    assert found == ""


def test_a_wrong_unit_is_noticed(tmp_path: Path) -> None:
    text = systemd.unit(settings(tmp_path), "root", "root")
    assert "Privat" in verified(text.replace("PrivateDevices=yes", "PrivatDevices=yes"), tmp_path)
    assert verified(text.replace("[Service]", "[Service]\nType=wrong"), tmp_path)


def test_every_folder_that_is_written_is_writable_and_tmp_is_shared_only_if_needed() -> None:
    apart = systemd.unit(settings(Path("/srv/ventes")), "ventes", "ventes").splitlines()
    assert {line for line in apart if line.startswith("ReadWritePaths")} == {
        f'ReadWritePaths="/srv/ventes/{name}"' for name in ("lake", "logs", "state")
    }
    assert "PrivateTmp=yes" in apart
    assert "PrivateTmp=no" in systemd.unit(settings(Path("/tmp/ventes")), "ventes", "ventes").splitlines()


def test_it_says_where_the_pipeline_listens(tmp_path: Path) -> None:
    text = systemd.unit(settings(tmp_path, metrics={"address": "::1", "port": 9999}), "ventes", "ventes")
    listens = next(line for line in text.splitlines() if line.startswith("# It listens on "))
    assert "127.0.0.1:8501 (page.port)" in listens
    assert "[::1]:9999 (metrics.port)" in listens
    assert "metrics.port" not in systemd.unit(settings(tmp_path, metrics={"enabled": False}), "ventes", "ventes")


def test_no_secret_is_in_it(tmp_path: Path) -> None:
    security = {"sasl.password": "geheim-123", "ssl.key.password": "geheim-456"}
    made = settings(tmp_path, kafka={"managed": False, "security": security})
    assert "geheim" not in systemd.unit(made, "ventes", "ventes")


def test_the_command_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VENTES_PATHS__LAKE", str(tmp_path / "lake"))
    mount()
    assert run(application, ["export", "systemd", "-o", str(tmp_path / "ventes.service")]) == 0
    assert "how to install it" in capfd.readouterr().out
    assert f'ReadWritePaths="{tmp_path / "lake"}"' in (tmp_path / "ventes.service").read_text(encoding="utf-8")
