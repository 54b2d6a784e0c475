"""Whether a service that ended is started again, and when. Pure: no clock, no processes.

What ends by SIGTERM was stopped on purpose and stays down. What holds an error that needs a person (exit 3) is not
tried again. Everything else comes back, later each time, until it crashed too often in a row.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

from ventes.config import Supervisor as Limits
from ventes.supervise import states

ON_PURPOSE = frozenset({0, -signal.SIGTERM, 128 + signal.SIGTERM})
NEEDS_A_PERSON = 3
HEALTHY_SECONDS = 60.0
"""Who ran this long begins anew: earlier crashes no longer count."""


@dataclass(frozen=True)
class Verdict:
    """`state` is one of ledger.STOPPED, FAILED, RESTARTING; `delay` seconds until the next try."""

    state: str
    reason: str
    crashes: int = 0
    delay: float = 0.0


def verdict(code: int, ran: float, crashes: int, last_words: str, limits: Limits) -> Verdict:
    """What to do about a process that ended with `code` (negative: by that signal) after `ran` seconds.

    `crashes` is how often the service had crashed in a row before; `last_words` the last line it wrote.
    """
    if code in ON_PURPOSE:
        return Verdict(states.STOPPED, "stopped on purpose; `ventes start` starts it")
    how = how_it_ended(code) + (f": {last_words}" if last_words else "")
    if code == NEEDS_A_PERSON:
        return Verdict(states.FAILED, last_words or how)
    crashes = 1 if ran >= HEALTHY_SECONDS else crashes + 1
    if crashes >= limits.give_up_after:
        return Verdict(states.FAILED, f"crashed {crashes} times in a row, the last time {how}", crashes)
    delay = min(limits.backoff_max_seconds, limits.backoff_seconds * 2 ** (crashes - 1))
    return Verdict(states.RESTARTING, how, crashes, delay)


def how_it_ended(code: int) -> str:
    """'ended with code 1', 'killed by SIGKILL'."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
