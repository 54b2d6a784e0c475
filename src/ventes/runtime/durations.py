"""Durations as text for people."""

from __future__ import annotations


def in_words(seconds: float) -> str:
    """'2 s', '3 min', '2 h 5 min', '4 d 1 h'; a negative duration is '0 s'."""
    whole = max(0, round(seconds))
    if whole < 120:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"
