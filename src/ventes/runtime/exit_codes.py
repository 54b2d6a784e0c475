"""Exit codes on which the pipeline's processes and their supervisor agree."""

from __future__ import annotations

CRASHED = 1
"""Worth another try in a new process."""
NEEDS_A_PERSON = 3
"""The same error would come again: it is shown, and the process is not restarted."""
