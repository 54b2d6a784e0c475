"""Replaces known secrets in every text that goes to a log or a run record.

Our own messages contain none. This is for messages of libraries, which may repeat a setting that they refuse.
"""

from __future__ import annotations

from collections.abc import Iterable

BLANK = "********"
SHORTEST = 4
"""A shorter secret would replace parts of ordinary words."""

_secrets: set[str] = set()


def keep_secret(secrets: Iterable[str]) -> None:
    """`redacted` replaces these from now on, in this process."""
    _secrets.update(secret for secret in secrets if len(secret) >= SHORTEST)


def redacted(text: str) -> str:
    """`text` without the secrets of this process."""
    for secret in _secrets:
        text = text.replace(secret, BLANK)
    return text
