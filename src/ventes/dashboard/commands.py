"""Commands to copy, made from the settings in force: paths and ports are the real ones."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from ventes.config import CONFIG_VARIABLE, PROJECT, Settings, config_path
from ventes.dashboard.language import tr


def quoted_path(path: Path) -> str:
    """For a shell."""
    return shlex.quote(str(path))


def ventes() -> str:
    """The command that runs `ventes` for this pipeline, from any folder."""
    path = config_path()
    named = "" if path == PROJECT / "ventes.toml" else f"{CONFIG_VARIABLE}={quoted_path(path)} "
    return f"{named}{quoted_path(Path(sys.executable).with_name('ventes'))}"


def monitoring(settings: Settings) -> list[tuple[str, str]]:
    """(what it shows, command). No command names a file or a folder that is not there."""
    logs = {
        "producer": tr("Producer"),
        "bronze": "Kafka → Bronze",
        "silver": "Bronze → Silver",
        "page": tr("This page"),
    }
    folders = {tr("Bronze files"): settings.bronze, tr("Silver files"): settings.silver}
    return [
        (tr("Everything at a glance"), f"{ventes()} status"),
        (tr("Processes"), "ps aux | grep -E 'producer|spark_streaming|streamlit'"),
        *((what, f"tail -f {quoted_path(log)}") for name, what in logs.items() if (log := settings.log(name)).exists()),
        *((what, f"ls -la {quoted_path(folder)}/") for what, folder in folders.items() if folder.exists()),
        (tr("Check every figure"), f"{ventes()} verify"),
    ]


def troubles(settings: Settings) -> list[tuple[str, str, str]]:
    """(symptom, what to do, command)."""
    log = settings.log("page")
    # a page that was started by hand has no log: it writes to its terminal
    see = f"tail -50 {quoted_path(log)}\n" if log.exists() else ""
    run = f"cd {quoted_path(PROJECT)} && streamlit run streamlit_dashboard.py --server.port {settings.page.port}"
    if settings.page.login.on:
        run = f"{ventes()} start"  # a page that was started by hand has no login, and so shows nothing
    return [
        (tr("Page does not load."), tr("See its log or its terminal, then start it again:"), f"{see}{run}"),
        (
            tr("All figures are 0."),
            tr("See which part is not running, and why:"),
            f"{ventes()} status\n{ventes()} doctor",
        ),
        (
            tr("Figures do not change."),
            tr("Is the page paused, or a job behind? See the line at the top."),
            f"{ventes()} status",
        ),
        (tr("The page is slow."), tr("Choose a slower refresh rate above; see what the machine is doing:"), "top"),
        (tr("Start everything again, without loss."), "", f"{ventes()} restart"),
    ]
