"""The messages that a declaration rejects, and why. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ventes.judging.verdict import Judging, judge_of
from ventes.propose.sample import Message


@dataclass
class Reason:
    """How many messages have a reason, and where the first of them is."""

    code: str
    messages: int
    first: str


@dataclass(frozen=True)
class Rejected:
    """`messages`: how many have a reason; `reasons`: the most frequent first. A message may have several."""

    messages: int
    reasons: tuple[Reason, ...]


def rejected(judging: Judging, messages: Iterable[Message]) -> Rejected:
    """What the verdict rejects of these messages. Duplicates are found later, by Silver; rules are not applied."""
    judge = judge_of(judging)
    found: dict[str, Reason] = {}
    count = 0
    for message in messages:
        codes = judge(message.value, message.arrival).motifs
        count += bool(codes)
        for code in codes:
            reason = found.setdefault(code, Reason(code, 0, message.place))
            reason.messages += 1
    return Rejected(count, tuple(sorted(found.values(), key=lambda reason: (-reason.messages, reason.code))))
