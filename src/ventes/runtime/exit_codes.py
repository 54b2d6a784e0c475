"""Exit codes of the pipeline's processes, as the supervisor interprets them."""

from __future__ import annotations

CRASHED = 1
"""A new process may succeed: the supervisor restarts it."""
NEEDS_A_PERSON = 3
"""A restart would give the same error: it is shown, and the process is not restarted."""
