"""Commands to copy, made from the settings in force: paths and ports are the real ones."""

from __future__ import annotations

import shlex
from pathlib import Path

from ventes.config import PROJECT, Settings


def _q(path: Path) -> str:
    return shlex.quote(str(path))


def monitoring(settings: Settings) -> list[tuple[str, str]]:
    """(what it shows, command)."""
    return [
        ("Everything at a glance", "ventes status"),
        ("Processes", "ps aux | grep -E 'producer|spark_streaming|streamlit'"),
        ("Producer", f"tail -f {_q(settings.log('producer'))}"),
        ("Kafka → Bronze", f"tail -f {_q(settings.log('bronze'))}"),
        ("Bronze → Silver", f"tail -f {_q(settings.log('silver'))}"),
        ("This page", f"tail -f {_q(settings.log('page'))}"),
        ("Bronze files", f"ls -la {_q(settings.bronze)}/"),
        ("Silver files", f"ls -la {_q(settings.silver)}/"),
        ("Check every figure", "ventes verify"),
    ]


def troubles(settings: Settings) -> list[tuple[str, str, str]]:
    """(symptom, what to do, command)."""
    run = f"cd {_q(PROJECT)} && streamlit run streamlit_dashboard.py --server.port {settings.page.port}"
    return [
        ("Page does not load.", "See its log, then start it again:", f"tail -50 {_q(settings.log('page'))}\n{run}"),
        ("All figures are 0.", "See which part is not running, and why:", "ventes status\nventes doctor"),
        ("Figures do not change.", "Is the page paused, or a job behind? See the line at the top.", "ventes status"),
        ("The page is slow.", "Choose a slower refresh rate above; see what the machine is doing:", "top"),
        (
            "Start everything again, without loss.",
            "",
            f"pkill -f 'producer|spark_streaming|streamlit'\nsleep 2\ncd {_q(PROJECT)} && bash start_pipeline.sh",
        ),
    ]
