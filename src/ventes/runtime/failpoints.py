"""Points where a test can make a job fail or pause.

VENTES_FAILPOINTS="silver.after_clean:kill9,bronze.before_commit:exit:3" — a comma-separated list of
`name:action`. Actions: kill9 (SIGKILL to this process), exit:CODE, raise, pause (SIGSTOP to this process),
busy:SECONDS (block for so long, as a large batch does).
`name@N:action` acts only on the Nth call (1 is the first), `name%N:action` on every Nth.
If the variable is not set, a call costs one dict look-up.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from dataclasses import dataclass

VARIABLE = "VENTES_FAILPOINTS"
_passages: Counter[str] = Counter()


@dataclass(frozen=True)
class _Point:
    action: str
    nth: int = 1
    again: bool = False

    def acts_on(self, passage: int) -> bool:
        return passage % self.nth == 0 if self.again else passage == self.nth


def _parse(text: str) -> dict[str, _Point]:
    points = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, action = item.partition(":")
        name, sign, nth = name.partition("%" if "%" in name else "@")
        points[name] = _Point(action, int(nth or 1), sign == "%")
    return points


_points = _parse(os.environ.get(VARIABLE, ""))


def failpoint(name: str) -> None:
    """The failpoint `name`: does its action if VENTES_FAILPOINTS names it."""
    if name not in _points:
        return
    point = _points[name]
    _passages[name] += 1
    if not point.acts_on(_passages[name]):
        return
    action = point.action
    if action == "kill9":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "pause":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action.startswith("busy:"):
        time.sleep(float(action.removeprefix("busy:")))
    elif action.startswith("exit:"):
        os._exit(int(action.removeprefix("exit:")))
    else:
        raise RuntimeError(f"failpoint {name}")
