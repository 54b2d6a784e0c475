"""Commands to copy, made from the settings in force: paths and ports are the real ones."""

from __future__ import annotations

import shlex
from pathlib import Path

from ventes.config import PROJECT, Settings
from ventes.dashboard.language import tr


def _q(path: Path) -> str:
    return shlex.quote(str(path))


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
        (tr("Everything at a glance"), "ventes status"),
        (tr("Processes"), "ps aux | grep -E 'producer|spark_streaming|streamlit'"),
        *((what, f"tail -f {_q(log)}") for name, what in logs.items() if (log := settings.log(name)).exists()),
        *((what, f"ls -la {_q(folder)}/") for what, folder in folders.items() if folder.exists()),
        (tr("Check every figure"), "ventes verify"),
    ]


def troubles(settings: Settings) -> list[tuple[str, str, str]]:
    """(symptom, what to do, command)."""
    log = settings.log("page")
    see = f"tail -50 {_q(log)}\n" if log.exists() else ""  # a page that was started by hand writes to its terminal
    run = f"cd {_q(PROJECT)} && streamlit run streamlit_dashboard.py --server.port {settings.page.port}"
    return [
        (tr("Page does not load."), tr("See its log or its terminal, then start it again:"), f"{see}{run}"),
        (tr("All figures are 0."), tr("See which part is not running, and why:"), "ventes status\nventes doctor"),
        (
            tr("Figures do not change."),
            tr("Is the page paused, or a job behind? See the line at the top."),
            "ventes status",
        ),
        (tr("The page is slow."), tr("Choose a slower refresh rate above; see what the machine is doing:"), "top"),
        (
            tr("Start everything again, without loss."),
            "",
            f"pkill -f 'producer|spark_streaming|streamlit'\nsleep 2\ncd {_q(PROJECT)} && bash start_pipeline.sh",
        ),
    ]
