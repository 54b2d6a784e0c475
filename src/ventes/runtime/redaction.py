"""A last net under logs and run records: known secrets are blanked in whatever text comes through.

Our own messages hold none. This is for those of libraries, which may repeat a setting that they do not understand.
"""

from __future__ import annotations

from collections.abc import Iterable

BLANK = "********"
SHORTEST = 4
"""A shorter secret would blank parts of ordinary words."""

_secrets: set[str] = set()


def keep_secret(secrets: Iterable[str]) -> None:
    """From now on `redacted` blanks these, in this process."""
    _secrets.update(secret for secret in secrets if len(secret) >= SHORTEST)


def redacted(text: str) -> str:
    """`text` without the secrets of this process."""
    for secret in _secrets:
        text = text.replace(secret, BLANK)
    return text
