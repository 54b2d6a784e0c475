"""Whether a service that ended by itself is started again, and when. Pure: no clock, no processes.

A service ended by SIGTERM was stopped on purpose and stays down, also if it failed or was killed while stopping. After
an error that a user must fix (exit 3) it is not restarted. In all other cases it is restarted, with a growing delay,
until it crashed too often in a row.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

from ventes.config import Supervisor as Limits
from ventes.runtime.exit_codes import NEEDS_A_PERSON
from ventes.supervise import states

ON_PURPOSE = frozenset({0, -signal.SIGTERM, 128 + signal.SIGTERM})
HEALTHY_SECONDS = 60.0
"""After running this long, earlier crashes no longer count."""


@dataclass(frozen=True)
class RestartDecision:
    """`state` is one of states.STOPPED, FAILED, RESTARTING; `delay` seconds until the next try."""

    state: str
    reason: str
    crashes: int = 0
    delay: float = 0.0


def decide(
    code: int, ran: float, crashes: int, last_output_line: str, limits: Limits, *, was_stopping: bool = False
) -> RestartDecision:
    """What to do about a process that ended with `code` (negative: by that signal) after `ran` seconds.

    `crashes` is the number of consecutive crashes before; `last_output_line` the last line it wrote;
    `was_stopping` whether it had recorded a SIGTERM.
    """
    if code in ON_PURPOSE:
        return RestartDecision(states.STOPPED, "stopped on purpose; `ventes start` starts it")
    how = how_it_ended(code) + (f": {last_output_line}" if last_output_line else "")
    if code == NEEDS_A_PERSON:
        return RestartDecision(states.FAILED, last_output_line or how)
    if was_stopping:
        return RestartDecision(states.STOPPED, f"stopped on purpose, {how}; `ventes start` starts it")
    crashes = in_a_row(ran, crashes)
    if crashes >= limits.give_up_after:
        return RestartDecision(states.FAILED, f"crashed {crashes} times in a row, the last time {how}", crashes)
    delay = min(limits.backoff_max_seconds, limits.backoff_seconds * 2 ** (crashes - 1))
    return RestartDecision(states.RESTARTING, how, crashes, delay)


def in_a_row(ran: float, crashes: int) -> int:
    """The number of an end that was not expected, after `ran` seconds and `crashes` ends before it."""
    return 1 if ran >= HEALTHY_SECONDS else crashes + 1


def how_it_ended(code: int) -> str:
    """'ended with code 1', 'killed by SIGKILL'."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
