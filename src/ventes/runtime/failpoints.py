"""Points where a test can make a job fail for real.

VENTES_FAILPOINTS="silver.after_clean:kill9,bronze.before_commit:exit:3" — a comma-separated list of
`name:action`. Actions: kill9 (SIGKILL to this process), exit:CODE, raise, pause (SIGSTOP to this process).
`name@N:action` acts only on the Nth passage (1 is the first). Unset, a passage costs one dict look-up.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "VENTES_FAILPOINTS"
_passages: Counter[str] = Counter()


def _parse(text: str) -> dict[str, tuple[int, str]]:
    points = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, action = item.partition(":")
        name, _, nth = name.partition("@")
        points[name] = (int(nth or 1), action)
    return points


_points = _parse(os.environ.get(VARIABLE, ""))


def failpoint(name: str) -> None:
    """Pass the point `name`; act if VENTES_FAILPOINTS says so."""
    if name not in _points:
        return
    nth, action = _points[name]
    _passages[name] += 1
    if _passages[name] != nth:
        return
    if action == "kill9":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "pause":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action.startswith("exit:"):
        os._exit(int(action.removeprefix("exit:")))
    else:
        raise RuntimeError(f"failpoint {name}")
